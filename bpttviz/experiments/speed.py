"""How fast we are beside others: each piece of work timed in turn with theirs, in one run.

Ratios are taken between neighbours in time, as a machine is never the same for long. On a CPU what
counts is the processor's time (another program may have the clock), on a GPU the clock's.
"""

from __future__ import annotations

import json
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bpttviz._files import read_json, write_atomic
from bpttviz.evaluation.tables import format_table
from bpttviz.experiments.machine import machine
from bpttviz.experiments.speed_work import Pair, Work


def measure_speed(works: Sequence[Work], file: str | Path, repeats: int = 3) -> list[dict]:
    """Time each piece of work beside its relative.

    Args:
        works: the rows; one that is in the file already, from this machine, is not done again.
        file: JSON, written after each row.
        repeats: timings of each, in turn, after an untimed first one.

    Returns:
        One dict a row: name, against, target; ``ours`` and ``theirs``, seconds of each repetition;
        ``apart``, how far the results are from each other; or ``skipped`` and why. The first dict
        is the machine's.

    Raises:
        ValueError: the file is damaged, of another machine, or of none; or it has a row of other
            settings.
    """
    file, here = Path(file), machine()
    rows: list[dict] = read_json(file) if file.exists() else [here]
    if not rows or rows[0] != here:
        raise ValueError(
            f"{file} was measured on another machine or with other versions; timings are compared "
            "within one machine only: give another file"
        )
    done = {row["name"]: row["settings"] for row in rows[1:] if "skipped" not in row}
    for work in works:
        if (known := done.get(work.name)) is not None:
            if known != _settings(work):
                raise ValueError(
                    f"{file} has {work.name!r} with other settings ({known}, not "
                    f"{_settings(work)}): give another file, or repeat the old settings"
                )
            continue
        rows = [row for row in rows if row.get("name") != work.name]
        rows.append(_row(work, repeats))
        write_atomic(file, json.dumps(rows, indent=1) + "\n")
    return rows


def _row(work: Work, repeats: int) -> dict:
    row: dict[str, Any] = {
        "name": work.name,
        "against": work.against,
        "target": work.target,
        "settings": _settings(work),
    }
    reason = work.missing()
    if reason is not None:
        return {**row, "skipped": reason}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = work.prepare()
        first = pair.ours(), pair.theirs()  # untimed: what is loaded or compiled on first use
        if pair.apart is not None:
            row["apart"] = pair.apart(*first)
        row |= _timed(work, pair, repeats)
    return row


def _settings(work: Work) -> dict[str, str]:
    """What a piece of work was made with."""
    return {name: str(value) for name, value in vars(work).items()}


def _timed(work: Work, pair: Pair, repeats: int) -> dict[str, list[float]]:
    """Seconds of each repetition, ours and theirs in turn."""
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):
        spent["ours"].append(work.seconds(pair.ours))
        spent["theirs"].append(pair.times * work.seconds(pair.theirs))
    return spent


def speed_table(rows: Sequence[dict]) -> str:
    """The rows as a table: medians, how many times as fast with its spread, and the targets."""
    lines = []
    for row in rows[1:]:
        line = {"work": row["name"], "against": row["against"], "target": f"{row['target']:g}×"}
        if "skipped" in row:
            line |= {"ours / s": "-", "theirs / s": "-", "ratio": row["skipped"], "apart": ""}
        else:
            ratios = [b / a for a, b in zip(row["ours"], row["theirs"], strict=True)]
            middle = statistics.median(ratios)
            line |= {
                "ours / s": f"{statistics.median(row['ours']):.2f}",
                "theirs / s": f"{statistics.median(row['theirs']):.2f}",
                "ratio": f"{middle:.2f}× ({min(ratios):.2f} to {max(ratios):.2f})",
                "apart": "" if "apart" not in row else f"{row['apart']:.0e}",
            }
        lines.append(line)
    return format_table(pd.DataFrame(lines), rule=False)
