"""Exercises of notebook 07: what a count and a ratio are worth."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binomtest

from bpttviz.teaching.exercise import Exercise, Mistake


def sign_test() -> Exercise:
    """How often a fair coin would be as one-sided as ``worse`` of ``n``, either way."""

    def exactly(worse: int, n: int) -> float:
        return math.comb(n, worse) / 2**n

    def one_side(worse: int, n: int) -> float:
        fewer = min(worse, n - worse)
        return sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n

    return Exercise(
        "sign test",
        lambda worse, n: float(binomtest(worse, n).pvalue),
        [
            Mistake(
                "one side",
                "That is one tail. Nobody promised beforehand which way it would go: count results "
                "as one-sided in the other direction too.",
                one_side,
            ),
            Mistake(
                "more than certain",
                "Where exactly half got worse both tails hold the middle, and twice one of them "
                "exceeds 1. A probability cannot.",
                lambda worse, n: 2 * one_side(worse, n),
            ),
            Mistake(
                "this count only",
                "That is the chance of exactly this count. More extreme ones would have impressed "
                "you as well: add them.",
                exactly,
            ),
            Mistake(
                "the share",
                "That is the share that got worse. How often does a fair coin give one like it?",
                lambda worse, n: worse / n,
            ),
        ],
        trials=[(2, 12), (5, 12), (9, 10), (1, 6), (6, 12)],
        praise="Nothing was assumed about how large the changes are.",
    )


def mean_ratio() -> Exercise:
    """The factor by which an error typically changes, from paired errors (n,) and (n,)."""
    before = np.array([0.2, 1.5, 0.8, 3.0])
    after = np.array([0.1, 1.2, 1.6, 1.5])
    return Exercise(
        "mean ratio",
        lambda before, after: float(np.exp(np.mean(np.log(after / before)))),
        [
            Mistake(
                "arithmetic",
                "Halved and doubled should cancel, yet the mean of 0.5 and 2 is 1.25. Which mean "
                "gives 1?",
                lambda before, after: float(np.mean(after / before)),
            ),
            Mistake(
                "ratio of means",
                "The structure with the largest error decides that one alone. Pair first.",
                lambda before, after: float(np.mean(after) / np.mean(before)),
            ),
            Mistake(
                "upside down",
                "Below 1 should be better: after over before.",
                lambda before, after: float(np.exp(np.mean(np.log(before / after)))),
            ),
            Mistake(
                "logarithm",
                "That is the mean logarithm. Undo it.",
                lambda before, after: float(np.mean(np.log(after / before))),
            ),
        ],
        trials=[(before, after), (before[:3], after[:3])],
        within=1e-9,
        praise="Halved and doubled cancel, and no structure outweighs the others.",
    )
