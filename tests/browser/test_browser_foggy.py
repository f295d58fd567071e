"""FoggyValley in a real JupyterLab: what is dragged reaches Python, and training shows itself."""

import browser
import pytest
from browser import keep

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def notebook(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    cells = ["import bpttviz as bv\nvalley = bv.FoggyValley()", "valley"]
    with browser.jupyterlab(folder) as (address, token):
        opened = browser.Notebook(chromium, folder, address, token, cells)
        opened.run()
        opened.page.wait_for_selector(".bpttviz-foggy-valley canvas")
        yield opened


def seen(notebook, code):
    """Evaluates ``code`` with the valley in the browser as `v`."""
    return notebook.page.evaluate(
        f"(() => {{ const v = document.querySelector('.bpttviz-foggy-valley').bpttvizValley;"
        f" return {code}; }})()"
    )


def wait_to_see(notebook, code):
    notebook.page.wait_for_function(
        "(code) => { const el = document.querySelector('.bpttviz-foggy-valley');"
        " return new Function('v', `return ${code}`)(el.bpttvizValley); }",
        arg=code,
    )


def test_it_is_drawn(notebook):
    box = notebook.page.locator(".bpttviz-foggy-valley")
    box.scroll_into_view_if_needed()
    wait_to_see(notebook, "v.drawn > 0")
    assert browser.colours(keep("foggy-valley", box.screenshot())) > 300
    # Beside the live widget its stand-in is folded away.
    notebook.page.wait_for_selector("details:not([open])", state="attached")
    assert notebook.page.locator(".bpttviz-foggy-valley").count() == 1


def test_what_is_dragged_reaches_python_which_agrees(notebook):
    box = notebook.page.locator(".handle.start").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    notebook.page.mouse.move(x, y)
    notebook.page.mouse.down()
    for moved in range(1, 9):
        notebook.page.mouse.move(x - 10 * moved, y + 12 * moved)
    notebook.page.mouse.up()
    start = seen(notebook, "v.start")
    assert start[0] < 0
    notebook.wait_until("valley.start", start)
    wait_to_see(notebook, "v.walk.x[0] === v.start[0]")
    end = seen(notebook, "[v.walk.x[v.walk.made], v.walk.y[v.walk.made]]")
    x, y = map(float, notebook.python("print(*valley.end)").split())
    assert [x, y] == pytest.approx(end, abs=1e-3)


def test_what_python_sets_is_seen(notebook):
    notebook.python("valley.step_size = 0.3; valley.start = [1.0, 1.0]; valley.steps = 7")
    wait_to_see(notebook, "v.step_size === 0.3 && v.start[0] === 1 && v.walk.made === 7")
    notebook.page.locator(".handle.start").focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.wait_until("valley.start[0]", 0.98)
    notebook.page.get_by_role("combobox", name="landscape").select_option("three valleys")
    notebook.wait_until("valley.landscape", "three valleys")
    notebook.wait_until("valley.start == list(valley.examples['three valleys'].start)", True)
    notebook.python("valley.landscape = 'two valleys'")
    wait_to_see(notebook, "v.landscape === 'two valleys' && v.steps === 12 && v.start[0] === 0.2")


def test_training_shows_itself_and_can_be_stopped(notebook):
    # From here 100 steps end in the other valley, at this rate no training arrives by itself, and
    # a busy browser has twenty seconds for its click.
    notebook.python(
        "import time\nfrom dataclasses import replace\n"
        "from bpttviz.teaching.surface import SplineSurface\n"
        "example, quick = valley.examples['two valleys'], SplineSurface.updated\n"
        "valley.examples['two valleys'] = replace(example, learning_rate=1e-5)\n"
        "SplineSurface.updated = lambda *a, **k: (time.sleep(0.3), quick(*a, **k))[1]\n"
        "valley.start = example.start; valley.steps = 100"
    )
    wait_to_see(notebook, "v.steps === 100")
    assert float(notebook.python("print(valley.distance)")) > 1
    notebook.page.get_by_role("button", name="Train through the path").click()
    notebook.page.wait_for_selector(".training .status:text-matches('Update [0-9]+')")
    notebook.page.get_by_role("button", name="Stop").click()
    notebook.wait_until("valley.training", False, timeout=60)
    notebook.wait_until("0 < valley.frame == len(valley.frames['two valleys'])", True)
    assert "not there yet" in (status := notebook.python("print(valley.status)"))
    assert int(status.split()[0]) < 60, "nothing stopped it"
    wait_to_see(notebook, "v.frame > 0 && !v.model.get('training')")
    left = float(notebook.python("print(valley.distance)"))
    assert left > 0.02
    assert seen(notebook, "v.back.distance") == pytest.approx(left, abs=2e-3)
    notebook.python("valley.examples['two valleys'] = example; SplineSurface.updated = quick")


def test_it_arrives_and_starts_over(notebook):
    notebook.python("valley.restore(); valley.steps = 12")
    wait_to_see(notebook, "v.steps === 12 && v.frames.length === 0")
    notebook.page.get_by_role("button", name="Train through the path").click()
    notebook.page.wait_for_selector(".training .status:text('It arrives')")
    notebook.wait_until("valley.distance <= 0.02", True)
    keep("foggy-valley-trained", notebook.page.locator(".bpttviz-foggy-valley").screenshot())
    notebook.page.get_by_role("button", name="Start over").click()
    notebook.wait_until("valley.frame", 0)
    wait_to_see(notebook, "v.frame === 0 && v.frames.length === 0")


def test_it_follows_the_theme(notebook):
    light = seen(notebook, "v.colours.low")
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    notebook.page.wait_for_selector("[data-jp-theme-light=false]", state="attached")
    wait_to_see(notebook, f"v.colours.low !== '{light}'")
    keep("foggy-valley-dark", notebook.page.locator(".bpttviz-foggy-valley").screenshot())
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Light"})


def test_no_complaint_and_no_request_to_anywhere_else(notebook):
    assert notebook.outside == []
    assert notebook.errors == []
