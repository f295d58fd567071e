"""RobustnessMap: what it sends, and that its page answers without a kernel."""

import pytest
from pages import Opened
from traitlets import TraitError

import bpttviz as bv


@pytest.fixture(scope="module")
def stored():
    return bv.stored_robustness("landscape")


def test_what_is_sent(stored):
    shown = bv.RobustnessMap(stored)
    assert len(shown.data["cells"]) == len(stored.cells)
    for sent, cell in zip(shown.data["cells"], stored.cells, strict=True):
        assert sent["condition"] == stored.condition(cell)
        assert (sent["levels"]["dq_rest"] < 0) == (cell.change["dq_rest"] < 1)
        assert abs(sent["levels"]["dq_rest"]) <= 1
    assert shown.data["verdict"] == stored.verdict()


def test_a_cell_is_selected_by_what_it_is(stored):
    shown = bv.RobustnessMap(stored)
    assert shown.cell is None
    alone = shown.picture()
    assert shown.select("FIRE", 0.4, 8).cell.key == ("FIRE", 0.4, 8)
    assert "FIRE, η = 0.4, K = 8: 6 ways" in shown.picture().alt_text
    assert "6 ways" not in alone.alt_text
    assert "selected FIRE" in repr(shown)
    shown.metric = "force_mae"
    assert "change of the forces" in shown.picture().alt_text
    with pytest.raises(KeyError, match="no training"):
        shown.select("FIRE", 7.0, 8)
    with pytest.raises(TraitError, match="no cell 99"):
        shown.selected = 99
    with pytest.raises(TraitError, match="no metric 'magic'"):
        shown.metric = "magic"
    with pytest.raises(TypeError, match="result must be"):
        bv.RobustnessMap("landscape")


@pytest.mark.browser
def test_its_page_answers_without_a_kernel(chromium, stored, tmp_path):
    path = bv.RobustnessMap(stored).save_html(tmp_path / "map.html")
    assert path.stat().st_size < 1_500_000
    opened = Opened(chromium, path, reduced_motion="reduce")
    page = opened.page
    page.wait_for_selector(".bpttviz-robustness table")
    assert page.locator("table").count() == 3
    assert page.locator("td button").count() == 72
    status = page.locator("[role=status]")
    assert "Choose a cell" in status.inner_text()
    first = page.locator("td button[tabindex='0']")
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("td button[aria-pressed=true]").count() == 1
    # from the top left corner (η = 3.2, K = 2): right, then down
    assert status.inner_text().startswith("gradient descent, η = 1.6 Å²/eV, K = 4: end at rest")
    assert page.locator(".replay .walker").count() == 6
    moment = page.locator(".replay output")
    assert moment.inner_text() == "after 40 of 40 updates, step 4 of 4"
    slider = page.locator(".replay input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert moment.inner_text() == "after 0 of 40 updates, step 0 of 4"
    page.keyboard.press("ArrowRight")
    assert moment.inner_text() == "after 0 of 40 updates, step 1 of 4"
    page.get_by_role("button", name="Replay the training").click()
    page.wait_for_function(
        "document.querySelector('.replay output').textContent.startsWith('after 13')"
    )
    before = page.locator("td button").first.inner_text()
    page.get_by_role("button", name="Colour by forces").click()
    assert page.locator("td button").first.inner_text() != before
    assert page.locator("[aria-pressed=true]:has-text('forces')").count() == 1
    page.locator("td button[aria-pressed=true]").focus()
    page.keyboard.press("Escape")
    assert page.locator(".replay").is_hidden()
    assert opened.errors == []
    assert opened.outside == []
    opened.context.close()
