"""The training monitor in a real JupyterLab: CHGNet trains, is watched, stopped and resumed."""

import time

import browser
import numpy as np
import pytest
from browser import keep

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# 64 atoms, steps enough for a click in the middle of a pass, and no machine too fast for it.
SETUP = """
import time, torch, bpttviz as bv
torch.set_num_threads(1)
chgnet = bv.CHGNet()
pacing = chgnet.register_forward_pre_hook(lambda *_: time.sleep(0.15))
of_64 = [r for r in bv.load_dataset("si-defects").all if len(r.start.positions) == 64]
train, held_out = bv.RelaxationDataset(of_64[:2]), bv.RelaxationDataset(of_64[2:3])
objective = bv.EndpointLoss(bv.GradientDescent(0.06), bv.StoppingCriterion(4))
"""
CELL = """
monitor = bv.TrainingMonitor(
    chgnet, train, objective, epochs=3, out="runs/demo", validation=held_out, force_frames=2
)
monitor
"""


@pytest.fixture(scope="module")
def notebook(chromium, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with browser.jupyterlab(folder) as (address, token):
        opened = browser.Notebook(chromium, folder, address, token, [SETUP, CELL])
        opened.run()
        opened.page.wait_for_selector(".bpttviz-training button")
        yield opened


def view(notebook):
    return notebook.page.locator(".bpttviz-training").first


def press(notebook, name):
    view(notebook).get_by_role("button", name=name).click()


def wait_for(notebook, condition, timeout=60):
    """Wait until a condition on `data`, what the page was told last, holds."""
    notebook.page.wait_for_function(
        "(condition) => { const data = document.querySelector('.bpttviz-training').bpttvizData;"
        " return new Function('data', `return ${condition}`)(data); }",
        arg=condition,
        timeout=1000 * timeout,
    )


def told(notebook):
    return notebook.page.evaluate("document.querySelector('.bpttviz-training').bpttvizData")


def test_it_waits_to_be_started(notebook):
    assert "ready to start" in view(notebook).inner_text()
    assert view(notebook).get_by_role("button").inner_text() == "▶ Start"
    assert browser.colours(keep("training-ready", view(notebook).screenshot())) > 10


def test_live_updates_flow_while_it_trains(notebook):
    press(notebook, "Start training")
    wait_for(notebook, "data.status === 'running' && data.pulse[0] > 2")
    pulses = set()
    deadline = time.monotonic() + 20
    while len(pulses) < 4:
        assert time.monotonic() < deadline
        pulses.add(tuple(told(notebook)["pulse"]))
        notebook.page.wait_for_timeout(100)
    wait_for(notebook, "data.updates >= 1 && data.left !== null")
    assert notebook.python("print(6 * 7)") == "42"  # the kernel is free meanwhile
    shown = told(notebook)
    assert shown["gradient"]["profiles"][0][0] == list(range(1, 5))
    assert shown["memory"] > 1e8
    dots = view(notebook).locator("svg circle.dot")
    assert dots.count() >= 1 + 4  # an update's loss, a gradient's steps
    keep("training-running", view(notebook).screenshot())


@pytest.mark.parametrize("passed", ["forward", "backward"])
def test_a_click_on_stop_stops_within_two_seconds(notebook, passed):
    if told(notebook)["status"] != "running":
        press(notebook, "Resume training")
    # After 5 forces forward (4 steps, and the end) come the replayed ones.
    steps = {"forward": "data.pulse[0] >= 1 && data.pulse[0] <= 3", "backward": "data.pulse[0] > 6"}
    wait_for(notebook, f"data.status === 'running' && {steps[passed]}")
    before = notebook.page.evaluate("performance.now()")
    press(notebook, "Stop training")
    wait_for(notebook, "data.status === 'interrupted'")
    took = notebook.page.evaluate("performance.now()") - before
    print(f"{passed}: stopped {took:.0f} ms after the click")
    assert took < 2000
    notebook.wait_until("bv.load_run('runs/demo').status", "interrupted")
    assert view(notebook).get_by_role("button").inner_text() == "▶ Resume"
    keep("training-stopped", view(notebook).screenshot())


def test_running_the_cell_again_finds_the_training(notebook):
    notebook.python("monitor.start()")
    notebook.python("earlier = monitor")
    wait_for(notebook, "data.status === 'running'")
    notebook.run()
    notebook.wait_until("monitor is earlier", False)
    notebook.wait_until("monitor.training is earlier.training", True)
    counted = "sum(t.name == 'bpttviz training' for t in __import__('threading').enumerate())"
    notebook.wait_until(counted, 1)
    wait_for(notebook, "data.status === 'running' && data.pulse[0] > 0")
    assert view(notebook).get_by_role("button").inner_text() == "■ Stop"
    notebook.python("monitor.stop().wait()")  # there are only so many updates to be stopped in


def test_the_button_works_while_a_cell_waits(notebook):
    """An async cell leaves them a way."""
    notebook.page.evaluate(
        """() => {
            const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
            window.waiting = "busy";
            const future = kernel.requestExecute({ code: "run = await monitor.start()" });
            future.done.then(() => { window.waiting = "done"; });
        }"""
    )
    wait_for(notebook, "data.status === 'running' && data.pulse[0] > 0")
    assert notebook.page.evaluate("window.waiting") == "busy"
    press(notebook, "Stop training")
    notebook.page.wait_for_function("window.waiting === 'done'", timeout=10_000)
    notebook.wait_until("run.status", "interrupted")


def test_resumed_it_ends_as_if_it_had_never_been_stopped(notebook):
    view(notebook).get_by_role("button").focus()
    notebook.page.keyboard.press("Enter")  # the keyboard does it too
    wait_for(notebook, "data.status === 'running'")
    wait_for(notebook, "data.status === 'finished'", timeout=180)
    notebook.python(
        "whole = bv.finetune(bv.CHGNet(), train, objective, epochs=3, validation=held_out, "
        "progress=False)"
    )
    same = "[h['loss'] for h in whole.history] == [h['loss'] for h in monitor.run.history]"
    notebook.wait_until(same, True)
    assert view(notebook).get_by_role("button").count() == 0
    assert view(notebook).locator("svg[role=img]").count() == 4
    keep("training-finished", view(notebook).screenshot())


def test_listeners_are_told_politely(notebook):
    region = view(notebook).locator("[role=status]")
    assert region.get_attribute("aria-live") == "polite"
    assert region.inner_text().startswith("Training: finished, epoch 3 of 3 done, validation ")
    assert "Training over 6 updates" in view(notebook).get_attribute("aria-label")


def test_dark(notebook):
    light = np.array([int(c) for c in colour_of(notebook)])
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Dark"})
    notebook.page.wait_for_selector("[data-jp-theme-light=false]", state="attached")
    keep("training-dark", view(notebook).screenshot())
    assert (np.array([int(c) for c in colour_of(notebook)]) > light + 100).all()
    notebook.command("apputils:change-theme", {"theme": "JupyterLab Light"})


def colour_of(notebook):
    return view(notebook).evaluate("e => getComputedStyle(e).color.match(/\\d+/g).slice(0, 3)")


def test_no_complaint_and_no_request_to_anywhere_else(notebook):
    assert notebook.outside == []
    assert notebook.errors == []
