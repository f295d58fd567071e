"""What came of a class: the table that an instructor fills up, and a text for each student.

The table is written anew by every grading. What the instructor has written into it since the last
one (points for words, corrections) is read before, and kept; so that it can be told from what was
computed, the table as it was written stays in a second place.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bpttviz._files import write_atomic
from bpttviz.evaluation.tables import guarded, unguarded
from bpttviz.teaching.assignments.corrections import (
    FOR_WORDS,
    NAME,
    WORDS,
    Sheet,
    corrected,
    read_sheet,
    same,
)

GRADED, UNREADABLE = "graded", "unreadable"
GRADES = "grades.csv"
WRITTEN = "results/grades_as_written.csv"
ASIDE = "grades_before_{}.csv"
BEFORE_POINTS, AFTER_POINTS = (NAME, "status"), (FOR_WORDS, WORDS, "seconds", "reason", "look at")
BYTE_ORDER_MARK = "\ufeff"  # without it spreadsheets misread names


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
        out_of_time: whether a cell or a test was ended because it took too long.
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
    out_of_time: bool = False

    @property
    def points(self) -> float:
        """All of them together."""
        return sum(got for got, _ in self.questions.values())


def write_grades(out: Path, grades: Sequence[Grade], say: Callable[[str], None] = print) -> Path:
    """Write the table, with the points for words and the corrections of the one that is there.

    What the new one has no place for (rows of submissions that are gone, columns of the
    instructor's own, corrections of what is computed differently now) is not lost: the table of
    before then stays under another name.

    Returns:
        the file.

    Raises:
        ValueError: the table of before cannot be read.
    """
    file = out / GRADES
    before, written = read_sheet(file), read_sheet(out / WRITTEN)
    heads, computed = table_rows(grades)
    rows, stale = [], []
    for row in computed:
        mine, edited = dict(zip(heads, row, strict=True)), before.row(unguarded(row[0]))
        points = [head for head in heads if _ours(head) and head not in ("", NAME)]
        kept, changed = corrected(mine, edited, written.row(unguarded(row[0])), [*points, "reason"])
        stale += [f"{unguarded(row[0])}, {head}" for head in changed]
        given = edited.get(FOR_WORDS, "")
        if given and not same(mine[WORDS], edited.get(WORDS, "")):
            say(f"{unguarded(row[0])} has other words than those you gave {given} for: look again")
        theirs = {head: _cell(unguarded(cell)) for head, cell in kept.items()}
        rows.append(list((mine | theirs | {FOR_WORDS: given}).values()))
    lost = _lost(before, grades) + ([f"your corrections of {'; '.join(stale)}"] if stale else [])
    if lost:
        aside = _free(out)
        write_atomic(aside, file.read_bytes())
        say(f"not in the new table: {'; '.join(lost)}. The table of before is {aside}")
    (out / WRITTEN).parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out / WRITTEN, as_csv(heads, computed))
    write_atomic(file, BYTE_ORDER_MARK + as_csv(heads, rows))
    return file


def _lost(before: Sheet, grades: Sequence[Grade]) -> list[str]:
    """What the table of before holds of its instructor's that has no place in the new one."""
    gone = before.without(found.submission for found in grades)
    gone = [name for name in gone if before.rows[name][FOR_WORDS]]
    own = [head for head in before.heads if head not in AFTER_POINTS and not _ours(head)]
    lost = [f"points for the words of {', '.join(gone)}"] if gone else []
    return lost + ([f"your columns {', '.join(own)}"] if own else [])


def _ours(head: str) -> bool:
    """Whether a column is one that every grading computes, or is empty."""
    return head in ("", *BEFORE_POINTS) or (head.endswith(")") and " (of " in head)


def _free(out: Path) -> Path:
    """A name that no table has yet."""
    number = 1
    while (out / ASIDE.format(number)).exists():
        number += 1
    return out / ASIDE.format(number)


def table_rows(grades: Sequence[Grade]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows: one for each submission, a column for each question, one for words' points.

    The last is empty, as points for words are the instructor's.
    """
    names = sorted({name for found in grades for name in found.questions})
    possible = {
        name: max(found.questions.get(name, (0.0, 0.0))[1] for found in grades) for name in names
    }
    heads = [f"{name} (of {possible[name]:g})" for name in names]
    total = f"points (of {sum(possible.values()):g})"
    rows = []
    for found in grades:
        graded = found.status == GRADED  # what was not has no points, rather than none
        points = [found.points, *(found.questions.get(name, (0.0, 0.0))[0] for name in names)]
        cells = [f"{each:g}" if graded else "" for each in points]
        reason = found.reason or "; ".join((*found.errors, *found.remarks))
        words = "\n\n".join(found.words)
        row = [found.submission, found.status, *cells, ""]
        rows.append([*map(_cell, (*row, words, f"{found.seconds:.1f}", reason))])
        rows[-1].append(_cell(look_at(found, grades)))
    return [*BEFORE_POINTS, total, *heads, *AFTER_POINTS], rows


def as_csv(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Comma-separated lines."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *rows])
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
