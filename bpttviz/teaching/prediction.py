"""A question that is answered before anything is computed, and what became of the answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from IPython.display import display

from bpttviz.plotting.palette import GREEN, GREY, SKY
from bpttviz.teaching.show import Shown, folded, in_notebook, line, safe, show

UNANSWERED = (None, "", "?")  # what a parameter cell holds until somebody answers in it


class PredictionView(Protocol):
    """What a reader answers in, where there is more than a terminal; it can be displayed."""

    def update_from(self, prediction: Prediction) -> None:
        """Show the prediction's answer."""


FormMaker = Callable[["Prediction"], PredictionView]


class Prediction:
    """One question and its answer. Set ``answer`` in code where there is nothing to click.

    What was measured waits for the answer, or for `skip`.

    Attributes:
        key, question, choices, unit, within: as in `bpttviz.teaching.lesson.Lesson.predict`.
        lesson: name of the lesson.
        answer: what the reader expects, or None (a property).
        skipped: whether the reader wants to see the result without a prediction.
        measured: what was found, or None.
        seen: whether it was shown beside an answer, or after a skip.
        answered_late: whether the answer was given, or changed, after that.
    """

    def __init__(
        self,
        key: str,
        question: str,
        choices: tuple[str, ...] = (),
        unit: str = "",
        within: float = 0.2,
        lesson: str = "",
        form: FormMaker | None = None,
    ):
        self.key, self.question, self.choices = key, question, choices
        self.unit, self.within, self.lesson = unit, within, lesson
        self.measured: str | float | None = None
        self.seen = False
        self.skipped = False
        self.answered_late = False
        self._details = ""
        self._answer: str | float | None = None
        self._make_form = form
        self._form: PredictionView | None = None
        self._reveal: Shown | None = None

    @property
    def asked(self) -> tuple:
        """What was asked: two predictions that ask the same are the same question."""
        return self.question, self.choices, self.unit, self.within

    @property
    def answer(self) -> str | float | None:
        """What the reader expects; None before there is an answer.

        Raises:
            ValueError: (when set) no choice, or no number.
        """
        return self._answer

    @answer.setter
    def answer(self, value: str | float | None) -> None:
        value = None if value in UNANSWERED else self.accept(value)
        if value != self._answer:
            self._answer, self.answered_late = value, self.seen
        self._changed()

    def skip(self) -> None:
        """See the result without having predicted it."""
        self.skipped = True
        self._changed()

    @property
    def open(self) -> bool:
        """Whether a result still waits for the reader."""
        return self.answer is None and not self.skipped

    @property
    def right(self) -> bool | None:
        """Whether the answer is what was measured; None while one of them is missing."""
        if self.answer is None or self.measured is None:
            return None
        if self.choices:
            return self.answer == self.measured
        measured = float(self.measured)
        return abs(float(self.answer) - measured) <= self.within * abs(measured)

    def accept(self, value: Any) -> str | float:
        """The value as a possible answer.

        Raises:
            ValueError: it is none.
        """
        if self.choices:
            if value not in self.choices:
                raise ValueError(
                    f"{value!r} is no answer to {self.key!r}; choose one of "
                    f"{', '.join(map(repr, self.choices))}"
                )
            return value
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{self.key!r} asks for a number, got {value!r}")
        return number

    def format_answer(self, value: str | float) -> str:
        """A possible answer with its unit."""
        return str(value) if self.choices else f"{float(value):.3g} {self.unit}".rstrip()

    def verdict(self) -> str:
        """A sentence on the answer, once it was measured."""
        if self.answer is None or self.measured is None:
            return "Skipped." if self.skipped else "You have made no prediction."
        said = f"You predicted {self.format_answer(self.answer)}"
        if self.answered_late:
            said += ", after the reveal"
        if self.choices:
            return said + (": right." if self.right else ". What made you expect that?")
        if self.right:
            return f"{said}: right, within {100 * self.within:.0f} %."
        beyond = float(self.answer) - float(self.measured)
        where = "too high" if beyond > 0 else "too low"
        amount = self.format_answer(abs(beyond))
        return f"{said}: {where} by {amount.replace(' %', ' percentage points')}."

    def show(self) -> None:
        """The question, with a form below it in a notebook."""
        here = f"bv.open_lesson({self.lesson!r})[{self.key!r}]"
        show(
            line(SKY, f"<b>Predict.</b> {safe(self.question)}"),
            f"{self!r}\n  answer with: {here}.answer = ...\n  or: {here}.skip()",
        )
        if self._make_form is not None and in_notebook():
            if self._form is None:
                self._form = self._make_form(self)
            display(self._form)

    def reveal(self, measured: str | float, details: str = "") -> None:
        """Show what was measured, as soon as there is an answer to set it against.

        Until then a line stands there that says what is waited for; to open it is to skip.

        Raises:
            ValueError: ``measured`` is no possible answer.
        """
        self.measured, self._details = self.accept(measured), details
        self._reveal = Shown(*self._line())
        self.seen = self.seen or not self.open

    def found(self) -> str:
        """What was measured, with the figures behind it."""
        if self.measured is None:
            return "nothing yet"
        return self.format_answer(self.measured) + (f" ({self._details})" if self._details else "")

    def _changed(self) -> None:
        """An answer or a skip: the form shows it, and the result need wait no longer."""
        if self._form is not None:
            self._form.update_from(self)
        if self._reveal is not None:
            self._reveal.replace(*self._line())
            self.seen = self.seen or not self.open

    def _line(self) -> tuple[str, str]:
        """The reveal as HTML and as text."""
        found = f"<b>{safe(self.key)}: {safe(self.found())}.</b>"
        if self.open:
            waits = "waits for your prediction (the form above). Open this to skip it."
            return (
                line(GREY, folded(f"<b>{safe(self.key)}</b> {waits}", found)),
                f"{self.key}: measured; waits for your prediction, or for skip()",
            )
        colour = {None: GREY, True: GREEN, False: SKY}[self.right]
        return (
            line(colour, f"{found}<br>{safe(self.verdict())}"),
            f"{self.key}: {self.found()}. {self.verdict()}",
        )

    def __repr__(self) -> str:
        possible = " / ".join(self.choices) or f"a number, {self.unit}".rstrip(", ")
        given = "no answer yet" if self.answer is None else self.format_answer(self.answer)
        return f"<Prediction {self.key!r}: {self.question} [{possible}] {given}>"
