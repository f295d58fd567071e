"""Paired comparisons on numbers with known answers; coverage of the intervals by simulation.

``python tests/evaluation/test_statistics.py`` prints the coverage of every case in full.
"""

import numpy as np
import pytest
import scipy.stats

from bpttviz.evaluation.statistics import compare, group_interval

NAMES = [f"s{number}" for number in range(40)]


def normal(rng, size):
    return rng.normal(size=size)


def skewed(rng, size):
    """Exponential logarithms: a few structures change a lot, most a little."""
    return rng.exponential(size=size) - 1


def coverage(draw, groups, size=1, shared=1.0, repeats=1000, seed=0):
    """How often the 95 % interval holds the true ratio 1, and how often a verdict is given.

    Args:
        draw: deviates of mean 0.
        groups: how many there are.
        size: structures in each.
        shared: share of a deviate's variance that the structures of a group have in common.
    """
    rng = np.random.default_rng(seed)
    members = np.repeat(np.arange(groups), size)
    hits = verdicts = 0
    for _ in range(repeats):
        logs = np.sqrt(shared) * draw(rng, groups)[members]
        if size > 1:
            logs = logs + np.sqrt(1 - shared) * draw(rng, groups * size)
        made = compare("x", members, np.ones(len(members)), np.exp(0.3 * logs), members)
        hits += made.interval[0] < 1 < made.interval[1]
        verdicts += bool(made.direction)
    return hits / repeats, verdicts / repeats


@pytest.mark.parametrize("groups", [6, 8, 12, 20])
@pytest.mark.parametrize(("draw", "least"), [(normal, 0.92), (skewed, 0.86)])
@pytest.mark.parametrize("size", [1, 3])
def test_intervals_cover_what_they_say(draw, least, groups, size):
    """With nothing changed a verdict beyond chance comes about as rarely as it should.

    The percentile bootstrap of before gave one in 15 % of cases at six structures, and in 21 to
    27 % where groups of three were drawn singly.
    """
    held, verdicts = coverage(draw, groups, size, 0.8 if size > 1 else 1.0, repeats=250)
    assert held >= least
    assert verdicts <= 1 - least
    assert held <= 0.99


def test_structures_of_a_group_taken_singly_are_too_sure():
    """What the default is for: the same structures, each for itself."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        logs = np.repeat(rng.normal(size=8), 3) + 0.3 * rng.normal(size=24)
        made = compare("x", NAMES[:24], np.ones(24), np.exp(logs))
        hits += made.interval[0] < 1 < made.interval[1]
    assert hits < 0.87 * 200


def test_groups_of_different_sizes():
    rng, sizes = np.random.default_rng(4), [1, 1, 2, 3, 3, 6, 8]
    members = np.repeat(np.arange(len(sizes)), sizes)
    hits = 0
    for _ in range(300):
        after = np.exp(rng.normal(size=len(sizes))[members] + 0.3 * rng.normal(size=len(members)))
        made = compare("x", members, np.ones(len(members)), after, members)
        hits += made.interval[0] < 1 < made.interval[1]
    assert hits > 0.9 * 300


@pytest.mark.parametrize("sizes", [[10] + [1] * 5, [20, 5] + [1] * 6, [30, 30, 1, 1, 1, 1]])
def test_a_group_that_outweighs_the_others_does_not_make_it_sure(sizes):
    """With G - 1 degrees of freedom these covered 90, 85 and 80 %."""
    rng = np.random.default_rng(5)
    members = np.repeat(np.arange(len(sizes)), sizes)
    hits = 0
    for _ in range(300):
        logs = 0.3 * rng.normal(size=len(sizes))[members] + 0.1 * rng.normal(size=len(members))
        made = compare("x", members, np.ones(len(members)), np.exp(logs), members)
        hits += made.interval[0] < 1 < made.interval[1]
    assert hits > 0.92 * 300


def test_one_structure_a_group_gives_the_textbook_interval():
    logs = np.random.default_rng(1).normal(size=9)
    made = compare("x", NAMES[:9], np.ones(9), np.exp(logs))
    expected = scipy.stats.t.interval(0.95, 8, logs.mean(), scipy.stats.sem(logs))
    assert np.log(made.interval) == pytest.approx(expected)
    members = np.repeat(np.arange(9), 4)
    grouped = compare("x", members, np.ones(36), np.exp(logs[members]), members)
    assert grouped.interval == pytest.approx(made.interval)
    assert (made.drawn, grouped.drawn) == (9, 9)
    assert "9 groups taken whole" in str(grouped)
    assert "taken whole" not in str(made)


def test_of_one_group_nothing_is_known():
    one = compare("x", NAMES[:8], np.ones(8), np.linspace(0.4, 0.6, 8), ["g"] * 8)
    assert np.isnan(one.interval).all()
    assert one.direction == ""
    assert "no interval" in str(one)
    low, high = group_interval(lambda chosen: np.ones(3), [0, 0])
    assert np.isnan([low, high]).all()


def test_ratios_of_rounding_errors_decide_nothing():
    """Three ends better by 10 %, one right to 1e-9 before and to 1e-7 after."""
    made = compare("dq_rest", list("abcd"), [1.0, 1.0, 1.0, 1e-9], [0.9, 0.9, 0.9, 1e-7])
    assert made.ratio == pytest.approx(0.9)
    assert (made.names, made.kept_right, made.worse) == (("a", "b", "c"), ("d",), 0)
    assert "kept right, within 0.001 before and after: d" in str(made)
    # An end that becomes exact is as good as the resolution, not infinitely good.
    exact = compare("dq_rest", ["a"], [1.0], [1e-12])
    assert exact.ratio == pytest.approx(1e-3)
    # A difference of rounding errors between large numbers is none.
    same = compare("dq_rest", NAMES[:9], np.ones(9), np.ones(9) + 1e-7)
    assert (same.ratio, same.worse, same.direction) == (1, 0, "")


def test_the_labels_own_error_is_the_resolution_where_it_is_known():
    before = [1.0, 0.05, 0.05, 0.2, 0.2, 0.29, 1.0]
    after = [0.5, 0.08, 0.90, 0.1, 0.5, 0.31, np.nan]
    made = compare("dq_rest", list("abcdefg"), before, after, noise_floor=0.1)
    assert made.names == ("a",)
    assert made.kept_right == ("b",)
    assert made.lost == ("c", "e")  # from right, or nearly so, to wrong
    assert made.undecided == ("d", "f")
    assert made.left_out == ("g",)
    assert (made.worse, made.judged) == (2, 3)
    assert made.ratio == pytest.approx(0.5)
    text = str(made)
    for part in ("2 of 3 worse", "right before, wrong after: c, e", "too close to 0.1", "out: g"):
        assert part in text


def test_nothing_beyond_the_resolution_leaves_no_ratio():
    made = compare("dq_rest", ["a", "b"], [1e-5, 1e-6], [1e-6, 2.0])
    assert np.isnan(made.ratio)
    assert (made.kept_right, made.lost, made.worse, made.judged) == (("a",), ("b",), 1, 1)
    assert str(made) == (
        "dq_rest: 1 of 1 worse; kept right, within 0.001 before and after: a; right before, wrong "
        "after: b"
    )


@pytest.mark.parametrize("floor", [-0.1, float("nan"), float("inf")])
def test_a_floor_out_of_range_is_refused(floor):
    with pytest.raises(ValueError, match="noise_floor must be a number of at least 0"):
        compare("x", ["a"], [1.0], [1.0], noise_floor=floor)


if __name__ == "__main__":
    print("coverage (share of verdicts beyond chance with nothing changed), nominal 95 % (5 %)")
    for name, kind in (("normal", normal), ("skewed", skewed)):
        for each, common in ((1, 1.0), (3, 0.8)):
            for count in (6, 8, 12, 20):
                held, given = coverage(kind, count, each, common, repeats=4000)
                print(f"{name:>7}, {count:2} groups of {each}: {held:.1%} ({given:.1%})")
