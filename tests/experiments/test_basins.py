"""Counting right basins: the problem is what it says, and each gradient does what theory says."""

import warnings

import pytest

import bpttviz as bv
from bpttviz.experiments.basins import Problem, count_basins, format_counts, two_valleys


def test_the_model_favours_one_valley_and_the_truth_does_not():
    problem = two_valleys(0)
    assert problem.truth.depths.tolist() == [1.0, 1.0]
    assert abs(float(problem.potential.depths.diff().detach())) == pytest.approx(0.5)
    assert not set(problem.training.names) & set(problem.held_out.names)
    again = two_valleys(0)
    assert again.training.fingerprint() == problem.training.fingerprint()
    assert two_valleys(1).training.fingerprint() != problem.training.fingerprint()


@pytest.mark.slow
def test_guided_finds_basins_that_implicit_alone_does_not(tmp_path):
    """Seed 0 with six training walkers. The converged unroll knows no more than implicit does."""

    def problem_of(seed):
        whole = two_valleys(seed)
        wanted = [whole.training[i] for i in range(0, 12, 2)]
        part = bv.RelaxationDataset(wanted)
        changed = {**vars(whole), "training": part, "held_out": part, "epochs": 12}
        return Problem(**changed)

    file = tmp_path / "basins.jsonl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        counts = count_basins("valleys", problem_of, [0], file, bv.Relaxer(fmax=1e-3))
    right = {c.mode: c.right for c in counts}
    assert right["untrained"] < 6, "there must be something to gain"
    others = max(right[m] for m in ("untrained", "implicit", "full, K = 60"))
    assert right["guided, first 12"] > others
    # a second call reads what the first has left
    lines = file.read_text()
    assert count_basins("valleys", problem_of, [0], file) == counts
    assert file.read_text() == lines
    assert "guided, first 12" in format_counts(counts)
