"""The widgets in a real JupyterLab in a real browser: what is seen, clicked and played."""

import json
import pickle
import time
from io import BytesIO

import browser
import numpy as np
import pytest
from ase.data import covalent_radii
from browser import keep
from PIL import Image

from bpttviz.plotting import trajectory
from bpttviz.plotting.scene import RADIUS, empty_sites

pytestmark = pytest.mark.browser

NGLVIEW = (
    "from bpttviz.widgets import NGLPanes\n"
    "compare = bv.CompareRelaxations(report, viewer=NGLPanes())"
)


@pytest.fixture(scope="module")
def notebook(chromium, tiny_report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "report.pkl").write_bytes(pickle.dumps(tiny_report))
    cells = [
        "import pickle, bpttviz as bv\nreport = pickle.load(open('report.pkl', 'rb'))",
        "report.rest_paths = {}  # the clock ends with the map",
        "plane = bv.ErrorPlane(report)\nplane",
        f"{NGLVIEW}\nplane.link(compare)\ncompare",
    ]
    with browser.jupyterlab(folder) as (address, token):
        opened = browser.Notebook(chromium, folder, address, token, cells)
        opened.run()
        opened.page.wait_for_selector("canvas:not(.still)")
        wait_for_panes(opened)
        yield opened


def wait_for_panes(notebook):
    """Wait for a pane's components: atoms, ghosts, images, cell, bonds, empty sites, arrows."""
    for number in (0, 1):
        notebook.wait_until(f"compare.viewer.views[{number}].n_components", 7, timeout=60)


def pane(notebook, number):
    return notebook.page.locator(".jp-OutputArea canvas:not(.still)").nth(number)


def pixels(locator) -> np.ndarray:
    """A screenshot as numbers; the handle that nglview puts in the corner left out."""
    image = Image.open(BytesIO(locator.screenshot())).convert("RGB")
    return np.array(image, float)[:-25]


SHARP = """async () => {
    const { stage } = document.querySelector(".bpttviz-player").bpttvizPlayer;
    return stage.due === null && (await stage.views()).every(([{ stage: { viewer } }]) =>
        viewer.isStill && !viewer.renderPending);
}"""


def settled(notebook, number) -> np.ndarray:
    """A pane's pixels once they no longer change, and are not one of nglview's drafts."""
    seen = pixels(pane(notebook, number))
    for _ in range(60):
        notebook.page.wait_for_timeout(300)
        sharp = notebook.page.evaluate(SHARP)
        before, seen = seen, pixels(pane(notebook, number))
        if sharp and np.abs(seen - before).max() == 0:
            return seen
    raise AssertionError("the pane does not come to rest")


def becomes(notebook, number, condition, seconds=30) -> bool:
    """Whether a pane's pixels come to meet a condition; a busy machine takes its time."""
    deadline = time.monotonic() + seconds
    while not condition(pixels(pane(notebook, number))):
        if time.monotonic() > deadline:
            return False
        notebook.page.wait_for_timeout(300)
    return True


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
    wait_for_panes(notebook)
    for number in (0, 1):
        assert browser.colours(pane(notebook, number).screenshot()) > 200
    keep("compare-start", notebook.page.screenshot())


SELECTORS = """(width) => {
    const player = document.querySelector(".bpttviz-player");
    const all = player.closest(".widget-vbox");
    all.style.width = width;
    const boxes = [...all.querySelectorAll(".widget-dropdown")]
        .map((one) => one.getBoundingClientRect());
    const { right } = all.getBoundingClientRect();
    all.style.width = "";
    return boxes.map((box) => [box.top, box.width, right - box.right]);
}"""


def test_the_selectors_stand_in_one_row_in_a_narrow_cell_too(notebook):
    for width in ("", "700px"):
        tops, widths, left = np.transpose(notebook.page.evaluate(SELECTORS, width))
        assert len(tops) == 3
        assert np.ptp(tops) == 0
        assert widths.min() > 150
        assert left.min() >= 0


SHOWN = """async () => {
    const { stage } = document.querySelector(".bpttviz-player").bpttvizPlayer;
    return (await stage.views()).map(([view]) => {
        const { count, x, y, z } = view.stage.compList[0].structure.atomStore;
        return Array.from({ length: count }, (_, atom) => [x[atom], y[atom], z[atom]]);
    });
}"""


def shown_steps(notebook, paths) -> list[int]:
    """Which steps of their paths nglview's panes show, told by where the atoms are."""
    steps = []
    for places, path in zip(notebook.page.evaluate(SHOWN), paths, strict=True):
        off = np.abs(path.positions - np.array(places)).max((1, 2))
        assert off.min() < 2e-3
        steps.append(int(off.argmin()))
    return steps


def wait_for_step(notebook, paths, step):
    """Wait until both panes show ``step``."""
    deadline = time.monotonic() + 60
    while (seen := shown_steps(notebook, paths)) != [step, step]:
        assert time.monotonic() < deadline, f"steps {seen} are shown, not {step}"
        notebook.page.wait_for_timeout(100)


def test_the_slider_moves_both_panes_in_step(notebook, tiny_report):
    notebook.python("compare.structure = '000_vac_Si'; compare.step = 0")
    wait_for_panes(notebook)
    paths = trajectory.trajectory_pair(tiny_report, "000_vac_Si")
    wait_for_step(notebook, paths, 0)
    notebook.page.locator(".bpttviz-player .transport input").focus()
    for _ in range(3):
        notebook.page.keyboard.press("ArrowRight")
    notebook.wait_until("compare.step", 3)
    wait_for_step(notebook, paths, 3)
    keep("compare-end", notebook.page.screenshot())
    notebook.python("compare.step = 1")
    wait_for_step(notebook, paths, 1)


MESHES = """async () => {
    const { stage } = document.querySelector(".bpttviz-player").bpttvizPlayer;
    const [[view]] = await stage.views();
    const corners = (repr) => Array.from(repr.bufferList[0].geometry.attributes.position.array);
    const named = (name) => view.stage.compList.find((component) => component.name === name);
    return ["bonds", "empty sites"].map((name) => corners(named(name).reprList[0].repr));
}"""


def test_bonds_go_with_the_atoms_and_the_vacancy_is_drawn(notebook, tiny_report):
    paths = trajectory.trajectory_pair(tiny_report, "000_vac_Si")
    for step in (0, 3):
        notebook.python(f"compare.step = {step}")
        wait_for_step(notebook, paths, step)
        atoms = np.array(notebook.page.evaluate(SHOWN)[0])
        bonds, sites = map(np.array, notebook.page.evaluate(MESHES))
        rods = bonds.reshape(-1, 36, 3)
        rods = rods[np.ptp(rods, axis=1).max(1) > 0]  # the others only fill the buffer
        assert 120 < len(rods) < 220  # two an atom, and halves of those that cross a face
        begin = rods[:, ::6].mean(1)  # one corner of each of its six sides
        nearest = np.linalg.norm(begin[:, None] - atoms, axis=2).min(1)
        np.testing.assert_allclose(nearest, 0.9 * RADIUS * covalent_radii[14], atol=2e-3)
        (site,) = empty_sites(paths[0])
        np.testing.assert_allclose(sites.reshape(-1, 3).mean(0), site, atol=0.01)


def test_play_advances_both_panes_in_step(notebook, tiny_report):
    paths = trajectory.trajectory_pair(tiny_report, "000_vac_Si")
    notebook.python(
        "compare.step = 0\nseen = []\ncompare.observe(lambda c: seen.append(c['new']), 'step')"
    )
    wait_for_step(notebook, paths, 0)
    player = notebook.page.locator(".bpttviz-player")
    player.get_by_role("button", name="Play").click()
    pairs = []
    deadline = time.monotonic() + 60
    while len({first for first, _ in pairs}) < 4 and time.monotonic() < deadline:
        pairs.append(shown_steps(notebook, paths))
    notebook.wait_until("len(seen) >= 5", True, timeout=60)  # with repetition on, it goes round
    player.get_by_role("button", name="Pause").click()
    assert {first for first, _ in pairs} == {0, 1, 2, 3}
    assert all(first == second for first, second in pairs)


def go_to_start(notebook, report):
    """Set step 0, once the kernel knows where the clock stood; wait until both panes show it."""
    clock = "document.querySelector('.bpttviz-player').bpttvizPlayer.clock.step"
    notebook.wait_until("compare.step", notebook.page.evaluate(clock))
    notebook.python("compare.step = 0")
    wait_for_step(notebook, trajectory.trajectory_pair(report, "000_vac_Si"), 0)


def test_arrows_and_images_are_shown_on_demand(notebook, tiny_report):
    go_to_start(notebook, tiny_report)
    player = notebook.page.locator(".bpttviz-player")
    for name, trait in (("Arrows", "arrows"), ("Repeat atoms", "images")):
        plain = settled(notebook, 0)
        player.get_by_role("button", name=name).click()
        notebook.wait_until(f"compare.{trait}", True)
        assert becomes(notebook, 0, lambda now, plain=plain: np.abs(now - plain).mean() > 0.05)
        keep(f"compare-{trait}", notebook.page.screenshot())
        notebook.python(f"compare.{trait} = False")
        assert becomes(notebook, 0, lambda now, plain=plain: np.abs(now - plain).mean() < 0.01)


def test_turning_one_pane_turns_both(notebook, tiny_report):
    """At step 0 both panes show the same atoms: alike before, alike after, and not as before."""
    go_to_start(notebook, tiny_report)
    pane(notebook, 0).scroll_into_view_if_needed()
    before = [settled(notebook, number) for number in (0, 1)]
    box = pane(notebook, 0).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    notebook.page.mouse.move(x, y)
    notebook.page.mouse.down()
    for moved in range(1, 13):
        notebook.page.mouse.move(x + 8 * moved, y + 2 * moved)
        notebook.page.wait_for_timeout(30)
    notebook.page.mouse.up()
    notebook.page.mouse.move(10, 10)
    after = [settled(notebook, number) for number in (0, 1)]
    alike = max(np.abs(images[0] - images[1]).mean() for images in (before, after))
    turned = min(np.abs(old - new).mean() for old, new in zip(before, after, strict=True))
    assert turned > 5 * alike, (turned, alike)


def test_a_pane_is_sharp_in_the_end_even_where_the_page_was_busy(notebook, tiny_report):
    """A draft that was due while the page stood still must not replace the sharp picture."""
    go_to_start(notebook, tiny_report)
    sharp = settled(notebook, 0)
    notebook.page.evaluate(
        """async () => {
            const { stage } = document.querySelector(".bpttviz-player").bpttvizPlayer;
            for (const [view] of await stage.views()) view.stage.viewer.requestRender();
            for (const began = performance.now(); performance.now() < began + 900;);
        }"""
    )
    assert np.abs(settled(notebook, 0) - sharp).mean() < 0.01


def test_the_error_plane_follows_the_theme(notebook):
    plane = notebook.page.locator(".bpttviz-error-plane")
    title = plane.locator(".title")
    colour = "element => getComputedStyle(element).fill.match(/\\d+/g).slice(0, 3).map(Number)"
    assert sum(title.evaluate(colour)) < 300
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    notebook.page.wait_for_selector("[data-jp-theme-light=false]", state="attached")
    plane.scroll_into_view_if_needed()
    keep("error-plane-dark", plane.screenshot())
    assert sum(title.evaluate(colour)) > 500
    pane(notebook, 0).scroll_into_view_if_needed()
    papers = {}
    for theme in ("Dark", "Light"):
        notebook.command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
        notebook.page.wait_for_selector(
            f"[data-jp-theme-light={str(theme == 'Light').lower()}]", state="attached"
        )
        seen = [settled(notebook, number) for number in (0, 1)]
        keep(f"compare-{theme.lower()}", notebook.page.screenshot())
        papers[theme] = [np.median(pixels, axis=(0, 1)).max() for pixels in seen]
    assert max(papers["Dark"]) < 60
    assert min(papers["Light"]) > 200
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Light"})


def test_the_static_picture_stands_beside_it_with_its_description(notebook):
    pictures = notebook.page.locator("details img[alt]")
    assert pictures.count() == 2
    for number in (0, 1):
        assert len(pictures.nth(number).get_attribute("alt")) > 80
        assert pictures.nth(number).evaluate("image => image.naturalWidth") > 500
    # Beside the live widgets their stand-ins are folded away, and there is no second one of any.
    assert notebook.page.locator("details:not([open])").count() == 2
    assert notebook.page.locator(".bpttviz-player").count() == 1
    assert notebook.page.locator(".bpttviz-error-plane").count() == 1


def test_no_complaint_and_no_request_to_anywhere_else(notebook):
    assert notebook.outside == []
    assert notebook.errors == []


def test_where_nglview_has_no_front_end_the_canvas_takes_over(chromium, tiny_report, tmp_path):
    (tmp_path / "report.pkl").write_bytes(pickle.dumps(tiny_report))
    settings = tmp_path / ".jupyter_config_dir/labconfig"
    settings.mkdir(parents=True)
    disabled = {"disabledExtensions": {"nglview-js-widgets": True}}
    (settings / "page_config.json").write_text(json.dumps(disabled))
    cells = [
        "import pickle, bpttviz as bv\nreport = pickle.load(open('report.pkl', 'rb'))",
        "report.rest_paths = {}  # the clock ends with the map",
        f"{NGLVIEW}\ncompare",
    ]
    with browser.jupyterlab(tmp_path) as (address, token):
        opened = browser.Notebook(chromium, tmp_path, address, token, cells)
        opened.run()
        opened.wait_until("compare.player.missing", True, timeout=60)
        player = opened.page.locator(".bpttviz-player")
        canvas = player.locator("canvas")
        assert canvas.count() == 2
        assert browser.colours(canvas.first.screenshot()) > 200
        opened.page.locator(".bpttviz-player .transport input").focus()
        opened.page.keyboard.press("End")
        opened.wait_until("compare.step", 3)
        opened.python("compare.structure = '001_sub_P'")
        opened.page.wait_for_function(
            "document.querySelector('.bpttviz-player').bpttvizPlayer.comparison.structure"
            " === '001_sub_P'"
        )
        keep("compare-canvas", opened.page.screenshot())
        # nglview's own panes, which would only say that they failed, are gone.
        failed = opened.page.get_by_text("Error displaying widget").locator("visible=true")
        assert failed.count() == 0
        opened.page.close()
