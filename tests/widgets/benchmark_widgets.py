"""Frame rates of the widgets in JupyterLab in a headless, software-rendered Chromium.

    PYTHONPATH=tests/helpers python tests/widgets/benchmark_widgets.py \\
        [seconds a measurement] [part of a widget's name]

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
from bpttviz.widgets.ngl import NGLPanes
small, large = made_up.report(), made_up.report(cells=4, steps=200)
"""
PLAYERS = {  # what is shown -> the cell that shows it
    "nglview, 64 atoms": "bv.CompareRelaxations(small, viewer=NGLPanes())",
    "canvas, 64 atoms": "bv.CompareRelaxations(small, viewer=Canvas())",
    "nglview, 512 atoms": "bv.CompareRelaxations(large, viewer=NGLPanes())",
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
    for name, options in (
        ("plain", {"arrows": False, "images": False}),
        ("arrows", {"arrows": True, "images": False}),
        ("arrows and images", {"arrows": True, "images": True}),
    ):
        page.evaluate(PLAY, [1, options])  # what is shown for the first time takes longer
        before = processor_time()
        frames, took = page.evaluate(PLAY, [seconds, options])
        spent = 1000 * (processor_time() - before) / frames
        results[name] = f"{frames / took:.1f} frames/s, {spent:.0f} ms of processor each"
    page.evaluate(PLAY, [0, {"arrows": True, "images": False}])
    before = processor_time()
    rate = drag(notebook, ".jp-OutputArea canvas:not(.still) >> visible=true >> nth=0", seconds)
    spent = 1000 * (processor_time() - before) / (rate * seconds)
    results["dragged, with arrows"] = f"{rate:.1f} frames/s, {spent:.0f} ms of processor each"
    return results


def weight(notebook) -> str:
    """Of what a notebook and a page keep of a widget, kB."""
    sizes = notebook.python(
        "import json, ipywidgets\n"
        "state = ipywidgets.Widget.get_manager_state()['state']\n"
        "own = {m for m, s in state.items() if 'ngl' in str(s['model_module'])}\n"
        "kept = sum(len(json.dumps(state[m])) for m in own)\n"
        "print(kept // 1000, widget.save_html('page.html').stat().st_size // 1000)"
    ).split()
    return f"{sizes[0]} kB in the notebook beside the player's own; its page {sizes[1]} kB"


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


def main(seconds: float, only: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        browser.chromium() as chromium,
        browser.jupyterlab(Path(folder)) as (address, token),
    ):
        folder = Path(folder)
        for name, cell in PLAYERS.items():
            if only not in name:
                continue
            notebook = open_cell(chromium, folder, address, token, cell)
            notebook.run()
            rates = play(notebook, seconds)
            lines = [f"  {what}: {rate}" for what, rate in rates.items()]
            lines.append(f"  {weight(notebook)}")
            print(name, *lines, sep="\n", flush=True)
            notebook.page.close()
        for name, (selector, cell) in DRAGGED.items():
            if only not in name:
                continue
            notebook = open_cell(chromium, folder, address, token, cell)
            notebook.run()
            rate = drag(notebook, selector, seconds)
            print(f"{name}\n  dragging: {rate:.1f} frames/s", flush=True)
            notebook.page.close()


if __name__ == "__main__":
    seconds, only, *_ = [*sys.argv[1:], *("5", "")[len(sys.argv) - 1 :]]
    main(float(seconds), only)
