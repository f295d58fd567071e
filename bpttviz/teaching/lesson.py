"""What notebooks share: predictions before the reveal, exercises, hints, and checks of claims.

    lesson = bv.open_lesson("foggy valley")
    lesson.predict("end", "Twice the step: where does the walker end?", ("same place", "elsewhere"))
    ...                                                     # the reader chooses, then computes
    lesson.reveal("end", "elsewhere", "0.31 Å away")        # waits for the guess, or for a skip
    lesson.attempt(exercise, answer)                        # right, or which mistake it was
    lesson.check("a longer step ends elsewhere", distance > 0.1, f"{distance:.2f} Å")
    lesson.summary()
    lesson.export("answers/ana.json", student="Ana")        # for whoever teaches

Everything shows itself at once: as a form or a coloured line in a notebook, as text in a terminal
and in an executed notebook that nobody looks at. Answers live in this process, by lesson and key,
so that running a cell again finds them; nothing is written or sent anywhere but by `export`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bpttviz._checks import file_path, instance_of, text
from bpttviz._files import write_atomic
from bpttviz.plotting.figure import DARK
from bpttviz.plotting.palette import GREEN, GREY, ORANGE, VERMILION
from bpttviz.profiling import memory_peak
from bpttviz.teaching.exercise import Exercise, Verdict
from bpttviz.teaching.prediction import UNANSWERED, FormMaker, Prediction
from bpttviz.teaching.show import in_notebook, line, safe, show

MARKS = {
    "right": ("✓", "Right", GREEN),
    "mistake": ("✗", "Not yet", ORANGE),
    "wrong": ("✗", "Not yet", ORANGE),
    "error": ("✗", "It stops", VERMILION),
    "untried": ("·", "Yours", GREY),
}
GOES_ON = "Until it is right, the notebook goes on with a solution."


class Lesson:
    """The predictions, exercises and checks of one notebook; get it from `bpttviz.open_lesson`.

    Args:
        name: by which it is found again.
        form: makes what a prediction is answered in, in a notebook; None: answers are given in
            code alone.

    Attributes:
        name: as given.
        predictions: key → `Prediction`.
        exercises: key → the verdict on the last attempt.
        checks: claim → whether it held when it was last checked.
        hints_given: the hints shown last.
    """

    def __init__(self, name: str, form: FormMaker | None = None):
        self.name = name
        self._form = form
        self.predictions: dict[str, Prediction] = {}
        self.exercises: dict[str, Verdict] = {}
        self.checks: dict[str, bool] = {}
        self.hints_given: tuple[str, ...] = ()
        self._began = _cpu_seconds()

    def __getitem__(self, key: str) -> Prediction:
        try:
            return self.predictions[key]
        except KeyError:
            known = ", ".join(map(repr, self.predictions)) or "none yet"
            raise KeyError(f"no prediction {key!r} in this lesson; there are: {known}") from None

    def begin(self) -> None:
        """Count processor time from here on, for `check_cost`.

        Pictures of the notebook's text follow a dark theme from here on, too.
        """
        if in_notebook():
            show(DARK, "")
        self._began = _cpu_seconds()

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
        """Show what was measured beside what was predicted, as soon as something was.

        Without a prediction it waits for one, folded; to open it is to skip.

        Args:
            key: which prediction.
            measured: one of its choices, or a number.
            details: the figures behind it.

        Raises:
            KeyError: nothing of that name was asked.
            ValueError: ``measured`` is no possible answer.
        """
        self[key].reveal(measured, details)

    def attempt(self, exercise: Exercise, answer: Any) -> Any:
        """Say at once what becomes of an answer; returns what the notebook can go on with.

        Args:
            exercise: with its solution and known mistakes.
            answer: a value or a function; None and ... are "not tried yet".

        Returns:
            the answer where it is right, otherwise the solution.
        """
        exercise = instance_of("exercise", exercise, Exercise, "Exercise(key, right)")
        verdict = self.exercises[exercise.key] = exercise.judge(answer)
        mark, word, colour = MARKS[verdict.outcome]
        sentence = verdict.sentence
        if verdict.outcome == "right":
            sentence = sentence.removeprefix("Right.").strip()
        elif verdict.outcome in ("mistake", "wrong"):
            sentence = sentence.removeprefix("Not yet.").strip()
        if verdict.outcome != "right":  # else a reader wonders where the numbers below come from
            if sentence and sentence[-1] not in ".?!":
                sentence += "."
            sentence = f"{sentence} {GOES_ON}".lstrip()
        show(
            line(
                colour,
                f'<b><span aria-hidden="true">{mark}</span> {safe(exercise.key)}: {word}.</b> '
                f"{safe(sentence)}",
                role="status",
            ),
            f"{mark} {exercise.key}: {word}. {sentence}".rstrip(),
        )
        return answer if verdict.outcome == "right" else exercise.right

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
        show(
            line(
                colour,
                f'<b><span aria-hidden="true">{mark}</span> {word}:</b> {safe(claim + figures)}',
                role="status" if holds else "alert",
            ),
            f"{mark} {word}: {claim}{figures}",
        )
        if not holds:
            raise AssertionError(f"the claim {claim!r} does not hold here{figures}")

    def check_cost(self, seconds: float, gigabytes: float = 1.6) -> None:
        """Check that the lesson cost no more than promised since `begin`.

        Args:
            seconds: of processor time, of child processes too: a busy machine fails no lesson.
            gigabytes: peak memory of this process.

        Raises:
            AssertionError: it cost more.
        """
        took, peak = _cpu_seconds() - self._began, memory_peak() / 1e9
        figures = f"{took:.0f} s of processor time, {peak:.1f} GB"
        self.check("it costs no more than promised", took < seconds and peak < gigabytes, figures)

    def hints(self, *texts: str) -> None:
        """Folded hints, to be opened one at a time.

        A terminal cannot fold: there each is kept in ``lesson.hints_given`` and not printed.
        """
        self.hints_given = texts
        show(
            "".join(
                f"<details><summary>Hint {number}</summary><p>{safe(text)}</p></details>"
                for number, text in enumerate(texts, 1)
            ),
            f"{len(texts)} hints, not shown here: lesson.hints_given[0] is the first",
        )

    def summary(self) -> None:
        """How many claims hold, and how predictions and exercises went."""
        held = sum(self.checks.values())
        lines = [f"{held} of {len(self.checks)} claims hold"]
        asked = self.predictions.values()
        if asked:
            made = [p for p in asked if p.answer is not None]
            right = sum(p.right is True for p in asked)
            left = f" ({len(asked) - len(made)} not made)" if len(made) < len(asked) else ""
            lines.append(f"{right} of {len(asked)} predictions right{left}")
        if self.exercises:
            solved = sum(verdict.outcome == "right" for verdict in self.exercises.values())
            lines.append(f"{solved} of {len(self.exercises)} exercises solved")
        everything = bool(self.checks) and held == len(self.checks)
        words = "; ".join(lines) + "."
        colour = GREEN if everything else VERMILION if self.checks else GREY
        show(line(colour, f"<b>{safe(words)}</b>", role="status"), words)

    def export(self, path: str | Path, student: str = "") -> Path:
        """Write what was answered into a file, for `bpttviz.read_answers` and whoever teaches.

        Args:
            path: a JSON file; its folder is made.
            student: a name or a number; "" for none.

        Returns:
            the path written.

        Raises:
            OSError: it cannot be written.
            TypeError: no path, or a student that is no string.
        """
        path = file_path("path", path)
        answers = {
            "lesson": self.name,
            "student": text("student", student),
            "predictions": {key: _exported(p) for key, p in self.predictions.items()},
            "exercises": {
                key: {"outcome": verdict.outcome, "mistake": verdict.mistake}
                for key, verdict in self.exercises.items()
            },
            "checks": self.checks,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(answers, ensure_ascii=False, indent=1) + "\n")
        return path

    def forget(self) -> None:
        """Start over: no answer, no attempt, no check."""
        self.predictions.clear()
        self.exercises.clear()
        self.checks.clear()

    def __repr__(self) -> str:
        answered = sum(p.answer is not None for p in self.predictions.values())
        return (
            f"<Lesson {self.name!r}: {answered} of {len(self.predictions)} questions answered, "
            f"{sum(self.checks.values())} of {len(self.checks)} claims hold>"
        )


def _exported(prediction: Prediction) -> dict[str, Any]:
    return {
        "question": prediction.question,
        "choices": list(prediction.choices),
        "unit": prediction.unit,
        "answer": prediction.answer,
        "skipped": prediction.skipped and prediction.answer is None,
        "after_reveal": prediction.answered_late,
        "measured": prediction.measured,
        "right": prediction.right,
    }


def _cpu_seconds() -> float:
    """Of this process and of those that it waited for."""
    return sum(os.times()[:4])
