"""What came of a class: the table that an instructor fills up, and a text for each student.

The table is written anew by every grading. What the instructor has written into its column for
words is read before, from whatever spreadsheet has saved it since, and kept.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bpttviz._files import write_atomic
from bpttviz.evaluation.tables import guarded, unguarded

GRADED, UNREADABLE = "graded", "unreadable"
GRADES = "grades.csv"
ASIDE = "grades_before_{}.csv"
NAME, FOR_WORDS = "submission", "points for words"
BEFORE_POINTS, AFTER_POINTS = (NAME, "status"), (FOR_WORDS, "words", "seconds", "reason", "look at")
BYTE_ORDER_MARK = "\ufeff"  # without it spreadsheets misread names
SEPARATORS = ",;\t"  # of spreadsheets, by language
LONGEST_CELL = 1_000_000_000  # characters; what a student wrote may be long, and was ours to write


@dataclass(frozen=True)
class Grade:
    """What came of one submission.

    Attributes:
        submission: its name, from its file.
        status: "graded", "time limit", "crashed" or "unreadable".
        reason: why it was not graded; "" where it was.
        questions: name → (points, points possible).
        errors: a sentence for each cell that raised.
        remarks: a sentence for each hidden test that failed.
        words: answers in words, to be read by the instructor.
        unusual: parts of its code that an answer has no use for.
        fingerprint: the same for the same code.
        seconds: that it took.
        isolated: whether it had no network, and saw no files or processes of others.
    """

    submission: str
    status: str
    reason: str = ""
    questions: dict[str, tuple[float, float]] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()
    fingerprint: str = ""
    seconds: float = 0.0
    isolated: bool = False

    @property
    def points(self) -> float:
        """All of them together."""
        return sum(got for got, _ in self.questions.values())


def write_grades(out: Path, grades: Sequence[Grade], say: Callable[[str], None] = print) -> Path:
    """Write the table, with the points for words of the one that is there.

    What the new one has no place for (rows of submissions that are gone, columns of the
    instructor's own) is not lost: the table of before then stays under another name.

    Returns:
        the file.

    Raises:
        ValueError: the table of before cannot be read.
    """
    file, given = out / GRADES, points_for_words(out)
    text = table(grades, given)
    if file.exists():
        known = {found.submission for found in grades}
        gone = [name for name, points in given.items() if points and name not in known]
        own = [head for head in _rows(file)[0] if head not in AFTER_POINTS and not _ours(head)]
        if gone or own:
            aside = _free(out)
            write_atomic(aside, file.read_bytes())
            lost = [f"points for the words of {', '.join(gone)}"] if gone else []
            lost += [f"your columns {', '.join(own)}"] if own else []
            say(f"not in the new table: {'; '.join(lost)}. The table of before is {aside}")
    write_atomic(file, BYTE_ORDER_MARK + text)
    return file


def points_for_words(out: Path) -> dict[str, str]:
    """What the instructor gave for words: submission → the cell.

    Args:
        out: a folder of results; where it has no table yet, there are none.

    Raises:
        ValueError: there is a table, and it cannot be read as one.
    """
    if not (out / GRADES).exists():
        return {}
    heads, *rows = _rows(out / GRADES)
    name, points = heads.index(NAME), heads.index(FOR_WORDS)
    given: dict[str, str] = {}
    for row in rows:
        if len(row) <= max(name, points):
            continue  # a line that a spreadsheet left empty
        who, gave = unguarded(row[name]), row[points].strip()
        if given.setdefault(who, gave) != gave:
            raise ValueError(
                f"{out / GRADES} has two rows for {who} with different points for words: delete one"
            )
    return given


def _rows(file: Path) -> list[list[str]]:
    """The rows of a table, the heads first, whatever spreadsheet saved it.

    Raises:
        ValueError: it is none of ours.
    """
    longest = csv.field_size_limit(LONGEST_CELL)
    try:
        text = file.read_text(encoding="utf-8-sig")
        for separator in SEPARATORS:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
            if rows and {NAME, FOR_WORDS} <= set(rows[0]):
                return rows
        problem = f"it has no columns {NAME!r} and {FOR_WORDS!r}"
    except (ValueError, csv.Error) as error:
        problem = str(error)
    finally:
        csv.field_size_limit(longest)
    raise ValueError(
        f"{file} is there, and the points for words in it cannot be read ({problem}); it would be "
        "written over. Save it as CSV in UTF-8 with its first line, or move it away"
    )


def _ours(head: str) -> bool:
    """Whether a column is one that every grading computes, or is empty."""
    return head in ("", *BEFORE_POINTS) or (head.endswith(")") and " (of " in head)


def _free(out: Path) -> Path:
    """A name that no table has yet."""
    number = 1
    while (out / ASIDE.format(number)).exists():
        number += 1
    return out / ASIDE.format(number)


def table(grades: Sequence[Grade], for_words: Mapping[str, str] | None = None) -> str:
    """CSV: a row for each submission, a column for each question, one for the points for words.

    Args:
        grades: of all submissions.
        for_words: submission → what the instructor gave for its words; empty where nothing yet.
    """
    names = sorted({name for found in grades for name in found.questions})
    possible = {
        name: max(found.questions.get(name, (0.0, 0.0))[1] for found in grades) for name in names
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{name} (of {possible[name]:g})" for name in names]
    total = f"points (of {sum(possible.values()):g})"
    writer.writerow([*BEFORE_POINTS, total, *heads, *AFTER_POINTS])
    for found in grades:
        graded = found.status == GRADED  # what was not has no points, rather than none
        points = [found.points, *(found.questions.get(name, (0.0, 0.0))[0] for name in names)]
        cells = [f"{each:g}" if graded else "" for each in points]
        reason = found.reason or "; ".join((*found.errors, *found.remarks))
        words = "\n\n".join(found.words)
        given = (for_words or {}).get(found.submission, "")
        row = [found.submission, found.status, *cells]
        about = [words, f"{found.seconds:.1f}", reason, look_at(found, grades)]
        writer.writerow([*map(_cell, row), given, *map(_cell, about)])
    return text.getvalue()


def _cell(text: str) -> str:
    """As it is written: nothing that a spreadsheet computes, whoever wrote it.

    A carriage return alone, which csv does not quote, would begin a row of its own.
    """
    return guarded(text.replace("\r\n", "\n").replace("\r", "\n"))


def look_at(found: Grade, grades: Sequence[Grade]) -> str:
    """What an instructor should look at: code that an answer has no use for, copies."""
    same = [
        other.submission
        for other in grades
        if other is not found and found.points and other.fingerprint == found.fingerprint
    ]
    said = [f"uses {', '.join(found.unusual)}"] if found.unusual else []
    return "; ".join([*said, *([f"same code as {', '.join(same)}"] if same else [])])


def feedback(found: Grade) -> str:
    """What a student may read: points by question, and a sentence for each that is missing."""
    if found.status != GRADED:
        return f"{found.submission}: {found.status}. {found.reason}\n"
    lines = [f"{found.submission}: {found.points:g} points"]
    lines += [f"  question {key}: {got:g} of {of:g}" for key, (got, of) in found.questions.items()]
    lines += [f"  {sentence}" for sentence in (*found.errors, *found.remarks)]
    return "\n".join(lines) + "\n"
