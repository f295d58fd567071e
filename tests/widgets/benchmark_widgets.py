"""Frame rates of the widgets in JupyterLab in a headless, software-rendered Chromium.

    python tests/widgets/benchmark_widgets.py [seconds a measurement]

Not a test: frame rates depend on the machine and on what else it is doing, and are printed to be
read. Beside them stands what depends less on others: the processor time that Chromium spent, over
all its threads, for each frame.
"""

import importlib.util
import sys
import tempfile
from pathlib import Path

import browser
import psutil

HELPERS = str(Path(__file__).parents[1] / "helpers")

SETUP = f"""
import sys
sys.path.insert(0, {HELPERS!r})
import made_up, bpttviz as bv
from bpttviz.widgets import Canvas
small, large = made_up.report(), made_up.report(cells=4, steps=200)
"""
PLAYERS = {  # what is shown -> the cell that shows it
    "nglview, 64 atoms": "bv.CompareRelaxations(small)",
    "canvas, 64 atoms": "bv.CompareRelaxations(small, viewer=Canvas())",
    "nglview, 512 atoms": "bv.CompareRelaxations(large)",
    "canvas, 512 atoms": "bv.CompareRelaxations(large, viewer=Canvas())",
}
DRAGGED = {  # widgets that are drawn while the pointer moves: (selector, cell)
    "ErrorPlane": (".bpttviz-error-plane", "bv.ErrorPlane(small)"),
}
if importlib.util.find_spec("bpttviz.widgets.foggy_valley"):
    DRAGGED["FoggyValley"] = (".bpttviz-foggy-valley", "bv.FoggyValley()")

PLAY = """async ([seconds, options]) => {
    const player = document.querySelector(".bpttviz-player").bpttvizPlayer;
    player.set(options);
    Object.assign(player.clock, { rate: 1000, loop: true });
    player.togglePlay();
    const wait = (s) => new Promise((resolve) => setTimeout(resolve, 1000 * s));
    const [drawn, began] = [player.stage.drawn, performance.now()];
    await wait(seconds);
    player.togglePlay();
    return [player.stage.drawn - drawn, (performance.now() - began) / 1000];
}"""
COUNT = """() => {
    window.painted = 0;
    window.counted = performance.now();
    const count = () => { window.painted++; requestAnimationFrame(count); };
    requestAnimationFrame(count);
}"""


def open_cell(chromium, folder, address, token, cell):
    """A notebook that shows one widget."""
    cells = [SETUP, f"widget = {cell}\nwidget"]
    notebook = browser.Notebook(chromium, folder, address, token, cells)
    notebook.page.set_viewport_size({"width": 1280, "height": 800})  # a laptop's
    return notebook


def processor_time() -> float:
    """Seconds spent so far by all of Chromium."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if "chrom" in process.name():
                times = process.cpu_times()
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def play(notebook, seconds: float) -> dict[str, str]:
    """How fast a player plays if it plays as fast as it can: plain, and with everything on."""
    page = notebook.page
    page.wait_for_selector(".bpttviz-player")
    page.wait_for_function(
        "document.querySelector('.bpttviz-player').bpttvizPlayer.stage.drawn > 0"
    )
    page.locator(".bpttviz-player").scroll_into_view_if_needed()
    page.wait_for_timeout(4000)  # nglview goes on building after its first frame
    results = {}
    for name, on in (("plain", False), ("arrows and images", True)):
        options = {"arrows": on, "images": on}
        page.evaluate(PLAY, [1, options])  # what is shown for the first time takes longer
        before = processor_time()
        frames, took = page.evaluate(PLAY, [seconds, options])
        spent = 1000 * (processor_time() - before) / frames
        results[name] = f"{frames / took:.1f} frames/s, {spent:.0f} ms of processor each"
    return results


def drag(notebook, selector: str, seconds: float) -> float:
    """Frames a second while the pointer, pressed, goes to and fro over a widget."""
    page = notebook.page
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.evaluate(COUNT)
    moves = 0
    while page.evaluate("performance.now() - window.counted") < 1000 * seconds:
        part = 0.3 + 0.4 * ((moves % 40) / 40)
        page.mouse.move(box["x"] + part * box["width"], box["y"] + part * box["height"])
        moves += 1
    page.mouse.up()
    return page.evaluate("1000 * window.painted / (performance.now() - window.counted)")


def main(seconds: float) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.chromium() as chromium,
        browser.jupyterlab(Path(folder)) as (address, token),
    ):
        folder = Path(folder)
        for name, cell in PLAYERS.items():
            notebook = open_cell(chromium, folder, address, token, cell)
            notebook.run()
            rates = play(notebook, seconds)
            lines = [f"  {what}: {rate}" for what, rate in rates.items()]
            print(name, *lines, sep="\n", flush=True)
            notebook.page.close()
        for name, (selector, cell) in DRAGGED.items():
            notebook = open_cell(chromium, folder, address, token, cell)
            notebook.run()
            rate = drag(notebook, selector, seconds)
            print(f"{name}\n  dragging: {rate:.1f} frames/s", flush=True)
            notebook.page.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5)
