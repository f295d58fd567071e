"""The same training on any number of processes: real ones, also when one of them dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from parallel import (
    LOST,
    as_dictionary,
    fails_in_the_second,
    in_processes,
    other_settings,
    results,
    stops,
    train,
    until_killed,
    whole,
)
from torch import nn

import bpttviz as bv
from bpttviz.cli.main import main
from bpttviz.training.ranks import deal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def alone():
    with pytest.warns(UserWarning, match=f"{LOST} was left out"):
        return as_dictionary(train())


def require_equal(one, other):
    for name, weights in one["weights"].items():
        assert np.abs(weights - other["weights"][name]).max() < 1e-12
    assert one["step"] == pytest.approx(other["step"], abs=1e-12)
    for mine, theirs in zip(one["history"], other["history"], strict=True):
        for same in ("update", "epoch", "structures", "left_out", "undone"):
            assert mine[same] == theirs[same]
        for close in ("loss", "gradient_norm"):
            assert mine[close] == pytest.approx(theirs[close], rel=1e-9)
        steps = [[t for t, _ in run["sensitivity"]] for run in (mine, theirs)]
        assert steps[0] == steps[1]
        norms = [[norm for _, norm in run["sensitivity"]] for run in (mine, theirs)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    for mine, theirs in zip(one["validations"], other["validations"], strict=True):
        assert mine["value"] == pytest.approx(theirs["value"], rel=1e-9)


def test_several_processes_train_as_one(alone, tmp_path):
    assert LOST in [name for update in alone["history"] for name in update["left_out"]]
    two = results(in_processes(2, whole, tmp_path / "two"))
    for found in two:
        require_equal(found, alone)
    assert all((two[0]["weights"][k] == two[1]["weights"][k]).all() for k in two[0]["weights"])
    saved = bv.load_run(tmp_path / "two", bv.Springs.frustrated(4, 1))
    assert saved.status == "finished"
    assert len(saved.history) == 6


def test_a_killed_process_ends_the_others_with_a_sentence_and_a_run_to_resume(tmp_path):
    started = in_processes(2, until_killed, tmp_path)
    pids = [receiver.recv() for _, receiver in started]
    for _ in range(4):
        started[0][1].recv()  # a few updates
    os.kill(pids[1], signal.SIGKILL)
    first, second = results(started)
    assert first[0] == "TrainingError"
    assert "another process of this training is gone" in first[1]
    assert "on any number of processes" in first[1]
    assert second is None  # it said nothing more
    reached = len(bv.load_run(tmp_path).history)
    assert reached >= 4
    # It goes on in one process, to what one process alone gives.
    epochs = reached // 3 + 1
    resumed = train(out=tmp_path, epochs=epochs)
    straight = train(epochs=epochs)
    assert resumed.status == "finished"
    require_equal(as_dictionary(resumed), as_dictionary(straight))


def test_sigterm_stops_all_between_two_steps(tmp_path):
    started = in_processes(2, until_killed, tmp_path)
    pids = [receiver.recv() for _, receiver in started]
    started[0][1].recv()
    os.kill(pids[1], signal.SIGTERM)
    assert results(started) == ["interrupted", "interrupted"]
    assert bv.load_run(tmp_path).status == "interrupted"


def test_what_goes_wrong_in_one_is_told_in_all():
    first, second = results(in_processes(2, fails_in_the_second))
    assert first[0] == "TrainingError"
    assert "process 1 of 2 could not go on: OSError: the disk is gone" in first[1]
    assert second == ("OSError", "the disk is gone")
    assert results(in_processes(2, stops)) == ["interrupted", "interrupted"]
    for name, words in results(in_processes(2, other_settings)):
        assert name == "TrainingError"
        assert "do not have the same settings" in words


def test_torchrun_finetunes_from_the_command_line(tmp_path):
    files = []
    for number in range(4):
        end = bulk("Si", cubic=True)
        start = end.copy()
        start.rattle(0.1, seed=number)
        files.append(str(tmp_path / f"r{number}.extxyz"))
        ase.io.write(files[-1], [start, end])
    call = ["finetune", *files, "--potential", "painn", "--steps", "2", "--epochs", "1"]
    call += ["--batch-size", "3", "--quiet", "--out"]
    assert main([*call, str(tmp_path / "one")]) == 0
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "bpttviz", *call, str(tmp_path / "two")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished after 2 updates") == 1
    start, one, two = (
        nn.utils.parameters_to_vector(potential.parameters()).detach()
        for potential in (
            bv.PaiNN.pretrained(),
            bv.load_run(tmp_path / "one").potential,
            bv.load_run(tmp_path / "two").potential,
        )
    )
    # float32's noise: the order of sums differs between batches of one process and of two
    assert (one - two).abs().max() < 5e-6 < 1e-4 < (one - start).abs().max()
    done = subprocess.run(
        [sys.executable, "-m", "bpttviz", "relax", files[0], "--potential", "painn", "--out",
         str(tmp_path / "three")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "WORLD_SIZE": "2", "MASTER_ADDR": "x"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "this command runs in one process" in done.stderr


def test_work_is_dealt_evenly_and_nothing_twice():
    work = [64, 216, 64, 512, 64, 64, 8]
    shares = deal(work, 3)
    assert sorted(place for share in shares for place in share) == list(range(7))
    loads = [sum(work[place] for place in share) for share in shares]
    assert max(loads) == 512
    assert min(loads) > 200
    assert deal([1.0, 2.0], 4) == [[1], [0], [], []]
