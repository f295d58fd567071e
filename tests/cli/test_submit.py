"""Command lines as jobs: one for each value, run by real workers of this machine."""

import shutil

import ase.io
import pytest
from ase.build import bulk

from bpttviz.cli.main import main
from bpttviz.cli.submit import expanded


def test_a_line_for_each_combination():
    line = ["a.xyz", "--parts", "x", "y", "--out", "runs/{parts}-{seeds}", "--seeds", "0", "1"]
    lines = expanded(line, ["parts", "seeds"])
    assert lines[0] == ["a.xyz", "--out", "runs/x-0", "--parts", "x", "--seeds", "0"]
    assert [made[2] for made in lines] == ["runs/x-0", "runs/x-1", "runs/y-0", "runs/y-1"]


@pytest.mark.parametrize(
    ("line", "each", "words"),
    [
        (["--out", "a"], ["seeds"], "--seeds must stand once"),
        (["--seeds", "--out", "a"], ["seeds"], "has no value"),
        (["--seeds", "1", "1"], ["seeds"], "is there twice"),
        (["--seeds", "1", "--seeds", "2"], ["seeds"], "must stand once"),
    ],
)
def test_what_makes_no_jobs_is_refused(line, each, words):
    with pytest.raises(ValueError, match=words):
        expanded(line, each)


def test_only_a_command_can_be_submitted(tmp_path, capsys):
    assert main(["submit", "--each", "x", "--out", str(tmp_path), "--", "rm", "--x", "1"]) == 1
    assert "there must be a bpttviz command" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("srun") is not None, reason="there is SLURM here")
def test_a_cluster_that_is_not_here_is_no_bug_of_ours(tmp_path, capsys):
    pytest.importorskip("submitit", reason="submitit is not installed")
    line = ["relax", "si.xyz", "--potential", "painn", "--steps", "1", "2", "--out", "{steps}"]
    options = ["--each", "steps", "--cluster", "slurm", "--out", str(tmp_path / "jobs")]
    assert main(["submit", *options, "--", *line]) == 1
    said = capsys.readouterr().err
    assert "slurm cannot be reached from here" in said
    assert "should not happen" not in said


@pytest.mark.slow
def test_jobs_run_by_workers_of_this_machine(tmp_path, capsys):
    pytest.importorskip("submitit", reason="submitit is not installed")
    crystal = bulk("Si", cubic=True)
    crystal.rattle(0.05, seed=0)
    ase.io.write(tmp_path / "si.xyz", crystal)
    line = ["relax", str(tmp_path / "si.xyz"), "--potential", "painn", "--fmax", "10"]
    line += ["--steps", "1", "none", "--out", str(tmp_path / "with {steps}")]
    options = ["--each", "steps", "--workers", "2", "--out", str(tmp_path / "jobs")]
    assert main(["submit", *options, "--", *line]) == 1  # one of the two makes no sense
    assert (tmp_path / "with 1" / "ends.extxyz").exists()
    one, other = (tmp_path / "jobs" / "jobs.txt").read_text().splitlines()
    assert one.split()[1] == "done"
    assert other.split()[1] == "failed"
    assert one in capsys.readouterr().out
