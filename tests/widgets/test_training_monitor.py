"""The monitor's Python side: a training in the background, and what is shown of it."""

import asyncio
import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from springs import network
from taught import SETTINGS, labelled, objective, references, weights

import bpttviz as bv
from bpttviz.training import summary
from bpttviz.training.background import get_or_create_training

PATHS = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "helpers")]

SHORT = {k: v for k, v in SETTINGS.items() if k != "progress"}


def monitor(out, **changes):
    call = {**SHORT, "out": out, **changes}
    data = call.pop("data", None) or references(3)
    return bv.TrainingMonitor(network(), data, call.pop("objective", objective(True)), **call)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Slow(bv.EndpointLoss):
    """Takes its time over each structure, so that a test can act meanwhile."""

    def loss(self, potential, chosen):
        time.sleep(0.05)
        return super().loss(potential, chosen)


def slow():
    usual = objective(True)
    return Slow(usual.rule, usual.stop)


class TestTraining:
    def test_it_trains_as_finetune_does(self, tmp_path):
        run = monitor(tmp_path).wait()
        plain = bv.finetune(network(), references(3), objective(True), **SETTINGS)
        assert run.status == "finished"
        assert torch.equal(weights(run.potential), weights(plain.potential))
        assert torch.equal(run.rule.step_size, plain.rule.step_size)
        assert bv.load_run(tmp_path).status == "finished"

    def test_start_returns_at_once_and_stop_leaves_a_run_that_resumes(self, tmp_path):
        shown = monitor(tmp_path, objective=slow())
        assert shown.status == "ready"
        began = time.monotonic()
        shown.start()
        assert time.monotonic() - began < 1
        assert shown.status == "running"
        until(lambda: len(shown.run.history) >= 2)
        shown.stop()
        run = shown.wait()
        assert run.status == shown.status == bv.load_run(tmp_path).status == "interrupted"
        assert 2 <= len(run.history) < 9
        assert shown.wait() is run  # waiting starts nothing anew
        resumed = shown.start().wait()
        whole = bv.finetune(network(), references(3), objective(True), **SETTINGS)
        assert resumed.status == "finished"
        assert torch.equal(weights(resumed.potential), weights(whole.potential))

    def test_start_right_after_stop_goes_on(self, tmp_path):
        shown = monitor(tmp_path, objective=slow()).start()
        until(lambda: shown.run.history)
        shown.stop().start()
        assert shown.wait().status == "finished"

    def test_the_same_cell_again_finds_the_training_that_goes_on(self, tmp_path):
        first = monitor(tmp_path, objective=slow()).start()
        until(lambda: first.run.history)
        threads = threading.active_count()
        again = monitor(tmp_path / ".." / tmp_path.name, objective=slow()).start()
        assert again.training is first.training
        assert threading.active_count() == threads
        assert again.data["button"] == ["stop", "■ Stop"]
        again.stop()
        assert first.wait().status == "interrupted"
        assert first.data["button"] == again.data["button"] == ["start", "▶ Resume"]
        # Run once more after the stop: the state comes from disk, and goes on.
        third = monitor(tmp_path, objective=slow())
        assert third.status == "interrupted"
        assert third.run.history == bv.load_run(tmp_path).history
        assert third.start().wait().status == "finished"

    def test_a_longer_plan_reaches_the_training_that_goes_on(self, tmp_path):
        first = monitor(tmp_path, objective=slow()).start()
        monitor(tmp_path, objective=slow(), epochs=4)
        assert len(first.wait().history) == 12
        longer = monitor(tmp_path, objective=slow(), epochs=5)
        assert (longer.status, longer.data["plan"]) == ("interrupted", 15)
        assert len(longer.wait().history) == 15

    def test_other_settings_are_refused_at_once_whether_it_goes_on_or_not(self, tmp_path):
        first = monitor(tmp_path, objective=slow()).start()
        with pytest.raises(bv.RunError, match="other settings.*learning_rate"):
            monitor(tmp_path, objective=slow(), learning_rate=0.5)
        first.stop().wait()
        with pytest.raises(bv.RunError, match="other settings.*learning_rate"):
            monitor(tmp_path, learning_rate=0.5)
        with pytest.raises(TypeError, match="no_such_setting"):
            monitor(tmp_path, no_such_setting=1)
        with pytest.raises(ValueError, match="at least 1"):
            monitor(tmp_path, epochs=0)

    def test_an_error_is_shown_and_raised_by_wait_and_loses_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DISK_GONE", "yes")

        class Breaks(bv.EndpointLoss):
            def loss(self, potential, chosen):
                # not a flag of the class: a run belongs to the code that made it
                if "DISK_GONE" in os.environ and chosen.names == ["r2"]:
                    raise OSError("the disk is gone")
                return super().loss(potential, chosen)

        usual = objective(True)
        shown = monitor(tmp_path, objective=Breaks(usual.rule, usual.stop))
        with pytest.raises(OSError, match="the disk is gone"):
            shown.wait()
        assert shown.status == shown.data["status"] == "failed"
        assert shown.data["error"] == "OSError: the disk is gone"
        assert shown.data["button"] == ["start", "▶ Try again"]
        assert "the disk is gone" in repr(shown) or "error" in repr(shown)
        done = len(bv.load_run(tmp_path).history)
        assert done == len(shown.run.history)
        monkeypatch.delenv("DISK_GONE")
        assert shown.start().wait().status == "finished"
        assert shown.data["error"] is None

    def test_a_view_that_breaks_does_not_end_training(self, tmp_path):
        shown = monitor(tmp_path)

        def broken(_):
            raise RuntimeError("the page was closed")

        shown.training.subscribe(broken)
        with pytest.warns(UserWarning, match="goes on unwatched.*page was closed"):
            run = shown.wait()
        assert run.status == "finished"

    def test_interrupting_the_cell_that_waits_stops_training(self, tmp_path, monkeypatch):
        shown = monitor(tmp_path, objective=slow()).start()
        until(lambda: shown.run.history)
        join, calls = threading.Thread.join, []

        def interrupted_once(thread, timeout=None):
            calls.append(thread)
            if len(calls) == 1:
                raise KeyboardInterrupt
            join(thread, timeout)

        monkeypatch.setattr(threading.Thread, "join", interrupted_once)
        assert shown.wait().status == "interrupted"

    def test_it_can_be_awaited_and_cancelled(self, tmp_path):
        async def patient():
            ticks, shown = [], monitor(tmp_path / "a", objective=slow())

            async def tick():
                while True:
                    ticks.append(1)
                    await asyncio.sleep(0.01)

            other = asyncio.create_task(tick())
            run = await shown
            other.cancel()
            return run, len(ticks)

        run, ticks = asyncio.run(patient())
        assert run.status == "finished"
        assert ticks > 10  # the loop was free

        async def impatient():
            shown = monitor(tmp_path / "b", objective=slow()).start()
            waiting = asyncio.ensure_future(shown.training.ended())
            await asyncio.sleep(0.3)
            waiting.cancel()  # as a notebook's ■ does
            return await waiting

        assert asyncio.run(impatient()).status == "interrupted"

    def test_a_process_that_ends_leaves_a_run_that_can_be_resumed(self, tmp_path):
        script = f"""
            import sys
            sys.path[:0] = {PATHS!r}
            from test_training_monitor import monitor, slow, until
            shown = monitor({str(tmp_path)!r}, objective=slow()).start()
            until(lambda: len(shown.run.history) == 2)
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
        assert done.returncode == 0
        assert bv.load_run(tmp_path).status == "interrupted"
        assert len(bv.load_run(tmp_path).history) >= 2

    def test_a_forgotten_training_is_forgotten(self, tmp_path):
        def make():
            from bpttviz.training.trainer import Trainer

            return Trainer(network(), references(3), objective(), epochs=1, out=tmp_path)

        training = get_or_create_training(make)
        assert get_or_create_training(make) is training
        before = id(training)
        del training
        gc.collect()
        other = get_or_create_training(make)
        assert other.status == "ready"
        assert id(other) != before or other.run.history == []


class TestWhatIsShown:
    def test_everything_recorded_reaches_the_front_end(self, tmp_path):
        data = labelled(5, frames=2)
        shown = monitor(tmp_path, data=data[:3], validation=data[3:])
        run = shown.wait()
        sent = json.loads(json.dumps(shown.data, allow_nan=False))
        assert (sent["status"], sent["button"], sent["updates"], sent["plan"]) == (
            "finished", None, 9, 9,
        )  # fmt: skip
        assert sent["loss"]["training"] == [[h["update"], h["loss"]] for h in run.history]
        assert sent["loss"]["validation"] == [[v["update"], v["value"]] for v in run.validations]
        assert sent["loss"]["best"][1] == min(v["value"] for v in run.validations)
        assert sent["loss"]["label"] == "endpoint error ΔQ / amu^½ Å"
        assert len(sent["forces"]) == 4
        assert sent["peak"] > 1e7
        assert [steps for steps, _ in sent["gradient"]["profiles"]] == [list(range(1, 16))] * 9
        assert sent["gradient"]["profiles"][-1][1][-1] == 1
        assert sent["gradient"]["verdict"] in summary.MEANINGS

    def test_the_force_error_is_the_mean_over_components_and_frames(self, tmp_path):
        data = labelled(5, frames=2)
        run = monitor(tmp_path, data=data[:3], validation=data[3:], force_frames=2).wait()
        # The first validation is of the untrained potential.
        untrained, errors = network(), []
        for reference in data[3:]:
            frames, forces = reference.frames([0, 1])
            with torch.no_grad():
                errors.append(float((untrained(frames).forces - forces).abs().mean()))
        expected = np.mean(errors)
        assert run.validations[0]["force_error"] == pytest.approx(expected, rel=1e-3)
        assert all(v["seconds"] >= 0 for v in run.validations)
        unmeasured = monitor(tmp_path / "b", data=data[:3], validation=data[3:], force_frames=0)
        assert "force_error" not in unmeasured.wait().validations[0]

    def test_messages_are_few_and_important_ones_are_not_lost(self, tmp_path):
        shown, sent = monitor(tmp_path), []
        shown.observe(lambda change: sent.append(change["new"]), "data")
        shown.wait()
        assert [s["updates"] for s in sent if s["updates"]][-1] == 9
        assert {s["status"] for s in sent} >= {"running", "finished"}
        assert len(sent) < 40  # of some 400 steps

    def test_a_thousand_updates_stay_light(self):
        history = [
            {"update": n, "epoch": 1, "loss": 1 / n, "gradient_norm": 2.0, "seconds": 1.0,
             "sensitivity": [[t, 1.0] for t in range(1, 81)], "peak_bytes": 10**9,
             "structures": ["a"], "left_out": []}
            for n in range(1, 1001)
        ]  # fmt: skip
        run = bv.Run(
            network(), None, history, [], {"objective": {"class": "ForceLoss"}}, "finished"
        )
        shown = bv.TrainingMonitor.of(run)
        assert len(json.dumps(shown.data)) < 60_000
        assert shown.data["loss"]["training"][0] == (1, 1.0)
        assert shown.data["loss"]["training"][-1] == (1000, 1 / 1000)
        assert shown.data["loss"]["label"] == "loss"

    def test_a_folder_from_disk_and_a_run_of_an_earlier_version(self, tmp_path):
        run = bv.finetune(network(), references(3), objective(), **SETTINGS, out=tmp_path / "run")
        shown = bv.TrainingMonitor.of(tmp_path / "run")
        assert shown.data["button"] is None
        assert shown.data["updates"] == 9
        assert "Training over 9 updates" in repr(shown)
        for update in run.history:
            for key in ("sensitivity", "peak_bytes", "left_out"):
                del update[key]
        old = bv.TrainingMonitor.of(run)
        assert old.data["gradient"]["profiles"] == []
        assert old.data["peak"] is None
        assert old.picture().png()

    def test_structures_left_out_are_named(self, tmp_path):
        class Sometimes(bv.EndpointLoss):
            def loss(self, potential, chosen):
                value = super().loss(potential, chosen)
                return value * torch.nan if chosen.names == ["r1"] else value

        usual = objective(True)
        shown = monitor(tmp_path, objective=Sometimes(usual.rule, usual.stop))
        with pytest.warns(UserWarning, match="r1 was left out"):
            shown.wait()
        assert shown.data["notes"] == [
            "r1 was left out of 3 updates: its relaxation diverged, or it had no usable gradient"
        ]

    def test_the_button_speaks_to_the_training(self, tmp_path):
        shown = monitor(tmp_path, objective=slow())
        shown._handle_custom_msg({"do": "start"}, [])
        assert shown.status == "running"
        shown._handle_custom_msg({"do": "stop"}, [])
        assert shown.wait().status == "interrupted"
        (tmp_path / "run.safetensors").write_text("spoiled")
        shown._handle_custom_msg({"do": "start"}, [])
        assert shown.status == "failed"
        assert "damaged" in shown.data["error"]

    def test_the_static_picture_is_brought_up_to_date(self, tmp_path, monkeypatch):
        shown, displayed = monitor(tmp_path), []
        monkeypatch.setattr(
            "bpttviz.widgets.static.display",
            lambda data, **options: displayed.append((data, options)),
        )
        shown._ipython_display_()
        shown.wait()
        (_, _), (first, place), (last, update) = displayed
        assert update["update"] is True
        assert update["display_id"] == place["display_id"]
        assert "Training over 0 updates" in first["text/html"]
        assert 'alt="Training over 9 updates' in last["text/html"]
        page = shown.save_html(tmp_path / "page.html").read_text()
        assert "Training over 9 updates" in page
        assert len(page) < 200_000


@pytest.mark.slow
def test_in_a_kernel_the_button_reaches_a_cell_that_awaits(tmp_path):
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    opened = []

    def note(message):
        if message["msg_type"] == "comm_open" and "anywidget" in str(message["content"]["data"]):
            opened.append(message["content"]["comm_id"])

    def execute(code):
        reply = client.execute_interactive(code, timeout=120, output_hook=note)
        assert reply["content"]["status"] == "ok"

    try:
        execute(
            f"import sys\nsys.path[:0] = {PATHS!r}\n"
            "from test_training_monitor import monitor, slow\n"
            f"shown = monitor({str(tmp_path)!r}, objective=slow(), epochs=1000).start()\nshown"
        )
        client.execute("run = await shown")
        time.sleep(1)
        content = {"comm_id": opened[0], "data": {"method": "custom", "content": {"do": "stop"}}}
        client.shell_channel.send(client.session.msg("comm_msg", content))
        assert client.get_shell_msg(timeout=60)["content"]["status"] == "ok"
        execute("assert run.status == shown.status == 'interrupted'")
    finally:
        manager.shutdown_kernel(now=True)
    assert bv.load_run(tmp_path).status == "interrupted"


class TestWords:
    def way(self, *norms):
        return summary.gradient_profile({"sensitivity": [[t, n] for t, n in enumerate(norms, 3)]})

    @pytest.mark.parametrize(
        ("norms", "verdict"),
        [
            ((0.9, 0.95, 1.0), "healthy"),
            ((0.001, 0.1, 1.0), "vanishing"),
            ((30.0, 5.0, 1.0), "exploding"),
            ((1.0, None, 1.0), "exploding"),
            ((0.0, 0.0, 0.0), "nothing to learn"),
        ],
    )
    def test_vanishing_or_exploding(self, norms, verdict):
        way = self.way(*norms)
        assert way.verdict == verdict
        text = summary.format_gradient([self.way(0.5, 1.0, 1.0), way])
        assert text.startswith(f"{verdict}: {summary.MEANINGS[verdict]}")
        if verdict == "vanishing":
            assert "Of a gradient of size 1 at step 5, 0.001 arrive at step 3." in text
        if verdict != "healthy":
            assert f"The last 2 updates: 1 healthy, 1 {verdict}." in text

    def test_no_way_through_time(self):
        assert summary.gradient_profile({"sensitivity": [[40, 1.0]]}) is None
        assert summary.gradient_profile({}) is None
        assert summary.format_gradient([]) == "No gradient through time yet."

    def test_the_time_left(self):
        history = [{"update": n, "seconds": 100.0} for n in (1, 2)]
        history += [{"update": n, "seconds": 2.0} for n in range(3, 20)]
        run = SimpleNamespace(history=history, validations=[{"epoch": 1, "seconds": 5.0}])
        # one more update of 2 s, and 3 validations of 5 s
        assert summary.seconds_left(run, 20, 4) == pytest.approx(2 + 15)
        assert summary.seconds_left(SimpleNamespace(history=[], validations=[]), 20, 4) is None

    def test_curves_keep_their_ends(self):
        records = [{"update": n, "loss": None if n == 4 else float(n)} for n in range(1, 12)]
        assert summary.curve(records, "loss") == [(n, float(n)) for n in range(1, 12) if n != 4]
        subsample = summary.curve(records, "loss", 4)
        assert subsample[0] == (1, 1.0)
        assert subsample[-1] == (11, 11.0)
        assert len(subsample) <= 5
        assert summary.curve([], "loss", 4) == []
