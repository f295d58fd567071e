"""What notebooks share: predictions made before the reveal, hints, and checks of a lesson's claims.

    lesson = bv.open_lesson("foggy valley")
    lesson.predict("end", "Twice the step: where does the walker end?", ("same place", "elsewhere"))
    ...                                                     # the reader chooses, then computes
    lesson.reveal("end", "elsewhere", "0.31 Å away")        # what was measured, beside the guess
    lesson.check("a longer step ends elsewhere", distance > 0.1, f"{distance:.2f} Å")
    lesson.summary()

Everything shows itself at once: as a form or a coloured line in a notebook, as text in a terminal
and in an executed notebook that nobody looks at. Answers live in this process, by lesson and key,
so that running a cell again finds them; nothing is written or sent anywhere.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from IPython import get_ipython
from IPython.display import display

from bpttviz.plotting.palette import GREEN, GREY, ORANGE, SKY, VERMILION

UNANSWERED = (None, "", "?")  # what a parameter cell holds until somebody answers in it


class PredictionView(Protocol):
    """What a reader answers in, where there is more than a terminal; it can be displayed."""

    def update_from(self, prediction: Prediction) -> None:
        """Show the prediction's answer."""


FormMaker = Callable[["Prediction"], PredictionView]


class Lesson:
    """The predictions and checks of one notebook; get it from `bpttviz.open_lesson`.

    Args:
        name: by which it is found again.
        form: makes what a prediction is answered in, in a notebook; None: answers are given in
            code alone.

    Attributes:
        name: as given.
        predictions: key → `Prediction`.
        checks: claim → whether it held when it was last checked.
        hints_given: the hints shown last.
    """

    def __init__(self, name: str, form: FormMaker | None = None):
        self.name = name
        self._form = form
        self.predictions: dict[str, Prediction] = {}
        self.checks: dict[str, bool] = {}
        self.hints_given: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Prediction:
        try:
            return self.predictions[key]
        except KeyError:
            known = ", ".join(map(repr, self.predictions)) or "none yet"
            raise KeyError(f"no prediction {key!r} in this lesson; there are: {known}") from None

    def predict(
        self,
        key: str,
        question: str,
        choices: Sequence[str] = (),
        unit: str = "",
        within: float = 0.2,
        answer: str | float | None = None,
    ) -> None:
        """Ask before anything is computed. An answer stays when the cell is run again.

        Args:
            key: short name, by which `reveal` finds the answer.
            question: one sentence or two.
            choices: what may be answered; none: a number is asked for.
            unit: of the number.
            within: a number counts as right within this fraction of what was measured.
            answer: an answer written in the notebook instead of clicked, from the parameter cell
                for instance. None and "?" mean that there is none.

        Raises:
            ValueError: the answer is no choice, or no number.
        """
        new = Prediction(key, question, tuple(choices), unit, within, self.name, self._form)
        old = self.predictions.get(key)
        if old is None or old.asked != new.asked:
            self.predictions[key] = new
        prediction = self.predictions[key]
        if answer not in UNANSWERED:
            prediction.answer = answer
        prediction.show()

    def reveal(self, key: str, measured: str | float, details: str = "") -> None:
        """Show what was measured beside what was predicted.

        Without a prediction it is shown all the same, with a reminder.

        Args:
            key: which prediction.
            measured: one of its choices, or a number.
            details: the figures behind it.

        Raises:
            KeyError: nothing of that name was asked.
            ValueError: ``measured`` is no possible answer.
        """
        prediction = self[key]
        prediction.measured = prediction.accept(measured)
        verdict = prediction.verdict()
        colour = {None: ORANGE, True: GREEN, False: SKY}[prediction.right]
        found = prediction.format_answer(prediction.measured) + (f" ({details})" if details else "")
        _show(
            _line(colour, f"<b>{_safe(key)}: {_safe(found)}.</b><br>{_safe(verdict)}"),
            f"{key}: {found}. {verdict}",
        )
        prediction.seen = True

    def check(self, claim: str, condition: bool, measured: str = "") -> None:
        """State a claim and whether it holds; the lesson ends here where it does not.

        Args:
            claim: a sentence that can be false.
            condition: whether it holds.
            measured: the figures that decide.

        Raises:
            AssertionError: it does not hold.
        """
        holds = self.checks[claim] = bool(condition)
        mark, word, colour = ("✓", "holds", GREEN) if holds else ("✗", "does not hold", VERMILION)
        figures = f" ({measured})" if measured else ""
        _show(
            _line(
                colour,
                f'<b><span aria-hidden="true">{mark}</span> {word}:</b> {_safe(claim + figures)}',
                role="status" if holds else "alert",
            ),
            f"{mark} {word}: {claim}{figures}",
        )
        if not holds:
            raise AssertionError(f"the claim {claim!r} does not hold here{figures}")

    def hints(self, *texts: str) -> None:
        """Folded hints, to be opened one at a time.

        A terminal cannot fold: there each is kept in ``lesson.hints_given`` and not printed.
        """
        self.hints_given = texts
        _show(
            "".join(
                f"<details><summary>Hint {number}</summary><p>{_safe(text)}</p></details>"
                for number, text in enumerate(texts, 1)
            ),
            f"{len(texts)} hints, not shown here: lesson.hints_given[0] is the first",
        )

    def summary(self) -> None:
        """How many claims hold, and how the predictions did."""
        held = sum(self.checks.values())
        lines = [f"{held} of {len(self.checks)} claims hold"]
        asked = self.predictions.values()
        if asked:
            made = [p for p in asked if p.answer is not None]
            right = sum(p.right is True for p in asked)
            lines.append(f"{right} right of {len(made)} predictions made, {len(asked)} asked for")
        everything = bool(self.checks) and held == len(self.checks)
        text = "; ".join(lines) + "."
        colour = GREEN if everything else VERMILION if self.checks else GREY
        _show(_line(colour, f"<b>{_safe(text)}</b>", role="status"), text)

    def forget(self) -> None:
        """Start over: no answer, no check."""
        self.predictions.clear()
        self.checks.clear()

    def __repr__(self) -> str:
        answered = sum(p.answer is not None for p in self.predictions.values())
        return (
            f"<Lesson {self.name!r}: {answered} of {len(self.predictions)} questions answered, "
            f"{sum(self.checks.values())} of {len(self.checks)} claims hold>"
        )


class Prediction:
    """One question and its answer. Set ``answer`` in code where there is nothing to click.

    Attributes:
        key, question, choices, unit, within: as in `Lesson.predict`.
        lesson: name of the lesson.
        answer: what the reader expects, or None (a property).
        measured: what was revealed, or None.
        seen: whether it was revealed.
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
        self._answer: str | float | None = None
        self._answered_late = False
        self._make_form = form
        self._form: PredictionView | None = None

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
            self._answer, self._answered_late = value, self.seen
        if self._form is not None:
            self._form.update_from(self)

    @property
    def right(self) -> bool | None:
        """Whether the answer is what was measured; None while one of them is missing."""
        if self.answer is None or self.measured is None:
            return None
        if self.choices:
            return self.answer == self.measured
        measured = float(self.measured)
        return abs(float(self.answer) - measured) <= self.within * abs(measured)

    def accept(self, value: str | float) -> str | float:
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
            return (
                "You made no prediction. Next time guess before you look: a result that "
                "contradicts a guess is the one that stays in mind."
            )
        said = f"You predicted {self.format_answer(self.answer)}"
        if self._answered_late:
            said += ", after the reveal"
        if self.choices:
            return said + (": right." if self.right else ". What made you expect that?")
        if self.right:
            return f"{said}: right, within {100 * self.within:.0f} %."
        beyond = float(self.answer) - float(self.measured)
        where = "too high" if beyond > 0 else "too low"
        return f"{said}: {where} by {self.format_answer(abs(beyond))}."

    def show(self) -> None:
        """The question, with a form below it in a notebook."""
        _show(
            _line(SKY, f"<b>Predict.</b> {_safe(self.question)}"),
            f"{self!r}\n  answer with: bv.open_lesson({self.lesson!r})[{self.key!r}].answer = ...",
        )
        if self._make_form is not None and _in_notebook():
            if self._form is None:
                self._form = self._make_form(self)
            display(self._form)

    def __repr__(self) -> str:
        possible = " / ".join(self.choices) or f"a number, {self.unit}".rstrip(", ")
        given = "no answer yet" if self.answer is None else self.format_answer(self.answer)
        return f"<Prediction {self.key!r}: {self.question} [{possible}] {given}>"


def _in_notebook() -> bool:
    """Whether a kernel runs this: widgets have someone to talk to."""
    return hasattr(get_ipython(), "kernel")


def _show(markup: str, text: str) -> None:
    if get_ipython() is None:
        print(text)
    else:
        display({"text/html": markup, "text/plain": text}, raw=True)


def _line(colour: str, markup: str, role: str = "note") -> str:
    """A paragraph with a coloured edge; its words say what the colour says, in any theme."""
    return (
        f'<div role="{role}" style="border-left: 4px solid {colour}; padding: 2px 10px; '
        f'margin: 2px 0">{markup}</div>'
    )


def _safe(text: str) -> str:
    return html.escape(text, quote=False)
