"""Tables as text, HTML and CSV, all from a ``pandas.DataFrame``."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bpttviz._checks import file_path

# What a spreadsheet would take for a formula, and our own mark that something was escaped.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
MARK = "'"


def counted(number: int, what: str) -> str:
    """ "1 structure", "8 structures"."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def percent(ratio: float) -> str:
    """The change that a ratio is, with its sign; "none compared" where there is none (NaN)."""
    return "none compared" if math.isnan(ratio) else f"{100 * (ratio - 1):+.1f} %"


def signed(percent: float) -> str:
    """ "+31", "−48": with a true minus sign; a bound of "−0" is on another side than "+0"."""
    return f"{percent:+.0f}".replace("-", "−")


def percent_with_interval(ratio: float, interval: tuple[float, float]) -> str:
    """The change that a ratio is and its interval, "−48 % (−61 to −31)"; alone where that is NaN.

    Whole percent, as of few structures no more can be told.
    """
    value = f"{signed(100 * (ratio - 1))} %"
    if any(map(math.isnan, interval)):
        return value
    low, high = (signed(100 * (bound - 1)) for bound in interval)
    return f"{value} ({low} to {high})"


def format_table(frame: pd.DataFrame, rule: bool = True) -> str:
    """A table of strings in a fixed width: the first column to the left, the others to the right.

    Args:
        frame: of strings; its columns are the headings.
        rule: a line under the headings.
    """
    rows = [list(map(str, frame.columns)), *frame.astype(str).to_numpy().tolist()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], *["-" * max(map(len, lines))] * rule, *lines[1:]])


def format_markdown(frame: pd.DataFrame) -> str:
    """A table of strings as Markdown."""

    def line(cells: Sequence[object]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    head = [line(list(frame.columns)), line(["---"] * len(frame.columns))]
    return "\n".join([*head, *(line(row) for row in frame.to_numpy().tolist())])


def table_html(frame: pd.DataFrame) -> str:
    """The same table as HTML, with headings that a screen reader can tell; text is escaped."""

    def cells(values: Sequence[object], start: str, end: str) -> str:
        """Table cells one after another."""
        return "".join(f"{start}{html.escape(str(value))}{end}" for value in values)

    head = cells(list(frame.columns), "<th scope='col'>", "</th>")
    rows = [
        cells(row[:1], "<th scope='row'>", "</th>") + cells(row[1:], "<td>", "</td>")
        for row in frame.to_numpy().tolist()
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as CSV text, numbers to the last digit, missing values empty.

    Text that a spreadsheet would run as a formula begins with an apostrophe there; `read_csv` takes
    it off again.

    Args:
        rows: one mapping a line.
        columns: their order; by default that of first appearance.
    """
    rows = [dict(row) for row in rows]
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[guarded(row.get(name, "")) for name in columns] for row in rows]
    # csv does not quote a carriage return by itself, and a reader would take it for a new line.
    returns = any("\r" in cell for line in lines for cell in line if isinstance(cell, str))
    buffer = io.StringIO()
    if returns:
        writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    else:
        writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return buffer.getvalue()


def read_csv(path: str | Path, required: Collection[str] = ()) -> list[dict[str, str]]:
    """The lines of a table that `to_csv` wrote, as text.

    Args:
        path: the file.
        required: columns that it must have.

    Raises:
        TypeError: no path.
        ValueError: a damaged table: no headings, bytes that are no text, or a line with more or
            fewer cells than headings; or a table of something else.
        OSError: no such file, or one that cannot be read.
    """
    path = file_path("path", path)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            lines = [(reader.line_num, line) for line in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not columns:
        raise ValueError(f"{path} is damaged: it is empty")
    missing = [repr(name) for name in required if name not in columns]
    if missing:
        raise ValueError(f"{path} is damaged, or another table: no column {', '.join(missing)}")
    for number, line in lines:
        if len(line) != len(columns):
            raise ValueError(
                f"{path} is damaged: line {number} has {len(line)} cells for {len(columns)} columns"
            )
    return [dict(zip(columns, map(unguarded, line), strict=True)) for _, line in lines]


def guarded(value: Any) -> Any:
    """A value as it is written; text is guarded against being run."""
    risky = isinstance(value, str) and value.startswith((*FORMULA, MARK))
    return f"{MARK}{value}" if risky else value


def unguarded(cell: str) -> str:
    """What was written, without the guard."""
    return cell[1:] if cell.startswith(MARK) and cell[1:].startswith((*FORMULA, MARK)) else cell
