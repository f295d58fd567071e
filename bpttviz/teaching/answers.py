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

from bpttviz._checks import file_path, instance_of, sequence_of, text
from bpttviz.plotting.answers import plot_answers
from bpttviz.plotting.figure import AccessibleFigure

COLUMNS = ("lesson", "student", "kind", "key", "answer", "measured", "right", "mistake")
NO_ANSWER = "no answer"
NO_NUMBER = "no number"  # words, or infinity, where a number was asked for
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
        missing = sum(x is None or x == NO_ANSWER for x in given)
        choices = self._choices(lesson, key)
        numbers = _numbers(given)
        if chosen["kind"].iloc[0] == "exercise":
            outcomes = Counter(
                f"mistake: {mistake}" if mistake else outcome
                for mistake, outcome in zip(chosen["mistake"].tolist(), given, strict=True)
            )
            return dict(outcomes.most_common())
        if choices or not numbers:
            counts = dict.fromkeys(choices, 0) | Counter(str(x) for x in given if x is not None)
        else:
            counts = _ranges(numbers)
            if others := len(given) - len(numbers) - missing:
                counts[NO_NUMBER] = others
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
        numbers = _numbers(chosen["answer"].tolist())
        edges = _edges(numbers) if numbers else None
        if edges is None or self._choices(lesson, key):
            return ""
        here, _ = np.histogram([value], edges)  # by the rule that counts the answers
        return labels[int(here.argmax())] if here.any() else ""

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
    paths = [path for path in sorted(folder.rglob("*.json")) if _somebodys(path, folder)]
    if not paths:
        raise FileNotFoundError(f"there are no answers (*.json) in {folder}")
    return ClassAnswers([_read(path, folder) for path in paths])


def _somebodys(path: Path, folder: Path) -> bool:
    """Neither a checkpoint nor what file managers leave."""
    parts = path.relative_to(folder).parts
    return path.is_file() and not any(p.startswith(".") or p == "__MACOSX" for p in parts)


def _read(path: Path, folder: Path) -> dict:
    """One file. Who has not said a name has that of the file, with the folders that lead to it.

    Raises:
        ValueError: not what `Lesson.export` writes.
    """
    try:
        found = instance_of("answers", json.loads(path.read_text(encoding="utf-8")), dict, "{...}")
        _rows(found)  # all that is needed is there
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} does not hold the answers of a lesson: {error!r}") from error
    found["student"] = found["student"] or path.relative_to(folder).with_suffix("").as_posix()
    return found


def _rows(file: dict) -> list[tuple]:
    """Raises KeyError, TypeError, OverflowError where something is missing or of another kind."""
    rows: list[tuple] = []
    who = text("lesson", file["lesson"]), text("student", file["student"])
    for key, p in file["predictions"].items():
        sequence_of("choices", p["choices"], str, '["yes", "no"]')
        rows.append(
            (*who, "prediction", key, _answer(p["answer"]), _value(p["measured"]), p["right"], "")
        )
    for key, e in file["exercises"].items():
        outcome = text("outcome", e["outcome"])
        mistake = text("mistake", e["mistake"])
        rows.append((*who, "exercise", key, outcome, None, outcome == "right", mistake))
    return rows


def _answer(value: Any) -> str | float:
    found = _value(value)
    return NO_ANSWER if found is None else found


def _value(value: Any) -> str | float | None:
    return value if value is None or isinstance(value, str) else float(value)


def _numbers(given: Sequence[Any]) -> list[float]:
    return [x for x in given if isinstance(x, float) and np.isfinite(x)]


def _edges(numbers: Sequence[float]) -> np.ndarray | None:
    """Of ranges of equal width; None where the numbers are too near or too far for that."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            edges = np.histogram_bin_edges(numbers, BINS)
    except ValueError:
        return None
    return edges if np.isfinite(edges).all() and (np.diff(edges) > 0).all() else None


def _ranges(numbers: list[float]) -> dict[str, int]:
    """Range → how many are in it, with as many digits as it takes to tell the ranges apart."""
    edges = _edges(numbers)
    if edges is None:
        return {repr(value): count for value, count in sorted(Counter(numbers).items())}
    counts, _ = np.histogram(numbers, edges)
    digits = next(n for n in range(3, 18) if len({f"{x:.{n}g}" for x in edges}) == len(edges))
    names = [f"{x:.{digits}g}" for x in edges]
    return {
        f"{low} to {high}": int(count)
        for count, low, high in zip(counts, names[:-1], names[1:], strict=True)
    }
