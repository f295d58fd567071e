"""Public checks of A2: what a table of paired errors can bear witness to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.stats import binomtest
from scipy.stats import t as student_t

from bpttviz.teaching.assignments.checks import Question, compare, numbers, truths

Function = Callable[..., Any]

BEFORE = np.array([1.0, 2.0, 0.5, 1.2, 0.8])
AFTER = np.array([0.5, 2.2, 0.4, 0.9, 0.8])
CHANGES = np.array([-0.5, -0.4, -0.6, 0.1, -0.2, -0.1, -0.3])
GROUPS = np.array(["vac", "vac", "vac", "sub", "sub", "tet", "hex"])

VERDICTS = ("paradox", "both better", "other", "undecided")


def check_changes(log_changes: Function) -> str:
    """1: ``log_changes(before, after)`` is ln(after/before)."""
    right = np.log(AFTER / BEFORE)
    return compare(
        "log_changes",
        log_changes(BEFORE, AFTER),
        right,
        {
            "before and after are exchanged: a better end should give a negative number": -right,
            "that is the logarithm to base 10; take the natural one": right / np.log(10),
            "that is a difference; errors of 0.5 and 5 are to count alike: take the logarithm of "
            "the ratio": AFTER - BEFORE,
            "that is the relative change: +100 % and -50 % would not cancel; take the "
            "logarithm": AFTER / BEFORE - 1,
            "that is the ratio; take its logarithm": AFTER / BEFORE,
        },
    )


def check_sign_test(sign_test: Function) -> str:
    """2: ``sign_test(changes)`` is the two-sided p-value, ties left out."""
    right = binomtest(2, 9).pvalue
    changes = np.array([-0.1, -0.2, -0.3, 0.4, -0.5, 0.0, -0.1, 0.2, -0.3, -0.1])
    found = compare(
        "sign_test of seven better, two worse, one tie",
        sign_test(changes),
        right,
        {
            "one-sided: before looking nobody knew the direction; both tails count": right / 2,
            "a tie says neither better nor worse: leave it out": binomtest(2, 10).pvalue,
            "the tie was counted as worse: leave it out": binomtest(3, 10).pvalue,
            "that is the probability of exactly this outcome; add those that are more extreme": (
                36 / 2**9
            ),
        },
    )
    return found or compare(
        "sign_test of three better, three worse",
        sign_test(np.array([-1.0, 1.0, -1.0, 1.0, 1.0, -1.0])),
        1.0,
        {"twice a tail can exceed 1; a probability cannot": 2 * 42 / 64},
    )


def check_interval(interval: Function) -> str:
    """3: ``interval(changes, groups)`` is the 95 % t interval of the groups' means."""
    got = numbers("interval", interval(CHANGES, GROUPS))
    if got.shape != (2,):
        return f"interval should give two numbers, (low, high), and gives shape {got.shape}"
    means = np.array([CHANGES[g == GROUPS].mean() for g in np.unique(GROUPS)])
    return compare(
        "interval",
        got,
        _t_interval(means),
        {
            "groups are ignored: three starts of one vacancy are not three witnesses": _t_interval(
                CHANGES
            ),
            "1.96 is for many; four groups have three degrees of freedom: take Student's t": (
                means.mean() + np.array([-1, 1]) * 1.96 * means.std(ddof=1) / 2
            ),
            "the standard deviation of a sample divides by n - 1 (ddof=1)": (
                means.mean() + np.array([-1, 1]) * student_t.ppf(0.975, 3) * means.std() / 2
            ),
            "that is the spread of the groups; a mean's error is that divided by sqrt(G)": (
                means.mean() + np.array([-1, 1]) * student_t.ppf(0.975, 3) * means.std(ddof=1)
            ),
            "ppf(0.95) leaves 5 % on each side; two sides share 5 %": (
                means.mean() + np.array([-1, 1]) * student_t.ppf(0.95, 3) * means.std(ddof=1) / 2
            ),
            "the degrees of freedom are those of the groups, G - 1": (
                means.mean() + np.array([-1, 1]) * student_t.ppf(0.975, 6) * means.std(ddof=1) / 2
            ),
        },
    )


def check_verdict(verdict: Function) -> str:
    """4: ``verdict(end, force)`` from two intervals of logarithms."""
    cases = {
        ((-0.5, -0.1), (0.1, 0.4)): ("paradox", "the end is better and forces are worse"),
        ((-0.5, -0.1), (-0.4, -0.1)): ("both better", "both intervals are below zero"),
        ((0.1, 0.5), (0.1, 0.4)): ("other", "the end got worse"),
        ((-0.5, 0.1), (0.1, 0.4)): (
            "undecided",
            "the end's interval contains zero: its mean may lie below, and still nothing is known",
        ),
        ((-0.5, -0.1), (-0.1, 0.4)): (
            "undecided",
            "the force's interval contains zero; that is not the same as 'unchanged'",
        ),
    }
    for (end, force), (right, why) in cases.items():
        said = verdict(end, force)
        if said not in VERDICTS:
            return f"verdict gives {said!r}; it should be one of {', '.join(VERDICTS)}"
        if said != right:
            return f"verdict{(end, force)} is {said!r}: {why}"
    return ""


def check_table(table: Any, found: dict[str, Any]) -> str:
    """5: the functions applied to the stored table; here only whether all is there."""
    wanted = ("end ratio", "force ratio", "end p", "force p", "conclusion")
    if not isinstance(found, dict) or set(found) != set(wanted):
        return f"found should have exactly the entries {', '.join(wanted)}"
    if any(value is ... or value is None for value in found.values()):
        return "some entries are still three dots, or nothing"
    if found["conclusion"] not in VERDICTS:
        return f"the conclusion should be one of {', '.join(VERDICTS)}"
    for kind in ("end", "force"):
        entries = (f"{kind} {what}" for what in ("ratio", "p"))
        ratio, p = (float(numbers(f'found["{entry}"]', found[entry])) for entry in entries)
        if not 0 < p <= 1:
            return f"{kind} p = {p:g} is no probability"
        if not ratio > 0:
            return f"{kind} ratio = {ratio:g}: take exp of the mean logarithm, which is positive"
        column = "dq" if kind == "end" else "force"
        plain = float((table[f"{column}_after"] / table[f"{column}_before"]).mean())
        if abs(ratio - plain) < 1e-9:
            return f"{kind} ratio is an arithmetic mean of ratios; take exp of the mean logarithm"
    return ""


def check_falsify(statements: dict[str, bool]) -> str:
    """6: what would have to be seen for the claim to be given up."""
    return truths(statements, STATEMENTS, WHY)


STATEMENTS = {"a": True, "b": False, "c": True, "d": False}
WHY = {
    "a": "if forces do not get worse on new kinds, what is left of 'worse forces'?",
    "b": "one structure cannot refute a statement about a mean",
    "c": "could starts of known defects alone bring the improvement about?",
    "d": "does an interval that contains zero say that there is no effect?",
}

QUESTIONS: dict[str, Question] = {
    "1": check_changes,
    "2": check_sign_test,
    "3": check_interval,
    "4": check_verdict,
    "5": check_table,
    "6": check_falsify,
}


def earlier(question: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """What question 5 builds on, right, and what it then finds in the table, where it ends."""
    if question != "5":
        return {}
    right: dict[str, Any] = {
        "log_changes": lambda before, after: np.log(np.asarray(after) / np.asarray(before)),
        "sign_test": _sign_test,
        "interval": _interval,
        "verdict": _verdict,
    }
    if isinstance(names, dict) and callable(names.get("judge")) and "table" in names:
        with patch.dict(names, right), suppress(Exception, SystemExit):
            right["found"] = names["judge"](names["table"])
    return right


def _sign_test(changes: Any) -> float:
    changes = np.asarray(changes)
    return float(binomtest(int((changes > 0).sum()), int((changes != 0).sum())).pvalue)


def _interval(changes: Any, groups: Any) -> tuple[float, float]:
    changes, groups = np.asarray(changes), np.asarray(groups)
    low, high = _t_interval(np.array([changes[groups == g].mean() for g in np.unique(groups)]))
    return float(low), float(high)


def _verdict(end: tuple[float, float], force: tuple[float, float]) -> str:
    if any(low <= 0 <= high for low, high in (end, force)):
        return "undecided"
    if end[1] < 0:
        return "paradox" if force[0] > 0 else "both better"
    return "other"


def _t_interval(values: np.ndarray) -> np.ndarray:
    reach = student_t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() + np.array([-reach, reach])
