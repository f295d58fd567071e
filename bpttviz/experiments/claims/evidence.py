"""`Evidence`: one row, a number with its interval and where it comes from; kept in JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bpttviz._files import write_atomic
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.statistics import PairedComparison, compare
from bpttviz.evaluation.tables import percent_with_interval, signed
from bpttviz.experiments.origin import Provenance

RATIO, NUMBER, SHARE = "ratio", "number", "difference of shares"
ENDS, AFTER_K, FORCES = "ΔQ at rest", "ΔQ after K steps", "force error"
COLUMNS = {ENDS: "dq_rest", AFTER_K: "dq_k", FORCES: "force_mae"}


@dataclass(frozen=True)
class Evidence:
    """One row.

    Attributes:
        claim: number of the claim that it speaks to.
        part: key of the claim's part that it decides; "" where it is context alone.
        data: set of structures.
        potential: before fine-tuning.
        recipe: what was done to it.
        question: what was asked of the held-out structures.
        quantity: what changed.
        value: the change, in ``unit``.
        low, high: 95 % interval; NaN: none.
        unit: `RATIO` after/before, `SHARE` a difference of shares, `NUMBER` a plain one.
        n: structures compared.
        groups: independent ones among them; the interval counts these.
        worse: how many of ``judged`` got worse; None where that has no meaning.
        judged: those that could get worse.
        exact: a count of all there is, to be read without an interval.
        remark: what else a reader must know.
        pairs: structure → (before, after), where rows are built upon this one.
        provenance: where it comes from.
    """

    claim: int
    part: str
    data: str
    potential: str
    recipe: str
    question: str
    quantity: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
    unit: str = RATIO
    n: int = 0
    groups: int = 0
    worse: int | None = None
    judged: int | None = None
    exact: bool = False
    remark: str = ""
    pairs: dict[str, list[float]] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance(""))

    @property
    def key(self) -> tuple[Any, ...]:
        """What a row is about: a newer one of the same key takes its place."""
        names = ("claim", "part", "data", "potential", "recipe", "question", "quantity")
        return (*(getattr(self, name) for name in names), self.provenance.seed)

    def __str__(self) -> str:
        return f"{self.potential}, {self.recipe}, {self.question}: {self.quantity} {self.change}"

    @property
    def change(self) -> str:
        """The change with its interval, as text."""
        if np.isnan(self.value):
            return "none compared"
        if np.isinf(self.value):
            return "beyond all bounds"
        if self.unit == RATIO:
            return percent_with_interval(self.value, (self.low, self.high))
        number = _bare if self.unit == NUMBER else _points
        unit = "" if self.unit == NUMBER else " points"
        if not np.isfinite(self.low):
            return f"{number(self.value)}{unit}"
        return f"{number(self.value)}{unit} ({number(self.low)} to {number(self.high)})"


def _bare(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _points(value: float) -> str:
    return signed(100 * value)


def of_comparison(
    row: Evidence, change: PairedComparison, pairs: Mapping[str, tuple[float, float]] | None = None
) -> Evidence:
    """``row`` with the numbers of a paired comparison, and what it was made from."""
    kept = {
        name: [float(f"{x:.5g}") for x in pair]
        for name, pair in (pairs or {}).items()
        if np.isfinite(pair).all()
    }
    remark = "; ".join(part for part in (row.remark, _lost(change)) if part)
    return Evidence(
        **{f.name: getattr(row, f.name) for f in fields(row)}
        | {
            "value": change.ratio,
            "low": change.interval[0],
            "high": change.interval[1],
            "unit": RATIO,
            "n": len(change.before),
            "groups": change.drawn,
            "worse": change.worse,
            "judged": change.judged,
            "remark": remark,
            "pairs": kept,
        }
    )


def _lost(change: PairedComparison) -> str:
    parts = []
    if change.lost:
        parts.append(f"from right to wrong: {', '.join(change.lost)}")
    if change.left_out:
        parts.append(f"left out: {', '.join(change.left_out)}")
    return "; ".join(parts)


def of_report(row: Evidence, report: Report, keep: bool = False) -> Evidence:
    """``row`` with the change of its quantity from a report's first to its last potential.

    Args:
        row: its quantity is one of `COLUMNS`.
        report: of two potentials.
        keep: keep each structure's two numbers too.

    A row of which no structure has both numbers says so, and decides nothing.
    """
    column = COLUMNS[row.quantity]
    before, after = report.potentials[0], report.potentials[-1]
    pairs = {
        name: (getattr(report.row(before, name), column), getattr(report.row(after, name), column))
        for name in report.structures
    }
    try:
        change = report.compare(column, before, after)
    except ValueError as nothing:  # hours of other rows are not to be lost for it
        return _nothing_compared(row, nothing)
    return of_comparison(row, change, pairs if keep else None)


def of_pairs(
    row: Evidence,
    before: Mapping[str, float],
    after: Mapping[str, float],
    groups: Mapping[str, str],
    floor: float | None = None,
    resolution: float | None = None,
) -> Evidence:
    """``row`` with the paired change between two mappings of structure → number.

    A row of which no structure has both numbers says so, and decides nothing.
    """
    names = [name for name in before if name in after]
    try:
        change = compare(
            COLUMNS.get(row.quantity, row.quantity),
            names,
            [before[name] for name in names],
            [after[name] for name in names],
            [groups[name] for name in names],
            floor,
            resolution,
        )
    except ValueError as nothing:
        return _nothing_compared(row, nothing)
    return of_comparison(row, change, {name: (before[name], after[name]) for name in names})


def _nothing_compared(row: Evidence, why: ValueError) -> Evidence:
    """``row`` without a number, and why there is none."""
    remark = "; ".join(part for part in (row.remark, str(why)) if part)
    return replace(row, value=float("nan"), low=float("nan"), high=float("nan"), remark=remark)


# --- files ---------------------------------------------------------------------------------------


def write_rows(file: Path, rows: Iterable[Evidence]) -> None:
    """JSON lines, a row a line."""
    lines = [json.dumps(_plain(asdict(row)), ensure_ascii=False) for row in rows]
    write_atomic(file, "\n".join(lines) + "\n")


def read_rows(file: Path, source: str = "") -> list[Evidence]:
    """What `write_rows` left.

    Args:
        file: of JSON lines.
        source: named in each row's provenance.

    Raises:
        ValueError: something else; names the file and the line.
    """
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            held = json.loads(line)
            origin = Provenance(**{**held.pop("provenance"), "source": source})
            numbers = {k: _number(held[k]) for k in ("value", "low", "high")}
            rows.append(Evidence(**{**held, **numbers, "provenance": origin}))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{file} holds no rows of evidence: line {number} ({type(error).__name__}: {error})"
            ) from error
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """For JSON, which knows no NaN; numbers to five digits, what is as by default left out."""
    usual = {f.name: f.default for f in fields(Evidence)} | {"pairs": {}}
    kept = {k: v for k, v in row.items() if k not in usual or v != usual[k]}
    for name in ("value", "low", "high"):
        number = row[name]
        kept[name] = None if np.isnan(number) else float(f"{number:.5g}")
        if np.isinf(number):
            kept[name] = str(number)  # JSON has no word for it
    kept["part"] = row["part"]
    kept["provenance"] = {
        k: v for k, v in row["provenance"].items() if v not in (None, "") and k != "source"
    }
    return kept


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
