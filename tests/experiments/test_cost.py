"""The meter readings behind the cost figure: small, real ones."""

import json
import os
import time

import pytest
import torch

from bpttviz import plotting
from bpttviz.experiments import cost
from bpttviz.experiments.machine import machine_here
from bpttviz.profiling import time_spent


@pytest.mark.slow
def test_costs_are_measured_once_and_kept(tmp_path):
    made = cost.measure_costs(tmp_path, steps=(1, 3), modes=("full",))
    assert [(r["mode"], r["steps"]) for r in made] == [("full", 1), ("full", 3)]
    slope = cost.memory_slope(made)
    assert slope > 100e6, "a kept CHGNet graph takes more than 100 MB a step"
    lines = (tmp_path / cost.FILE).read_text()
    assert cost.measure_costs(tmp_path, (1, 3), ("full",)) == made
    assert (tmp_path / cost.FILE).read_text() == lines
    picture = plotting.plot_costs(made)
    assert "full" in picture.alt_text
    assert len(picture.png()) > 5000


def line(mode, steps, peak):
    return {
        "mode": mode, "steps": steps, "device": "cpu", "seconds": 1.0, "base_bytes": 5e8,
        "peak_bytes": peak, "evaluations": steps, "solver_products": 0,
        "machine": machine_here(torch.device("cpu")),
    }  # fmt: skip


def test_what_would_not_fit_is_left_out_and_said(tmp_path):
    known = [line("full", 5, 1.5e9), line("full", 10, 2.5e9)]
    (tmp_path / cost.FILE).write_text("".join(json.dumps(r) + "\n" for r in known))
    made = cost.measure_costs(tmp_path, steps=(5, 10, 20), modes=("full",), memory_limit=4e9)
    assert made[-1]["skipped"] == "would need about 4.5 GB"
    text = cost.format_costs(made)
    assert "too large" in text
    assert "200.00" in text  # MB a step


def test_a_folders_measurements_of_another_device_are_not_mixed_in(tmp_path):
    here, there = line("full", 5, 1e9), line("full", 5, 9e9) | {
        "device": "cuda", "machine": machine_here(torch.device("cuda")),
    }  # fmt: skip
    (tmp_path / cost.FILE).write_text("".join(json.dumps(r) + "\n" for r in (here, there)))
    assert cost.measure_costs(tmp_path, steps=(5,), modes=("full",)) == [here]
    assert cost.measure_costs(tmp_path, (5,), ("full",), device="cuda") == [there]


def test_what_did_not_fit_is_tried_again(tmp_path, monkeypatch):
    """The next time there may be more memory; and timings of two machines are not mixed."""
    known = [line("full", 5, 1.5e9), line("full", 10, 2.5e9)]
    (tmp_path / cost.FILE).write_text("".join(json.dumps(r) + "\n" for r in known))
    cost.measure_costs(tmp_path, steps=(20,), modes=("full",), memory_limit=4e9)
    others = cost.measure_costs(tmp_path, steps=(5,), modes=("full",), memory_limit=4e9)
    assert [r for r in others if "skipped" in r], "what was not asked for again stays"
    monkeypatch.setattr(cost, "_in_fresh_process", lambda *_: line("full", 20, 4.5e9))
    made = cost.measure_costs(tmp_path, steps=(20,), modes=("full",), memory_limit=9e9)
    assert made[-1]["peak_bytes"] == 4.5e9
    assert [r["steps"] for r in made] == [5, 10, 20]
    (tmp_path / cost.FILE).write_text(json.dumps(known[0] | {"machine": "an abacus"}) + "\n")
    with pytest.raises(ValueError, match=r"measured on another machine \(an abacus; this is"):
        cost.measure_costs(tmp_path, steps=(5,), modes=("full",))


def test_a_damaged_line_is_named(tmp_path):
    half = json.dumps(line("full", 10, 2e9))[:20]
    (tmp_path / cost.FILE).write_text(json.dumps(line("full", 5, 1e9)) + "\n" + half)
    with pytest.raises(ValueError, match=r"line 2 of .*cost\.jsonl is damaged .*; delete it"):
        cost.measure_costs(tmp_path, steps=(5,), modes=("full",))


def spent(*seconds, system=0.0):
    """Meter readings of which ``system`` seconds each went to the system's kernel."""
    return [{"seconds": s, "user": s - system, "system": system} for s in seconds]


def test_ratios_are_paired():
    paired = {
        "steps": 10, "force_loss": spent(1.0, 2.0, 4.0), "full": spent(1.6, 2.9, 4.7, system=0.5),
        "checkpointed": spent(1.5, 3.0, 6.0), "parts": {"forces without graph": 0.1},
    }  # fmt: skip
    text = cost.format_costs([line("full", 5, 1e9)], paired)
    assert "full: 1.45 (1.18 to 1.60) on the clock, 1.10 (1.05 to 1.20) in computing time" in text
    assert "0.50 s a gradient go to the system" in text
    assert "checkpointed: 1.50" in text


def test_time_is_told_apart_from_computing():
    def busy():
        until = os.times().user + 0.1
        while os.times().user < until:
            pass

    made, waited = time_spent(busy), time_spent(lambda: time.sleep(0.2))
    assert made["user"] >= 0.09
    assert waited["seconds"] >= 0.2
    assert waited["user"] + waited["system"] < 0.1
