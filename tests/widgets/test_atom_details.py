"""One atom of the player: clicked or chosen by keyboard, told about in words that are measured."""

import made_up
import numpy as np
import pytest
from pages import Opened
from traitlets import TraitError

import bpttviz as bv
from bpttviz.widgets import Canvas


@pytest.fixture(scope="module")
def compare():
    report = made_up.report(steps=20)
    draw = np.random.default_rng(0)
    report.force_errors = {key: draw.random(64) for key in report.relaxations}
    return bv.CompareRelaxations(report, viewer=Canvas())


def shares(path, step, masses):
    squares = masses * path.distance[step] ** 2
    return squares / squares.sum()


def test_an_atom_is_a_trait_that_another_structure_lets_go():
    report = made_up.report(cells=1, steps=2, names=("left", "right"))
    compare = bv.CompareRelaxations(report, viewer=Canvas())
    compare.atom = 7
    assert compare.player.atom == 7
    with pytest.raises(TraitError, match="no atom 8 in left; there are 0 to 7, and -1 for none"):
        compare.atom = 8
    compare.after = "pretrained"
    assert compare.atom == 7
    compare.structure = "right"
    assert compare.atom == -1


@pytest.mark.browser
def test_a_saved_page_stands_as_the_widget_did(chromium, tmp_path):
    report = made_up.report(cells=1, steps=6, names=("left", "right"))
    compare = bv.CompareRelaxations(report, viewer=Canvas())
    wanted = {"arrows": True, "images": True, "exaggeration": 7, "atom": 3}
    compare.step = 4
    for name, value in wanted.items():
        setattr(compare, name, value)
    opened = Opened(chromium, compare.save_html(tmp_path / "page.html"))
    assert opened.player("[p.clock.step, p.options]") == [4, wanted]
    assert opened.page.get_by_label("atom", exact=True).input_value() == "3"
    play = bv.Playground.of(report)
    for name, value in (wanted | {"step": 4}).items():
        setattr(play.player, name, value)
    opened = Opened(chromium, play.save_html(tmp_path / "playground.html"))
    assert opened.player("[p.clock.step, p.options]") == [4, wanted]


@pytest.mark.browser
def test_a_click_or_the_keyboard_tells_about_an_atom(chromium, compare, tmp_path):
    opened = Opened(chromium, compare.save_html(tmp_path / "page.html"))
    page, words = opened.page, opened.page.locator(".one-atom [role=status]")
    assert words.inner_text().startswith("Click an atom")
    opened.player("(p.choose(5), p.stage.drawNow())")
    before = opened.panes()
    chooser = page.get_by_label("atom", exact=True)
    chooser.focus()
    page.keyboard.press("ArrowDown")  # the one that is farthest from its place
    chosen = opened.player("p.options.atom")
    masses = compare.report.reference(0).masses.numpy()
    last = np.max([shares(path, 20, masses) for path in compare.paths], axis=0)
    assert chosen == int(last.argmax())
    path = compare.paths[1]
    error = compare.report.force_errors["fine-tuned", "made-up"][chosen]
    said = words.inner_text()
    assert said.startswith(f"{path.symbols[chosen]} {chosen}\npretrained: ")
    share = 100 * shares(path, 5, masses)[chosen]
    assert (
        f"fine-tuned: {path.distance[5, chosen]:.3f} Å away, "
        f"{share:.1f} % of ΔQ², force error {error:.2g} eV/Å" in said
    )
    after = opened.panes()
    assert all(np.abs(a - b).max() > 50 for a, b in zip(before, after, strict=True))  # the ring
    assert page.locator(".one-atom svg .curve").count() == 2
    label = page.locator(".one-atom svg").get_attribute("aria-label")
    first, end = path.distance[0, chosen], path.distance[20, chosen]
    assert f"fine-tuned from {first:#.3g} to {end:#.3g} Å" in label
    page.locator("canvas").first.focus()
    page.keyboard.press("Escape")
    assert opened.player("p.options.atom") == -1
    assert page.locator(".one-atom svg").count() == 0
    # A click takes the atom that is nearest to the eye there; a drag takes none.
    canvas = page.locator("canvas").first
    box = canvas.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 30, middle[1])
    page.mouse.up()
    assert opened.player("p.options.atom") == -1
    plain = opened.panes()[0]
    page.mouse.click(*middle)
    assert opened.player("p.options.atom") >= 0
    changed = np.argwhere(np.abs(opened.panes()[0] - plain).max(2) > 40)
    around = (changed.min(0) + changed.max(0)) / 2  # the ring's middle (y, x), where the click was
    assert np.hypot(*(around - np.array(plain.shape[:2]) / 2)) < 25
    page.mouse.click(*middle)  # once more lets it go
    assert opened.player("p.options.atom") == -1
    assert opened.errors == []
    opened.context.close()
