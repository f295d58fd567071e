"""What a class answered: a folder of files from `Lesson.export`, counted question by question.

answers = bv.read_answers("answers/")
print(answers)                  # who chose what, which mistakes were made
answers.picture("wrong force, right place")
answers.table                   # a row for each student and question
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bpttviz._checks import file_path, instance_of
from bpttviz.plotting.answers import plot_answers
from bpttviz.plotting.figure import AccessibleFigure

COLUMNS = ("lesson", "student", "kind", "key", "answer", "measured", "right", "mistake")
NO_ANSWER = "no answer"
BINS = 6  # of a histogram of numbers


class ClassAnswers:
    """The answers of a class.

    Args:
        files: what `Lesson.export` wrote, each as read by `json.loads`.

    Attributes:
        table: pandas DataFrame, a row for each student and question: ``lesson``, ``student``,
            ``kind`` ("prediction" or "exercise"), ``key``, ``answer`` (of an exercise: its
            outcome), ``measured``, ``right``, ``mistake``.
    """

    def __init__(self, files: Sequence[dict]):
        self._files = list(files)
        rows = [row for file in self._files for row in _rows(file)]
        self.table = pd.DataFrame(rows, columns=list(COLUMNS))

    @property
    def lessons(self) -> list[str]:
        """Names of the lessons, in the order of the files."""
        return list(dict.fromkeys(self.table["lesson"]))

    def histogram(self, lesson: str, key: str) -> dict[str, int]:
        """How often each answer to a question was given; numbers in ranges of equal width.

        Raises:
            KeyError: no such question.
        """
        chosen = self.table[(self.table["lesson"] == lesson) & (self.table["key"] == key)]
        if chosen.empty:
            raise KeyError(f"no answers to {key!r} of {lesson!r}")
        given = chosen["answer"].tolist()
        numbers = [x for x in given if isinstance(x, float) and np.isfinite(x)]
        missing = sum(x is None or x == NO_ANSWER for x in given)
        if numbers:
            counts = _ranges(numbers)
        elif chosen["kind"].iloc[0] == "exercise":
            outcomes = Counter(
                f"mistake: {mistake}" if mistake else outcome
                for mistake, outcome in zip(
                    chosen["mistake"].tolist(), chosen["answer"].tolist(), strict=True
                )
            )
            return dict(outcomes.most_common())
        else:
            counts = dict.fromkeys(self._choices(lesson, key), 0)
            counts |= Counter(str(x) for x in given if x is not None)
        return counts | ({NO_ANSWER: missing} if missing else {})

    def picture(self, lesson: str) -> AccessibleFigure:
        """The histograms of a lesson's predictions, what was measured marked.

        Raises:
            KeyError: no answers to this lesson.
        """
        found = self.table[(self.table["lesson"] == lesson) & (self.table["kind"] == "prediction")]
        if found.empty:
            raise KeyError(f"no predictions of {lesson!r}; there are {', '.join(self.lessons)}")
        counts, right = {}, {}
        for key in dict.fromkeys(found["key"]):
            counts[key] = self.histogram(lesson, key)
            right[key] = self._right(lesson, key, list(counts[key]))
        return plot_answers(counts, right, lesson)

    def _choices(self, lesson: str, key: str) -> list[str]:
        for file in self._files:
            if file["lesson"] == lesson and key in file["predictions"]:
                return list(file["predictions"][key]["choices"])
        return []

    def _right(self, lesson: str, key: str, labels: list[str]) -> str:
        """Which of the labels the measured answer belongs to, "" for none.

        Students' parameters may differ, and so may what they measured: the commonest counts.
        """
        chosen = self.table[(self.table["lesson"] == lesson) & (self.table["key"] == key)]
        measured = Counter(x for x in chosen["measured"] if x is not None and x == x)
        if not measured:
            return ""
        value = measured.most_common(1)[0][0]
        if isinstance(value, str):
            return value if value in labels else ""
        for label in labels:
            low, _, high = label.partition(" to ")
            if high and float(low) <= value <= float(high):
                return label
        return ""

    def __str__(self) -> str:
        lines = []
        for lesson in self.lessons:
            part = self.table[self.table["lesson"] == lesson]
            lines.append(f"{lesson}: {part['student'].nunique()} students")
            for key in dict.fromkeys(part["key"]):
                counts = self.histogram(lesson, key)
                right = self._right(lesson, key, list(counts))
                lines.append(f"  {key}")
                wide = max(map(len, counts))
                for label, count in counts.items():
                    mark = "  ← measured" if label == right else ""
                    lines.append(f"    {label:{wide}}  {count:3}  {'#' * count}{mark}")
        return "\n".join(lines)

    __repr__ = __str__


def read_answers(folder: str | Path) -> ClassAnswers:
    """The answers in a folder, and in the folders below it.

    Args:
        folder: with the files that students' `Lesson.export` wrote; other files are left alone.

    Raises:
        FileNotFoundError: no such folder, or no such file in it.
        ValueError: a JSON file that is something else; it is named.
    """
    folder = file_path("folder", folder)
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise FileNotFoundError(f"there are no answers (*.json) in {folder}")
    return ClassAnswers([_read(path) for path in paths])


def _read(path: Path) -> dict:
    """One file.

    Raises:
        ValueError: not what `Lesson.export` writes.
    """
    try:
        found = instance_of("answers", json.loads(path.read_text(encoding="utf-8")), dict, "{...}")
        list(_rows(found))  # all that is needed is there
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} does not hold the answers of a lesson: {error!r}") from error
    found["student"] = found["student"] or path.stem
    return found


def _rows(file: dict) -> list[tuple]:
    rows: list[tuple] = []
    who = file["lesson"], file["student"]
    for key, p in file["predictions"].items():
        rows.append((*who, "prediction", key, _answer(p["answer"]), p["measured"], p["right"], ""))
    for key, e in file["exercises"].items():
        right = e["outcome"] == "right"
        rows.append((*who, "exercise", key, e["outcome"], None, right, e["mistake"]))
    return rows


def _answer(value: Any) -> str | float | None:
    if value is None or isinstance(value, str):
        return NO_ANSWER if value is None else value
    return float(value)


def _ranges(numbers: list[float]) -> dict[str, int]:
    counts, edges = np.histogram(numbers, BINS)
    return {
        f"{low:.3g} to {high:.3g}": int(count)
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
    }
