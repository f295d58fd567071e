"""What comparing methods came to: a table for each potential, and the average over potentials.

The question is the paradox of arXiv 2512.01067: fine-tuning on ends alone improves where
relaxations end (by 32 % on average) while the forces get worse. Each half is judged for each
potential; only potentials pretrained elsewhere count in the average.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bpttviz._checks import file_path
from bpttviz._files import write_atomic
from bpttviz.evaluation.statistics import METHOD, group_interval
from bpttviz.evaluation.tables import format_table
from bpttviz.evaluation.tables import to_csv as rows_to_csv
from bpttviz.experiments.benchmark_result import (
    ENDPOINT,
    FORCE,
    Average,
    BenchmarkResult,
    Unfinished,
    read_benchmark_result,
)
from bpttviz.experiments.methods import LABELS, METHODS
from bpttviz.experiments.protocol import PRETRAINED

ACCOUNT, TABLE = "table.txt", "table.csv"


def read_benchmark(folder: str | Path) -> list[BenchmarkResult]:
    """One `BenchmarkResult` for each potential's folder in ``folder``; external ones first.

    Potentials of which no part is finished yet are left out.

    Raises:
        TypeError, ValueError: no folder.

    Warns:
        UserWarning: names each potential that is left out because a file of it is damaged.
    """
    results, damaged = _read_all(folder)
    for name, why in damaged.items():
        warnings.warn(f"{name} is left out of the comparison: {why}", stacklevel=2)
    return results


def _read_all(folder: str | Path) -> tuple[list[BenchmarkResult], dict[str, str]]:
    """The results, and folder → why it could not be read."""
    folder = file_path("folder", folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give the one that benchmark has written to")
    found, damaged = [], {}
    for settings in sorted(folder.glob("*/settings.json")):
        try:
            found.append(read_benchmark_result(settings.parent))
        except Unfinished:
            continue
        except (ValueError, OSError) as error:
            damaged[settings.parent.name] = str(error)
    return sorted(found, key=lambda result: (not result.external, result.name)), damaged


def average(results: Sequence[BenchmarkResult], column: str, method: str) -> Average:
    """Average over potentials of the change that a method makes to a column.

    Groups are left out for all potentials at once, as their errors on one structure are no
    independent evidence. Values that a potential lacks leave its other structures in.

    Raises:
        ValueError: nothing to average.
    """
    logs = [result.log_ratios(column, method) for result in results]
    known = [one for one in logs if one]
    names = list(dict.fromkeys(name for one in known for name in one))
    if not names:
        raise ValueError(f"no potential has {column} both before and after {method}")
    groups = {name: group for result in results for name, group in result.groups.items()}
    table = np.array([[one.get(name, np.nan) for name in names] for one in known])

    def mean(chosen: np.ndarray) -> float:
        """Over structures, then over the potentials that have any of them."""
        part = table[:, chosen]
        part = part[np.isfinite(part).any(1)]
        return float(np.nanmean(part, axis=1).mean()) if len(part) else float("nan")

    low, high = group_interval(mean, [groups[name] for name in names])
    ratio = float(np.exp(mean(np.ones(len(names), bool))))
    return Average(ratio, (float(np.exp(low)), float(np.exp(high))), len(known))


def format_benchmark(
    results: Sequence[BenchmarkResult], damaged: Mapping[str, str] | None = None
) -> str:
    """The whole account: the average first, then each potential.

    Args:
        results: see `read_benchmark`.
        damaged: folder → why its potential is missing.
    """
    missing = [f"{name} is missing here: {why}" for name, why in (damaged or {}).items()]
    if not results:
        return "\n".join(["No potential has been compared yet.", *missing])
    return "\n\n\n".join(["\n".join([_headline(results), *missing]), *map(str, results)])


def _headline(results: Sequence[BenchmarkResult]) -> str:
    """The average over potentials, each potential's change, and what is to be minded."""
    external = [result for result in results if result.external]
    rows = []
    for method in METHODS[1:]:
        mine = [result for result in external if method in result.methods]
        if len(mine) > 1:
            falls, rises = (
                sum(result.direction(column, method) == direction for result in mine)
                for column, direction in ((ENDPOINT, "falls"), (FORCE, "rises"))
            )
            verdict = f"endpoint improves in {falls}, force error rises in {rises}"
            name = f"mean of {len(mine)} pretrained elsewhere"
            rows.append([name, method, *_changes(mine, method), verdict])
    for result in results:
        for method in result.methods[1:]:
            verdict = (
                f"endpoint {result.direction(ENDPOINT, method) or 'open'}, "
                f"force error {result.direction(FORCE, method) or 'open'}"
            )
            name = result.name + ("" if result.external else " (made here)")
            rows.append([name, method, *_changes([result], method), verdict])
    columns = ["potential", "method", "ΔQ at rest", "force MAE", "beyond chance"]
    lines = [
        f"Change against the pretrained potential: geometric mean ({METHOD})",
        "",
        format_table(pd.DataFrame(rows, columns=columns), rule=False),
        "",
    ]
    families = sorted({result.family for result in external})
    if len(families) < 2:
        which = f"{families[0]} only" if families else "none so far"
        lines.append(
            f"Architectures pretrained elsewhere: {which}. Whether this holds across architectures "
            "is not settled here."
        )
    lines += [f"{r.name}: mind that {r.caveat}." for r in results if r.caveat]
    lines += [f"{r.name}: {r.done} of {r.parts} parts so far." for r in results if r.done < r.parts]
    return "\n".join(lines)


def _changes(results: Sequence[BenchmarkResult], method: str) -> list[str]:
    """The average changes of endpoint and force error, as cells."""
    cells = []
    for column in (ENDPOINT, FORCE):
        try:
            cells.append(str(average(results, column, method)))
        except ValueError:
            cells.append("not measured")
    return cells


def to_csv(results: Sequence[BenchmarkResult]) -> str:
    """One line for each potential and method: means, counts, and changes against pretrained."""
    lines = []
    for result in results:
        for summary in result.report.summary():
            lines.append(_csv_row(result, summary))
    return rows_to_csv(lines)


def _csv_row(result: BenchmarkResult, summary: Mapping[str, object]) -> dict[str, object]:
    """A line of `to_csv` from a line of `Report.summary`."""
    method = str(summary["potential"])
    row: dict[str, object] = {
        "potential": result.name,
        "external": result.external,
        "method": method,
        "labels": LABELS[method],
        "evaluations": result.evaluations[method],
    }
    row |= {key: value for key, value in summary.items() if key not in ("potential", "labels")}
    basins = result.report.column("basin", method).tolist()
    row |= {kind: basins.count(kind) for kind in ("equivalent", "different", "unknown")}
    parts = (f"force_mae_{part}" for part in ("near", "far", "weak", "strong"))
    for column in ("dq_from_start", "dq_rest_near", *parts):
        row[column] = result.report.mean(column, method)
    for column in (ENDPOINT, FORCE) if method != PRETRAINED else ():
        try:
            change = average([result], column, method)
        except ValueError:
            continue
        row[f"{column} ratio"] = change.ratio
        row[f"{column} low"], row[f"{column} high"] = change.interval
    return row


def summarise(folder: str | Path) -> str:
    """Read all potentials' folders in ``folder``; write and return the whole account.

    A potential of which a file is damaged is named in the account, with what is wrong.

    Raises:
        TypeError, ValueError: no folder.
    """
    folder = file_path("folder", folder)
    results, damaged = _read_all(folder)
    text = format_benchmark(results, damaged)
    if results:
        write_atomic(folder / ACCOUNT, text + "\n")
        write_atomic(folder / TABLE, to_csv(results))
    return text
