"""A prediction in a real JupyterLab: the result waits for the click, then shows itself."""

import browser
import pytest

pytestmark = pytest.mark.browser

CELLS = [
    "import bpttviz as bv\nlesson = bv.open_lesson('browser')\n"
    "lesson.predict('end', 'Where?', ('here', 'there'))\n"
    "lesson.predict('many', 'How many?', unit='Å')",
    "lesson.reveal('end', 'there', '0.3 Å')\nlesson.reveal('many', 2.0)",
    "from bpttviz.plotting.figure import AccessibleFigure\n"
    "pages = {f'K = {k}': AccessibleFigure((2, 1), f'page {k}') for k in (1, 2, 3)}\n"
    "bv.picture_slider(pages, 'steps', first='K = 2')",
]


@pytest.fixture(scope="module")
def notebook(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with browser.jupyterlab(folder) as (address, token):
        opened = browser.Notebook(chromium, folder, address, token, CELLS)
        opened.run()
        yield opened


def test_a_result_waits_for_the_prediction_that_is_clicked(notebook):
    page = notebook.page
    waiting = page.get_by_text("waits for your prediction")
    waiting.first.wait_for()
    assert waiting.count() == 2
    assert not page.get_by_text("end: there (0.3 Å).").is_visible()
    page.get_by_label("there", exact=True).click()
    page.get_by_text("You predicted there: right.").wait_for()
    assert waiting.count() == 1
    page.get_by_role("button", name="skip: How many?").click()
    page.get_by_text("Skipped.").wait_for()
    assert waiting.count() == 0
    assert notebook.errors == []


def test_a_slider_turns_pictures(notebook):
    page = notebook.page
    shown = page.locator(".bpttviz-turned:not([hidden]) img")
    assert shown.get_attribute("alt") == "page 2"
    slider = page.get_by_label("steps")
    assert slider.get_attribute("oninput"), "a front end that takes handlers out shows one picture"
    slider.click()  # in the middle: where it is
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.locator("img[alt='page 3']").wait_for(timeout=10_000)
    assert shown.get_attribute("alt") == "page 3"
    assert slider.get_attribute("aria-valuetext") == "K = 3"
