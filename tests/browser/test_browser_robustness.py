"""RobustnessMap in a real JupyterLab: what is clicked reaches Python, light and dark."""

import browser
import pytest
from browser import keep

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def notebook(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    cells = [
        "import bpttviz as bv\nheat_map = bv.RobustnessMap(bv.stored_robustness('landscape'))",
        "heat_map",
    ]
    with browser.jupyterlab(folder) as (address, token):
        opened = browser.Notebook(chromium, folder, address, token, cells)
        opened.run()
        opened.page.wait_for_selector(".bpttviz-robustness table")
        yield opened


def test_a_click_reaches_python_and_replays(notebook):
    box = notebook.page.locator(".bpttviz-robustness")
    box.locator("[aria-label^='heavy ball, η = 0.2 Å²/eV, K = 8,']").click()
    notebook.wait_until("heat_map.cell.key", "('heavy ball', 0.2, 8)")
    notebook.page.wait_for_selector(".replay output:text('after 40 of 40 updates, step 8 of 8')")
    assert browser.colours(keep("robustness", box.screenshot())) > 60
    # Beside the live widget its stand-in is folded away.
    assert notebook.page.locator(".bpttviz-robustness").count() == 1


def test_what_python_sets_is_seen(notebook):
    notebook.python("heat_map.select('FIRE', 0.1, 2); heat_map.metric = 'force_mae'")
    notebook.page.wait_for_selector(".status:has-text('FIRE, η = 0.1 Å²/eV, K = 2')")
    notebook.page.wait_for_selector(".metrics [aria-pressed=true]:text('forces')")


def test_it_follows_the_theme(notebook):
    box = notebook.page.locator(".bpttviz-robustness")
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    notebook.page.wait_for_selector("[data-jp-theme-light=false]", state="attached")
    paper = "el => getComputedStyle(el).backgroundColor"
    assert max(map(int, box.evaluate(paper).strip("rgba()").split(",")[:3])) < 80
    keep("robustness-dark", box.screenshot())
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Light"})


def test_no_complaint_and_no_request_to_anywhere_else(notebook):
    assert notebook.outside == []
    assert notebook.errors == []
