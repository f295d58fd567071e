"""The widgets in a real JupyterLab in a real browser: what is seen, clicked and played."""

import os
import pickle
import warnings
from io import BytesIO
from pathlib import Path

import browser
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium():
    if browser.find_chromium() is None:
        message = "no Chromium on this machine: THE WIDGETS ARE NOT TESTED IN A BROWSER"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message + " (CI must have one; or set CHROMIUM to its path)")
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="module")
def notebook(chromium, tiny_report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "report.pkl").write_bytes(pickle.dumps(tiny_report))
    cells = [
        "import pickle, bpttviz as bv\nreport = pickle.load(open('report.pkl', 'rb'))",
        "plane = bv.ErrorPlane(report)\nplane",
        "compare = bv.CompareRelaxations(report)\nplane.link(compare)\ncompare",
    ]
    with browser.jupyterlab(folder) as (address, token):
        opened = browser.Notebook(chromium, folder, address, token, cells)
        opened.run()
        opened.page.wait_for_selector("canvas")
        # A pane is ready when its three components (atoms, ghost, cell) are in the scene.
        for number in (0, 1):
            opened.wait_until(f"compare.panes[{number}].view.n_components", 3)
        yield opened


def keep(name: str, png: bytes) -> bytes:
    """Write a screenshot to the folder named by BPTTVIZ_SCREENSHOTS, if there is one."""
    if folder := os.environ.get("BPTTVIZ_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(png)
    return png


def pane(notebook, number):
    return notebook.page.locator(".jp-OutputArea canvas").nth(number)


def pixels(locator) -> np.ndarray:
    """A screenshot as numbers; the handle that nglview puts in the corner left out."""
    image = Image.open(BytesIO(locator.screenshot())).convert("RGB")
    return np.array(image, float)[:-25]


def test_the_error_plane_is_drawn(notebook):
    plane = notebook.page.locator(".bpttviz-error-plane")
    plane.scroll_into_view_if_needed()
    assert browser.colours(keep("error-plane", plane.screenshot())) > 20
    assert plane.locator("[role=option]").count() == 2
    assert "Error plane, 2 structures" in plane.locator("[role=listbox]").get_attribute(
        "aria-label"
    )
    assert "paradox" in plane.inner_text()


def test_pointing_names_a_structure_and_a_click_selects_it(notebook):
    plane = notebook.page.locator(".bpttviz-error-plane")
    mark = plane.locator("[data-structure='001_sub_P']")
    status = plane.locator("[role=status]")
    mark.locator(".origin").hover(force=True)
    assert status.inner_text().startswith("001_sub_P: endpoint error")
    mark.locator(".origin").click(force=True)
    notebook.wait_until("plane.selected", "001_sub_P")
    notebook.wait_until("compare.structure", "001_sub_P")
    assert mark.get_attribute("aria-selected") == "true"
    keep("error-plane-selected", plane.screenshot())


def test_the_keyboard_does_it_too(notebook):
    plane = notebook.page.locator(".bpttviz-error-plane")
    notebook.python("plane.selected = '001_sub_P'")
    plane.locator("[data-structure='001_sub_P'][tabindex='0']").focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.keyboard.press("Enter")
    notebook.wait_until("plane.selected", "000_vac_Si")
    notebook.page.keyboard.press("Escape")
    notebook.wait_until("repr(plane.selected)", "''")
    notebook.wait_until("compare.structure", "000_vac_Si")


def test_both_panes_show_atoms(notebook):
    pane(notebook, 0).scroll_into_view_if_needed()
    notebook.python("compare.structure = '001_sub_P'")
    for number in (0, 1):
        notebook.wait_until(f"compare.panes[{number}].view.n_components", 3)
    for number in (0, 1):
        assert browser.colours(pane(notebook, number).screenshot()) > 200
    keep("compare-start", notebook.page.screenshot())


def test_the_slider_moves_both_panes_in_step(notebook):
    notebook.python("compare.structure = '000_vac_Si'; compare.step = 0")
    before = [pane(notebook, number).screenshot() for number in (0, 1)]
    notebook.page.locator(".bpttviz-step .noUi-handle").focus()
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
    notebook.wait_until("compare.step", 3)
    notebook.wait_until("[pane.frame for pane in compare.panes]", "[3, 3]")
    notebook.page.wait_for_timeout(1000)
    after = [pane(notebook, number).screenshot() for number in (0, 1)]
    assert all(old != new for old, new in zip(before, after, strict=True))
    keep("compare-end", notebook.page.screenshot())


def test_play_advances_both_panes_in_step(notebook):
    notebook.python(
        "compare.step = 0\n"
        "seen = []\n"
        "compare.observe(lambda _: seen.append([p.frame for p in compare.panes]), 'step')"
    )
    notebook.page.locator(".bpttviz-play button").first.click()
    notebook.wait_until("len(seen) >= 5", True)  # with repetition on, it goes round
    notebook.page.locator(".bpttviz-play button").first.click()  # pause
    pairs = eval(notebook.python("print(seen)"))
    assert all(first == second for first, second in pairs)
    assert len({first for first, _ in pairs}) == 4


def test_turning_one_pane_turns_both(notebook):
    """At step 0 both panes show the same atoms: alike before, alike after, and not as before."""
    notebook.python("compare.step = 0")
    pane(notebook, 0).scroll_into_view_if_needed()
    notebook.page.wait_for_timeout(1000)
    before = [pixels(pane(notebook, number)) for number in (0, 1)]
    box = pane(notebook, 0).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    notebook.page.mouse.move(x, y)
    notebook.page.mouse.down()
    for moved in range(1, 13):
        notebook.page.mouse.move(x + 8 * moved, y + 2 * moved)
        notebook.page.wait_for_timeout(30)
    notebook.page.mouse.up()
    notebook.page.mouse.move(10, 10)
    notebook.page.wait_for_timeout(2000)
    after = [pixels(pane(notebook, number)) for number in (0, 1)]
    alike = max(np.abs(images[0] - images[1]).mean() for images in (before, after))
    turned = min(np.abs(old - new).mean() for old, new in zip(before, after, strict=True))
    assert turned > 5 * alike, (turned, alike)


def test_the_error_plane_follows_the_theme(notebook):
    plane = notebook.page.locator(".bpttviz-error-plane")
    title = plane.locator(".title")
    colour = "element => getComputedStyle(element).fill.match(/\\d+/g).slice(0, 3).map(Number)"
    assert sum(title.evaluate(colour)) < 300
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    notebook.page.wait_for_selector("[data-jp-theme-light=false]", state="attached")
    plane.scroll_into_view_if_needed()
    keep("error-plane-dark", plane.screenshot())
    pane(notebook, 0).scroll_into_view_if_needed()
    keep("compare-dark", notebook.page.screenshot())
    assert sum(title.evaluate(colour)) > 500
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Light"})


def test_the_static_picture_stands_beside_it_with_its_description(notebook):
    pictures = notebook.page.locator("details img[alt]")
    assert pictures.count() == 2
    for number in (0, 1):
        assert len(pictures.nth(number).get_attribute("alt")) > 80
        assert pictures.nth(number).evaluate("image => image.naturalWidth") > 500


def test_no_complaint_and_no_request_to_anywhere_else(notebook):
    assert notebook.outside == []
    assert notebook.errors == []
