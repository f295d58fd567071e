"""The playground: trained in a real JupyterLab by clicks; in a saved page, without a kernel."""

import browser
import made_up
import numpy as np
import pytest
from browser import keep

import bpttviz as bv

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETUP = """
import torch, bpttviz as bv
from bpttviz.teaching import spring_world as world
torch.set_num_threads(1)
truth = world.true_springs()
data, pretrained = world.relaxations_of(truth, 5, 0), world.mistaken(truth)
"""
CELL = """
play = bv.Playground(
    pretrained, data[:3], data[3:], steps=4, step_size=0.02, max_step=None, learning_rate=0.02,
    epochs=400, every=3,
)
play
"""
# The clock plays, with everything set otherwise than at first; what it shows is written down.
WATCH = """() => {
    const player = document.querySelector(".bpttviz-player").bpttvizPlayer, { clock } = player;
    const watched = window.watched = { loads: 0, paused: 0, frames: [], jumps: [] };
    const load = player.load.bind(player);
    player.load = (...what) => { watched.loads++; load(...what); };
    player.choose(0, { arrows: true, exaggeration: 7, atom: 3 });
    player.stage.zoom(1.3);
    player.stage.canvases[0].focus();
    clock.rate = 20;
    player.togglePlay();
    let before = clock.step;
    const look = () => {
        if (!clock.playing) watched.paused++;
        const { step, last, neighbour } = clock;
        // At the end: from the beginning again, or a new way that is shorter.
        const due = before >= last ? [0, last] : [neighbour(before, 1)];
        if (step !== before) watched.frames.push(step);
        if (step !== before && !due.includes(step)) watched.jumps.push([before, step, last]);
        before = step;
        if (watched.loads < 3 || watched.frames.length <= 20) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
PARTS = ("error-plane", "player", "recipe", "training")
SCREEN = {"width": 1280, "height": 800}
ROOM = 680  # of 800: what JupyterLab leaves of a screen

# Milliseconds from one picture to the next while something goes on: the best ten in a row, since
# other work on the machine comes and goes.
PACE = """async (act) => {
    const go = new Function("player", "plane", "at", act);
    const player = document.querySelector(".bpttviz-player").bpttvizPlayer;
    const plane = document.querySelector(".bpttviz-error-plane svg[role=listbox]");
    const times = [];
    for (let at = 0; at < 60; at++) {
        go(player, plane, at);
        await new Promise(requestAnimationFrame);
        times.push(performance.now());
    }
    const spans = times.slice(10).map((time, at) => (time - times[at]) / 10);
    return Math.min(...spans);
}"""
# Every picture is another step, and turned: nothing is found drawn already.
PLAY = "player.choose(at % player.clock.last, { arrows: true }); player.stage.turn(0.02, 0);"
DRAG = """
const { left, top, width, height } = plane.getBoundingClientRect();
const part = 0.2 + 0.6 * (at % 20) / 20;
plane.dispatchEvent(new PointerEvent("pointermove", {
    clientX: left + part * width, clientY: top + part * height, bubbles: true,
}));
"""


def edges(page):
    """Where the parts lie, seen from the whole: JupyterLab may scroll."""
    whole = page.locator(".bpttviz-playground").bounding_box()
    boxes = [page.locator(f".bpttviz-playground .bpttviz-{part}").bounding_box() for part in PARTS]
    assert whole["height"] <= ROOM
    return [
        (round(box["x"]), round(box["y"] - whole["y"]), round(box["width"]), round(box["height"]))
        for box in boxes
    ]


def test_it_trains_stops_and_resumes_by_clicks_and_nothing_jumps(chromium, tmp_path):
    with browser.jupyterlab(tmp_path) as (address, token):
        notebook = browser.Notebook(chromium, tmp_path, address, token, [SETUP, CELL])
        page = notebook.page
        page.set_viewport_size(SCREEN)
        notebook.run()
        page.wait_for_selector(".bpttviz-playground .bpttviz-player canvas")
        page.locator(".bpttviz-playground").evaluate("e => e.scrollIntoView({ block: 'start' })")
        before = edges(page)
        keep("playground-before", page.screenshot())

        page.get_by_role("button", name="Start training").click()
        plays_on_while_it_trains(page)
        assert edges(page) == before
        assert page.get_by_label("K", exact=True).is_disabled()
        keep("playground-during", page.screenshot())
        page.get_by_role("button", name="Stop training").click()
        page.get_by_role("button", name="Resume training").wait_for()
        stopped = int(notebook.python("print(len(play.monitor.run.history))"))
        assert 6 <= stopped < 1200
        assert notebook.python("print(play.monitor.status)") == "interrupted"
        page.get_by_role("button", name="Resume training").click()
        notebook.wait_until(f"len(play.monitor.run.history) > {stopped}", True, timeout=60)
        page.get_by_role("button", name="Stop training").click()
        page.get_by_role("button", name="Resume training").wait_for()
        assert edges(page) == before

        refuses_what_cannot_be(notebook)
        assert edges(page) == before
        starts_anew(notebook)
        assert edges(page) == before
        notebook.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
        page.wait_for_selector("[data-jp-theme-light=false]", state="attached")
        keep("playground-dark", page.screenshot())
        assert notebook.errors == []
        assert notebook.outside == []


def plays_on_while_it_trains(page):
    """Measurements replace the player's data: step, atom, view and focus stay what they are."""
    page.evaluate(WATCH)
    page.wait_for_selector(".bpttviz-playground circle.way")  # arrows that have grown twice
    page.wait_for_function("watched.loads >= 3 && watched.frames.length > 20")
    seen = page.evaluate("watched")
    assert seen["paused"] == 0
    assert seen["jumps"] == []  # and it went on all the time
    player = page.locator(".bpttviz-player")
    assert player.evaluate("e => e.bpttvizPlayer.options") == {
        "arrows": True, "images": False, "exaggeration": 7, "atom": 3,
    }  # fmt: skip
    assert player.evaluate("e => e.bpttvizPlayer.stage.camera.zoom") == pytest.approx(1.3)
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    page.get_by_role("button", name="Pause (space)").click()


def refuses_what_cannot_be(notebook):
    """What is wrong is said beside the field, and the recipe stays."""
    page = notebook.page
    for label, text, words in [
        ("K", "0", "steps (K) must be a whole number of at least 1 and at most 1000, got 0"),
        ("η / Å²/eV", "-1", "step_size (η) must be a positive, finite number, got -1"),
        ("learning rate", "nan", "learning_rate must be a number above 0 and at most 10, got nan"),
        ("starts around the end", "1.5", "must be a number at least 0 and at most 1, got 1.5"),
    ]:
        field = page.get_by_label(label, exact=True)
        field.fill(text)
        field.press("Enter")
        row = page.locator(".bpttviz-recipe .row", has=field)
        row.locator(".problem").wait_for()
        assert words in row.locator(".problem").inner_text()
        assert field.get_attribute("aria-invalid") == "true"
    keep("playground-refused", page.screenshot())
    recipe = "play.steps, play.step_size, play.learning_rate, play.share"
    assert notebook.python(f"print({recipe})") == "4 0.02 0.02 0.0"


def starts_anew(notebook):
    """Another recipe begins where the first one did; that one is found as it was left."""
    page = notebook.page
    measured = notebook.python("print(play.report.potentials)")
    share = page.get_by_label("starts around the end", exact=True)
    share.fill("0,5")
    share.press("Enter")
    page.get_by_role("button", name="Start training").wait_for()
    notebook.wait_until("play.report.potentials", ["before"], timeout=60)
    assert page.locator(".bpttviz-recipe .problem").count() == 0
    share.fill("0")
    share.press("Enter")
    page.get_by_role("button", name="Resume training").wait_for()
    notebook.wait_until("play.report.potentials", measured, timeout=60)
    page.wait_for_selector(".bpttviz-playground:not(.busy)")


@pytest.fixture(scope="module")
def saved(chromium, tmp_path_factory):
    """A page of a report of 64 atoms, with their paths; what it complained about, and asked for."""
    report = made_up.report(names=("one", "other"))
    report.force_errors = {key: np.full(64, 0.0123) for key in report.relaxations}
    path = bv.Playground.of(report).save_html(tmp_path_factory.mktemp("saved") / "playground.html")
    assert path.stat().st_size < 2e6
    page = chromium.new_page(viewport=SCREEN)
    heard = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".bpttviz-playground .bpttviz-player canvas")
    keep("playground-saved", page.screenshot())
    yield page, [line for line in heard if line != path.as_uri()]
    page.close()


def test_a_saved_page_says_that_it_is_stored_and_asks_nobody(saved):
    page, heard = saved
    assert "nothing can be trained" in page.locator(".stored").inner_text()
    assert page.get_by_role("button", name="training").count() == 0
    assert heard == []


def test_nothing_is_cut_off_or_too_small_to_read(saved):
    page, _ = saved
    cut = "e => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1"
    chooser = page.locator(".bpttviz-playground").get_by_label("atom", exact=True)
    chooser.select_option("5")  # its words appear, and the ring
    assert "5" in page.locator(".one-atom .name").text_content()
    for part in (".readout >> nth=0", ".readout >> nth=1", ".one-atom .words", ".legend"):
        assert not page.locator(f".bpttviz-player {part}").evaluate(cut), part
    name = page.locator(".paradox-label").first
    size = name.evaluate("e => e.getBoundingClientRect().height")
    assert size > 10
    chooser.select_option("-1")


def test_by_keyboard_alone(saved):
    """Tab leads through plane, panes and clock; a structure chosen in the plane is shown."""
    page, _ = saved
    player = page.locator(".bpttviz-player")
    shown = player.get_attribute("aria-label")
    page.locator(".bpttviz-error-plane [role=option][tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert player.get_attribute("aria-label") != shown
    page.keyboard.press("Escape")
    assert player.get_attribute("aria-label") == shown
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName"))
    assert reached[:2] == ["CANVAS", "CANVAS"]
    assert {"BUTTON", "INPUT"} <= set(reached)


def test_it_is_drawn_fast_enough(saved):
    page, _ = saved
    played, dragged = page.evaluate(PACE, PLAY), page.evaluate(PACE, DRAG)
    print(f"64 atoms with arrows: {played:.0f} ms a picture; pointing: {dragged:.0f} ms")
    assert played < 100
    assert dragged < 50


def test_of_a_table_there_are_errors_alone(chromium, tmp_path):
    stored = bv.Playground.of(bv.shipped_report("si-defects/chgnet-fold-0"))
    assert stored.player is None
    path = stored.save_html(tmp_path / "stored.html")
    assert path.stat().st_size < 2e6
    page = chromium.new_page(viewport=SCREEN)
    page.goto(path.as_uri())
    page.wait_for_selector(".bpttviz-playground .arrow")
    assert "not the paths of atoms" in page.locator(".no-atoms").inner_text()
    keep("playground-table", page.screenshot())
    page.close()
