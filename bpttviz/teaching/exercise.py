"""Exercises that answer at once, and say which mistake it probably was.

    sum_of_squares = Exercise(
        "length", "Return the length of a vector.",
        right=lambda v: (v**2).sum() ** 0.5,
        trials=[(torch.tensor([3.0, 4.0]),)],
        mistakes=[Mistake("no root", "That is its square.", lambda v: (v**2).sum())],
    )
    sum_of_squares.judge(lambda v: (v * v).sum()).sentence      # "That is its square."

An answer is a value (a number, an array, a word), or a function that is tried on arguments. A
mistake is known by what it leads to: the value, or the function, that somebody who makes it hands
in.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from bpttviz.teaching.code_errors import NO_RETURN, untouched, why_it_stops

Outcome = Literal["right", "mistake", "wrong", "error", "untried"]


@dataclass(frozen=True)
class Mistake:
    """A likely one.

    Attributes:
        name: two or three words.
        sentence: what it is, and what to think of; it does not give the answer away.
        gives: the value it leads to, or the function; where the exercise asks for a value and a
            test is meant, see ``when``.
        when: in place of ``gives``: value → whether this mistake was made.
    """

    name: str
    sentence: str
    gives: Any = None
    when: Callable[[Any], bool] | None = None


@dataclass(frozen=True)
class Verdict:
    """What is said of an answer.

    Attributes:
        outcome: "right"; a known "mistake"; otherwise "wrong"; "error" of the code; "untried".
        sentence: shown to the reader.
        mistake: its name, "" for none.
    """

    outcome: Outcome
    sentence: str
    mistake: str = ""


@dataclass(frozen=True, eq=False)
class Exercise:
    """A task with its solution and the mistakes that are known.

    Attributes:
        key: short name, one in a lesson.
        right: the value, or a function.
        mistakes: the first that fits is named.
        trials: argument lists for the function, which gets copies; none: a value is asked for.
        within: numbers are right within this fraction of the largest one.
        praise: a sentence for who got it right.
        unit: of a number.
        accepts: value → whether it is right, where there is more than one right value; ``right``
            is then one of them.
    """

    key: str
    right: Any
    mistakes: Sequence[Mistake] = ()
    trials: Sequence[tuple] = ()
    within: float = 1e-6
    praise: str = ""
    unit: str = ""
    accepts: Callable[[Any], bool] | None = None

    def judge(self, answer: Any) -> Verdict:
        """The verdict on an answer; whatever it is, and whatever its code does."""
        if _missing(answer):
            return _untried()
        try:
            return self._judge_function(answer) if self.trials else self._judge_value(answer)
        except Exception as error:  # whatever somebody's code or value does is theirs to read
            said = why_it_stops(error)
            return Verdict("error", said[0].upper() + said[1:])

    def _judge_function(self, answer: Any) -> Verdict:
        if not callable(answer):
            return Verdict(
                "wrong", "A function is asked for: hand it over by its name, no brackets."
            )
        wanted = self._tried(self.right)
        given = []
        for trial in self.trials:
            result = answer(*copy.deepcopy(trial))
            if result is None and not untouched(answer):
                return Verdict("wrong", f"{NO_RETURN[0].upper()}{NO_RETURN[1:]}.")
            if _missing(result):
                return _untried()
            given.append(values(result))
        for mistake in self.mistakes:
            if self._follows(mistake, given, wanted):
                return Verdict("mistake", mistake.sentence, mistake.name)
        return self._compare(given, wanted)

    def _judge_value(self, answer: Any) -> Verdict:
        wrong_kind = _of_another_kind(values(answer), values(self.right))
        if wrong_kind:
            return Verdict("wrong", wrong_kind)
        if self.accepts is not None:
            if self.accepts(answer):
                return self._praised()
        elif _close(values(answer), values(self.right), self.within):
            return self._praised()
        for mistake in self.mistakes:
            made = mistake.when(answer) if mistake.when else self._equals(answer, mistake.gives)
            if made:
                return Verdict("mistake", mistake.sentence, mistake.name)
        if self.accepts is not None:
            return Verdict("wrong", "Not yet.")
        return self._compare([values(answer)], [values(self.right)])

    def _equals(self, answer: Any, given: Any) -> bool:
        return _close(values(answer), values(given), self.within)

    def _tried(self, function: Callable) -> list[Any]:
        """What a function gives; each gets copies, as one that works in place changes them."""
        return [values(function(*copy.deepcopy(trial))) for trial in self.trials]

    def _follows(self, mistake: Mistake, given: list[Any], wanted: list[Any]) -> bool:
        """Whether the function does what somebody's does who makes the mistake, and not right."""
        try:
            made = self._tried(mistake.gives)
        except Exception:  # a mistake that breaks on these arguments is not the one made
            return False
        return self._same(given, made) and not self._same(given, wanted)

    def _same(self, given: list[Any], others: list[Any]) -> bool:
        return all(_close(a, b, self.within) for a, b in zip(given, others, strict=True))

    def _compare(self, given: list[Any], wanted: list[Any]) -> Verdict:
        """Right, or the way in which numbers differ."""
        if self._same(given, wanted):
            return self._praised()
        return Verdict("wrong", "Not yet. " + _difference(given, wanted, self.unit))

    def _praised(self) -> Verdict:
        return Verdict("right", f"Right. {self.praise}".rstrip())


def values(answer: Any) -> np.ndarray | str:
    """Numbers of an answer in one row, whatever holds them; a word as it is.

    Raises:
        TypeError: something else.
    """
    if isinstance(answer, str):
        return answer.strip().lower()
    return np.array(list(_numbers(answer)), float)


def _numbers(answer: Any) -> list[float]:
    if isinstance(answer, torch.Tensor):
        return answer.detach().double().reshape(-1).tolist()
    if isinstance(answer, np.ndarray):
        return answer.astype(float).reshape(-1).tolist()
    if isinstance(answer, (list, tuple)):
        return [number for part in answer for number in _numbers(part)]
    try:
        return [float(answer)]
    except (TypeError, ValueError):
        raise TypeError(f"numbers are asked for, got {type(answer).__name__}") from None


def _missing(answer: Any) -> bool:
    """Whether nothing was written yet."""
    return answer is None or answer is ... or (isinstance(answer, str) and answer in ("", "?"))


def _untried() -> Verdict:
    return Verdict("untried", "Not tried yet.")


def _close(a: np.ndarray | str, b: np.ndarray | str, within: float) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    finite = np.isfinite(b)  # a mistake may divide by zero, and is one there too
    if a.shape != b.shape or (np.isfinite(a) != finite).any():
        return False
    off, size = np.abs(a[finite] - b[finite]), np.abs(b[finite])
    return bool(off.max(initial=0) <= within * size.max(initial=1e-300))


def _of_another_kind(given: np.ndarray | str, wanted: np.ndarray | str) -> str:
    """What to say where one is a word and the other is not; "" where they are alike."""
    if isinstance(given, str) == isinstance(wanted, str):
        return ""
    if isinstance(given, str):
        return "A number is asked for, without quotation marks."
    return "A word is asked for, in quotation marks."


def _difference(given: list[Any], wanted: list[Any], unit: str) -> str:
    """What is seen at once of numbers that differ."""
    if any(isinstance(x, str) for x in (*given, *wanted)):
        return next(filter(None, map(_of_another_kind, given, wanted)), "")
    sizes = [(len(a), len(b)) for a, b in zip(given, wanted, strict=True)]
    for have, want in sizes:
        if have != want:
            return f"It has {have} number{'s' * (have != 1)}, {want} are asked for."
    a, b = np.concatenate(given), np.concatenate(wanted)
    if not np.isfinite(a).all():
        return "It is not finite: is something divided by zero?"
    if _close(a, -b, 1e-6):
        return "The size is right, the sign is not."
    ratio = float(a @ b / (b @ b)) if b.any() else math.nan
    telling = math.isfinite(ratio) and f"{ratio:.3g}" not in ("0", "1")
    if telling and _close(a, ratio * b, 1e-6):
        shown = f" (you: {a[0]:.4g} {unit}".rstrip() + ")" if len(a) == 1 else ""
        return f"It is {ratio:.3g} times what it should be{shown}."
    off = np.abs(a - b).max() / np.abs(b).max(initial=1e-300)
    return f"It is off by up to {100 * off:.2g} % of the largest number."
