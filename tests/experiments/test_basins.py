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


class Untrained(Problem):
    """Nothing to train: only what the untrained potential does is counted."""

    def objectives(self):
        return {}


def test_counts_are_filed_under_all_that_they_depend_on(tmp_path):
    def problem_of(seed, **changes):
        whole = two_valleys(seed, training=1, held_out=2)
        return Untrained(**vars(whole) | changes)

    file, rest = tmp_path / "basins.jsonl", bv.Relaxer(fmax=1e-2)
    (count,) = count_basins("valleys", problem_of, [0], file, rest)
    assert count_basins("valleys", problem_of, [0], file, rest) == [count]
    other = two_valleys(1, training=1, held_out=2)
    for changes, named in (
        ({"held_out": other.held_out}, "held_out"),
        ({"potential": other.potential}, "weights"),
        ({"rule": bv.GradientDescent(0.1000001, max_step=None)}, "step_size"),
        ({"stop": bv.StoppingCriterion(59)}, "max_steps"),
    ):
        with pytest.raises(ValueError, match=f"'untrained', seed 0, made with other .*{named}"):
            count_basins("valleys", lambda seed, c=changes: problem_of(seed, **c), [0], file, rest)
    with pytest.raises(ValueError, match=r"made with other settings \(rest"):
        count_basins("valleys", problem_of, [0], file, bv.Relaxer(fmax=2e-2))
    file.write_text(file.read_text() + '{"problem": "x"')
    with pytest.raises(ValueError, match="does not hold counts of basins"):
        count_basins("valleys", problem_of, [0], file, rest)


@pytest.mark.slow
def test_guided_finds_basins_that_implicit_alone_does_not(tmp_path):
    """Seed 0 with six training walkers. The converged unroll knows no more than implicit does."""

    def problem_of(seed):
        whole = two_valleys(seed)
        wanted = [whole.training[i] for i in range(0, 12, 2)]
        part = bv.RelaxationDataset(wanted)
        changed = {
            **vars(whole),
            "training": part,
            "held_out": part,
            "epochs": 6,
            "batch_size": 6,
            "learning_rate": 0.04,
        }
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
    assert count_basins("valleys", problem_of, [0], file, bv.Relaxer(fmax=1e-3)) == counts
    assert file.read_text() == lines
    assert "guided, first 12" in format_counts(counts)
