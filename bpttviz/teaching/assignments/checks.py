"""Public checks of an assignment: an instant verdict that names the likely mistake.

    a1 = bv.open_assignment("A1")
    a1.check("1", step)     # ✗ 1: your step goes uphill; F = -k (x - s) points back to s

A check never raises: a wrong answer is a sentence, and the notebook runs on. It looks at fixed
inputs only. Points come from hidden tests on inputs drawn from the instructor's seed, so that what
a check says at best is that the *public checks* passed.
"""

from __future__ import annotations

import copy
import html
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any
from unittest.mock import patch

import numpy as np
from IPython import get_ipython
from IPython.display import display

from bpttviz.plotting.palette import GREEN, GREY, VERMILION
from bpttviz.teaching.code_errors import NO_RETURN, untouched, why_it_stops

# An answer, or several, to "" where it passes and a sentence on the likely mistake where not.
Question = Callable[..., str]

# A question and what a notebook defines, to the right answers that the question builds on.
Earlier = Callable[[str, Mapping[str, Any]], dict[str, Any]]

SINGLE = 1e-5  # relative; what is right in float32 is as near
NOT_YET = "not answered yet: replace the three dots"
PASSED = "public checks passed (hidden tests look at more, on numbers of their own)"


# By assignment. Students have the assignment in hand, and it is not to hand out answers.
_EARLIER: dict[str, Earlier | None] = {}


class Assignment:
    """The public checks of one assignment; get it from `bpttviz.open_assignment`.

    Attributes:
        name: "A1", "A2" or "A3".
        questions: key → what looks at an answer.
        passed: key → whether it passed when it was last checked.
    """

    def __init__(
        self, name: str, questions: Mapping[str, Question], earlier: Earlier | None = None
    ):
        self.name = name
        self.questions = dict(questions)
        _EARLIER[name] = earlier
        self.passed: dict[str, bool] = {}

    def check(self, key: str, *answers: Any) -> None:
        """Show a verdict on the answers to a question.

        Raises:
            ValueError: there is no such question.
        """
        if key not in self.questions:
            known = ", ".join(self.questions)
            raise ValueError(f"{self.name} has no question {key!r}; its questions: {known}")
        mistake = self._verdict(key, answers)
        self.passed[key] = not mistake
        colour = GREY if mistake == NOT_YET else VERMILION if mistake else GREEN
        mark = "…" if mistake == NOT_YET else "✗" if mistake else "✓"
        _show(colour, f"{mark} {key}: {mistake or PASSED}")

    def _verdict(self, key: str, answers: tuple[Any, ...]) -> str:
        """As `verdict`; where an answer is right but for an earlier one, that is said."""
        mistake = verdict(self.questions[key], *answers)
        names = next((a.__globals__ for a in answers if hasattr(a, "__globals__")), None)
        earlier = _EARLIER.get(self.name)
        if not mistake or earlier is None or names is None:
            return mistake
        right = earlier(key, names)
        if not right:
            return mistake
        with patch.dict(names, right):
            passes = not verdict(self.questions[key], *answers)
        if not passes:
            return mistake
        return f"this is right, but an answer that it builds on is not: {', '.join(right)}"

    def summary(self) -> None:
        """How many questions pass their public checks, and which do not."""
        missing = [key for key in self.questions if not self.passed.get(key)]
        line = f"{len(self.questions) - len(missing)} of {len(self.questions)} questions pass "
        line += "their public checks"
        if missing:
            line += f"; not yet: {', '.join(missing)}"
        _show(GREY if missing else GREEN, line + ". Points are given by hidden tests.")

    def __repr__(self) -> str:
        return f"<Assignment {self.name}: {sum(self.passed.values())} of {len(self.questions)}>"


def verdict(question: Question, *answers: Any) -> str:
    """What a question says of the answers; "" where they pass."""
    if any(answer is ... or answer is None for answer in answers):
        return NOT_YET
    asked = list(inspect.signature(question).parameters)
    if len(answers) < len(asked):
        return f"this check takes {len(asked)} answers ({', '.join(asked)}), and got {len(answers)}"
    try:
        return question(*map(on_copies, answers))
    except _NoNumbers as error:
        return str(error)
    except _NotYet:
        return NOT_YET
    except _Unanswered:
        written = [answer for answer in answers if callable(answer)]
        return NOT_YET if not written or any(map(untouched, written)) else NO_RETURN
    except Exception as error:  # whatever a student's code raises is news to the student
        return why_it_stops(error, answers)


def on_copies(answer: Any) -> Any:
    """A student's function, which cannot change what it is given: it may work in place.

    Anything but a function as it is.
    """
    if not isinstance(answer, FunctionType):
        return answer
    return lambda *given: answer(*copy.deepcopy(given))


class _Unanswered(Exception):
    """A function gave back the three dots, or nothing."""


class _NotYet(Exception):
    """Three dots still stand where a value is asked for."""


class _NoNumbers(TypeError):
    """What was given is no number, and no row of them; the message says so to its author."""


def numbers(name: str, value: Any) -> np.ndarray:
    """What an answer gave, as an array of floats.

    Raises:
        _Unanswered: the three dots, or nothing.
        TypeError: no numbers; its message is the verdict.
    """
    if value is ... or value is None:
        raise _Unanswered
    try:
        kept = _detached(value)
        if np.asarray(kept).dtype.kind not in "US":  # numpy would read numbers out of text
            return np.asarray(kept, float)
    except (TypeError, ValueError, RuntimeError):
        pass
    raise _NoNumbers(f"{name} should give numbers, and gives {_named(value)}")


def _detached(value: Any) -> Any:
    """A tensor, or several, without the gradient that keeps NumPy from reading them."""
    if isinstance(value, (list, tuple)):
        return [_detached(each) for each in value]
    return value.detach() if hasattr(value, "detach") else value


def _is_coarse(value: Any) -> bool:
    """Whether numbers have fewer digits than the tests look at."""
    kept = np.asarray(_detached(value))
    return kept.dtype.kind == "f" and kept.dtype.itemsize < 8


def compare(
    name: str,
    got: Any,
    right: Any,
    mistakes: Mapping[str, Any] | None = None,
    tolerance: float = 1e-8,
) -> str:
    """ "" where ``got`` is right; otherwise the mistake that explains it, or both numbers.

    Args:
        name: of what was asked, as the student knows it.
        got: the student's numbers.
        right: what they should be.
        mistakes: a sentence → what somebody gets who makes that mistake.
        tolerance: relative and absolute.
    """
    given, wanted = numbers(name, got), np.asarray(right, float)
    for sentence, wrong in (mistakes or {}).items():
        if _same(given, np.asarray(wrong, float), tolerance) and not _same(
            given, wanted, tolerance
        ):
            return sentence
    if given.shape != wanted.shape:
        return f"{name} gives {_form(given)}, and should give {_form(wanted)}"
    if not np.isfinite(given).all():
        return f"{name} is not finite"
    if tolerance < SINGLE and _is_coarse(got) and _same(given, wanted, SINGLE):
        return f"{name} is right to single precision alone: compute it in double (float64)"
    if _same(given, wanted, tolerance):
        return ""
    return f"{name} gives {_brief(given)}, and should give {_brief(wanted)}"


def truths(got: Any, right: Mapping[str, bool], why: Mapping[str, str]) -> str:
    """The verdict on statements that are true or false, without giving the answers away.

    Args:
        got: the student's, statement → True or False.
        right: statement → whether it is true.
        why: statement → what to think of where it was judged wrongly; only the first is shown.
    """
    if not isinstance(got, dict) or set(got) != set(right):
        return f"keep the {len(right)} statements {', '.join(right)}, each with True or False"
    if any(value is ... or value is None for value in got.values()):
        raise _NotYet
    if not all(isinstance(value, (bool, np.bool_)) for value in got.values()):
        return "each statement is either True or False (without quotation marks)"
    wrong = [key for key in right if bool(got[key]) != right[key]]
    return f"think again about {wrong[0]}: {why[wrong[0]]}" if wrong else ""


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance)


def _named(value: Any) -> str:
    """A value's type, and of a tuple or a list how many there are in it."""
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, (tuple, list)) else f"a {kind}"


def _form(values: np.ndarray) -> str:
    """What kind of thing an answer is."""
    if values.ndim == 0:
        return "a single number"
    if values.ndim == 1:
        return f"a row of {len(values)} number{'s' * (len(values) != 1)}"
    return f"an array of shape {values.shape}"


def _brief(values: np.ndarray) -> str:
    return np.array2string(values, precision=6, threshold=8, separator=", ").replace("\n", "")


def _show(colour: str, line: str) -> None:
    if get_ipython() is None:
        print(line)
        return
    safe = html.escape(line, quote=False)
    markup = (
        f'<div role="status" style="border-left: 4px solid {colour}; padding: 2px 10px; '
        f'margin: 2px 0">{safe}</div>'
    )
    display({"text/html": markup, "text/plain": line}, raw=True)
