"""What an instructor has written into the table of grades since it was last computed.

Points for words are the instructor's alone. Other cells are computed; one that differs from what
was written last is a correction, and stays while what is computed stays the same.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bpttviz.evaluation.tables import unguarded

NAME, FOR_WORDS, WORDS = "submission", "points for words", "words"
SEPARATORS = ",;\t"  # of spreadsheets, by language
LONGEST_CELL = 1_000_000_000  # characters; what a student wrote may be long, and was ours to write


@dataclass(frozen=True)
class Sheet:
    """A table as a spreadsheet has saved it.

    Attributes:
        heads: of its columns.
        rows: submission → column → cell.
    """

    heads: Sequence[str] = ()
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def row(self, name: str) -> dict[str, str]:
        """That of a submission; a spreadsheet takes 00123 for a number, and makes 123 of it."""
        return self.rows.get(name) or self.rows.get(_as_number(name)) or {}

    def without(self, names: Iterable[str]) -> list[str]:
        """The submissions that have a row here and are none of these."""
        known = {form for name in names for form in (name, _as_number(name))}
        return [name for name in self.rows if name not in known]


def _as_number(name: str) -> str:
    return name.lstrip("0") if name.isdigit() else name


def read_sheet(file: Path) -> Sheet:
    """A table that was written before, whatever spreadsheet saved it since; without one, no rows.

    Raises:
        ValueError: it cannot be read, or has two rows for one submission with different points.
    """
    if not file.exists():
        return Sheet()
    heads, *lines = _lines(file)
    rows: dict[str, dict[str, str]] = {}
    for line in lines:
        cells = dict(zip(heads, line, strict=False))
        if FOR_WORDS not in cells or NAME not in cells:
            continue  # a line that a spreadsheet left empty
        cells[FOR_WORDS] = cells[FOR_WORDS].strip()
        who = unguarded(cells[NAME])
        if rows.setdefault(who, cells)[FOR_WORDS] != cells[FOR_WORDS]:
            raise ValueError(
                f"{file} has two rows for {who} with different points for words: delete one"
            )
    return Sheet(heads, rows)


def _lines(file: Path) -> list[list[str]]:
    """The lines of a table, the heads first.

    Raises:
        ValueError: it is none of ours.
    """
    longest = csv.field_size_limit(LONGEST_CELL)
    try:
        text = file.read_text(encoding="utf-8-sig")
        for separator in SEPARATORS:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
            if lines and {NAME, FOR_WORDS} <= set(lines[0]):
                return lines
        problem = f"it has no columns {NAME!r} and {FOR_WORDS!r}"
    except (ValueError, csv.Error) as error:
        problem = str(error)
    finally:
        csv.field_size_limit(longest)
    raise ValueError(
        f"{file} is there, and the points for words in it cannot be read ({problem}); it would be "
        "written over. Save it as CSV in UTF-8 with its first line, or move it away"
    )


def corrected(
    computed: dict[str, str],
    edited: dict[str, str],
    written: dict[str, str],
    columns: Sequence[str],
) -> tuple[dict[str, str], list[str]]:
    """The corrections of one row that still hold, and the columns of those that do not.

    Args:
        computed: column → cell, as it is now.
        edited: as the instructor left it.
        written: as it was computed when the instructor got it.
        columns: in which corrections count.
    """
    kept, stale = {}, []
    for column in columns:
        if column not in edited or column not in written or same(edited[column], written[column]):
            continue
        if same(written[column], computed[column]):
            kept[column] = edited[column]
        elif not same(edited[column], computed[column]):
            stale.append(column)
    return kept, stale


def same(one: str, other: str) -> bool:
    """Whether two cells say the same, by the text or as numbers (16 and 16,0)."""
    texts = [" ".join(unguarded(cell).split()) for cell in (one, other)]
    try:
        first, second = (float(text.replace(",", ".")) for text in texts)
    except ValueError:
        return texts[0] == texts[1]
    return first == second
