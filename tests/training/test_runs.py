"""Runs on disk: nothing is lost, nothing is mixed up, nothing is executed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from springs import network
from taught import SETTINGS, labelled, objective, references, weights

import bpttviz as bv
from bpttviz.training import checkpoint

HELPERS = str(Path(__file__).parents[1] / "helpers")


def test_a_finished_run_is_loaded_not_repeated_and_can_be_prolonged(tmp_path):
    train = references()
    run = bv.finetune(network(), train, objective(), **SETTINGS, out=tmp_path)
    calls = []
    again = bv.finetune(
        network(), train, objective(), **SETTINGS, out=tmp_path, on_update=calls.append
    )
    assert not calls
    assert torch.equal(weights(again.potential), weights(run.potential))
    longer = bv.finetune(network(), train, objective(), **{**SETTINGS, "epochs": 4}, out=tmp_path)
    straight = bv.finetune(network(), train, objective(), **{**SETTINGS, "epochs": 4})
    assert torch.equal(weights(longer.potential), weights(straight.potential))


def test_other_settings_do_not_resume(tmp_path):
    train = references()
    bv.finetune(network(), train, objective(), **SETTINGS, out=tmp_path)
    with pytest.raises(bv.RunError, match="other settings.*learning_rate: saved 0.02, now 0.01"):
        bv.finetune(
            network(),
            train,
            objective(),
            epochs=3,
            learning_rate=0.01,
            progress=False,
            out=tmp_path,
        )
    with pytest.raises(bv.RunError, match="initial_weights"):
        bv.finetune(network(seed=9), train, objective(), **SETTINGS, out=tmp_path)


def test_a_run_comes_back_from_disk(tmp_path):
    run = bv.finetune(network(), references(), objective(True), **SETTINGS, out=tmp_path)
    loaded = bv.load_run(tmp_path)
    assert torch.equal(weights(loaded.potential), weights(run.potential))
    assert torch.equal(loaded.rule.step_size, run.rule.step_size)
    assert loaded.history == run.history
    assert loaded.settings == run.settings
    into = network(seed=7)
    assert bv.load_run(tmp_path, potential=into).potential is into
    assert torch.equal(weights(into), weights(run.potential))
    with pytest.raises(bv.RunError, match="do not fit"):
        bv.load_run(tmp_path, potential=network(atoms=5))


def test_a_rule_for_a_run_that_has_none_is_told(tmp_path):
    bv.finetune(network(), labelled(1), bv.ForceLoss(2), **SETTINGS, out=tmp_path)
    with pytest.warns(UserWarning, match="has no rule: the one passed takes nothing from it"):
        assert bv.load_run(tmp_path, rule=bv.GradientDescent(0.1)).rule is None
    with pytest.raises(TypeError, match="rule must be"):
        bv.load_run(tmp_path, rule=0.1)


def test_files_that_are_not_ours_are_refused_unopened(tmp_path):
    with pytest.raises(bv.RunError, match="there is no run in"):
        bv.load_run(tmp_path)
    file = tmp_path / checkpoint.FILE

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    torch.save({"weights": Bomb()}, file)
    with pytest.raises(bv.RunError, match="not a safetensors file.*pickled checkpoints"):
        bv.load_run(tmp_path)
    assert not (tmp_path / "exploded").exists()
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(bv.RunError, match="not a bpttviz run"):
        bv.load_run(tmp_path)
    save_file({"x": torch.zeros(1)}, file, {"bpttviz": '{"format": "bpttviz-run", "version": 99}'})
    with pytest.raises(bv.RunError, match="newer bpttviz"):
        bv.load_run(tmp_path)


def test_a_truncated_run_file_is_named(tmp_path):
    bv.finetune(network(), references(), objective(), **SETTINGS, out=tmp_path)
    file = tmp_path / checkpoint.FILE
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(bv.RunError, match=r"run.safetensors.*damaged"):
        bv.load_run(tmp_path)


def test_a_full_disk_leaves_the_previous_state_readable(tmp_path, monkeypatch):
    train = references()
    first = bv.finetune(network(), train, objective(), **{**SETTINGS, "epochs": 1}, out=tmp_path)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(bv.RunError, match=r"No space left.*saved before is intact"):
        bv.finetune(network(), train, objective(), **SETTINGS, out=tmp_path)
    monkeypatch.undo()
    assert torch.equal(weights(bv.load_run(tmp_path).potential), weights(first.potential))
    assert sorted(f.name for f in tmp_path.iterdir()) == ["run.json", "run.safetensors"]


@pytest.mark.parametrize("device", ["cuda", "mps", "gpu"])
def test_a_device_that_is_not_there_is_told_first(device, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"device.*{device}") as told:
        bv.load_run(bv.shipped_runs()[0], device=device)
    assert "pass it" not in str(told.value)


def test_killed_while_saving_leaves_the_previous_state_readable(tmp_path):
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {HELPERS!r})
        import bpttviz as bv
        from springs import network
        from taught import SETTINGS, objective, references
        out = {str(tmp_path)!r}
        bv.finetune(network(), references(), objective(), **{{**SETTINGS, "epochs": 1}}, out=out)
        def killed(unfinished, target):
            os.truncate(unfinished, 500)
            os.kill(os.getpid(), signal.SIGKILL)
        os.replace = killed
        bv.finetune(network(), references(), objective(), **SETTINGS, out=out)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    run = bv.load_run(tmp_path)
    assert len(run.history) == len(references())
    resumed = bv.finetune(network(), references(), objective(), **SETTINGS, out=tmp_path)
    whole = bv.finetune(network(), references(), objective(), **SETTINGS)
    assert torch.equal(weights(resumed.potential), weights(whole.potential))
    assert sorted(f.name for f in tmp_path.iterdir()) == ["run.json", "run.safetensors"]


def test_an_error_in_training_loses_no_update(tmp_path):
    def fails(run):
        if len(run.history) == 4:
            raise OSError("the monitor is gone")

    with pytest.raises(OSError, match="monitor"):
        bv.finetune(network(), references(), objective(), **SETTINGS, out=tmp_path, on_update=fails)
    assert len(bv.load_run(tmp_path).history) == 4


def test_a_folder_that_cannot_be_written_is_found_out_at_once(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    calls = []
    with pytest.raises(bv.RunError, match="nothing was saved yet"):
        bv.finetune(
            network(),
            references(),
            objective(),
            **SETTINGS,
            out=tmp_path / "taken",
            on_update=calls.append,
        )
    assert not calls
