"""`Report`: what an evaluation measured, structure by structure, and what follows from it."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from ase import Atoms

from bpttviz.evaluation.metrics import HEADINGS, NEAR, WEAK, StructureResult
from bpttviz.evaluation.statistics import MIN_SAMPLES, PairedComparison, compare
from bpttviz.relaxation.relax import Relaxation


class Report:
    """Measurements of one or more potentials on the same structures, with the paths they took.

    Args:
        rows: one `StructureResult` for each structure and potential.
        relaxations: (potential, structure) → its K-step `Relaxation` (a batch of one).
        references: structure → the reference end.
        rests: (potential, structure) → X_rest, where the relaxation got there.
        noise_floor: ΔQ (amu^½ Å) below which differences are within the labels' own error; drawn
            in every figure. None where it is not known.
        labels: what each potential learned from, for the table ("ends", "frames with forces").
    """

    def __init__(
        self,
        rows: Sequence[StructureResult],
        relaxations: dict[tuple[str, str], Relaxation] | None = None,
        references: dict[str, Atoms] | None = None,
        rests: dict[tuple[str, str], Atoms] | None = None,
        noise_floor: float | None = None,
        labels: dict[str, str] | None = None,
    ):
        self.rows = tuple(rows)
        self.relaxations = relaxations or {}
        self.references = references or {}
        self.rests = rests or {}
        self.noise_floor = noise_floor
        self.labels = labels or {}

    @classmethod
    def from_csv(cls, path: str | Path) -> Report:
        """The rows of a table written by `to_csv`; it has no relaxations to look at.

        Columns that an older version did not write have the value of what is not measured.
        """
        convert = {"int": int, "float": float, "str": str, "bool": "True".__eq__}
        with open(path, encoding="utf-8", newline="") as file:
            rows = [
                StructureResult(
                    **{
                        f.name: convert[f.type](line[f.name])
                        for f in fields(StructureResult)
                        if f.name in line
                    }
                )
                for line in csv.DictReader(file)
            ]
        return cls(rows)

    @property
    def potentials(self) -> list[str]:
        """Names of the potentials, in order of appearance."""
        return list(dict.fromkeys(row.potential for row in self.rows))

    @property
    def structures(self) -> list[str]:
        """Names of the structures, in order of appearance."""
        return list(dict.fromkeys(row.structure for row in self.rows))

    def row(self, potential: str, structure: int | str) -> StructureResult:
        """The row of one structure (number or name) under one potential."""
        name = self._name(structure)
        for row in self.rows:
            if (row.potential, row.structure) == (potential, name):
                return row
        raise KeyError(f"no measurement of {name!r} with {potential!r}")

    def column(self, name: str, potential: str) -> np.ndarray:
        """One column of the table, in the order of `structures`."""
        return np.array([getattr(self.row(potential, s), name) for s in self.structures])

    def relaxation(self, potential: str, structure: int | str) -> Relaxation:
        """The K-step relaxation of one structure."""
        return self.relaxations[potential, self._name(structure)]

    def reference(self, structure: int | str) -> Atoms:
        """The end that one structure should have reached."""
        return self.references[self._name(structure)]

    def compare(
        self,
        column: str = "dq_rest",
        before: str | None = None,
        after: str | None = None,
        same_basin: bool = False,
        by_group: bool = False,
    ) -> PairedComparison:
        """Paired change of ``column`` from ``before`` (first potential) to ``after`` (last).

        ``same_basin`` keeps only structures that end in the reference's own minimum under both: a
        few missed basins can swamp a mean. ``by_group`` draws groups whole for the interval.
        """
        before = self.potentials[0] if before is None else before
        after = self.potentials[-1] if after is None else after
        names = self.structures
        values = [self.column(column, p).astype(float) for p in (before, after)]
        if same_basin:
            same = (self.column("basin", before) == "same") & (
                self.column("basin", after) == "same"
            )
            values = [np.where(same, v, np.nan) for v in values]
        groups = [self.row(before, name).group for name in names] if by_group else None
        return compare(column, names, *values, groups)

    def conclusions(self, before: str | None = None, after: str | None = None) -> list[str]:
        """Plain sentences: is the endpoint better, the force worse, and is that beyond chance?"""
        return [
            self._verdict(what, column, before, after)
            for column, what in (
                ("dq_rest", "Endpoint error at rest"),
                ("force_mae", "Force error"),
            )
        ]

    def _verdict(self, what: str, column: str, before: str | None, after: str | None) -> str:
        try:
            change = self.compare(column, before, after)
        except ValueError:
            return f"{what}: not measured (no structure has it for both)."
        low, high = change.interval
        count, percent = len(change.before), 100 * (change.ratio - 1)
        direction = change.direction
        extent = f"{percent:+.0f} % over {count} structures, {change.worse} worse"
        if change.left_out:
            extent += f", {len(change.left_out)} left out ({', '.join(change.left_out)})"
        if count < MIN_SAMPLES:
            here = "falls" if percent < 0 else "rises"
            return f"{what} {here} here, {extent}; too few to tell more."
        verdict = direction or "does not change beyond what these structures can tell"
        interval = f"95 % interval {100 * (low - 1):+.0f} to {100 * (high - 1):+.0f} %"
        return f"{what} {verdict}: {extent} ({interval})."

    def summary(self) -> list[dict]:
        """One dictionary a potential: arithmetic means, change at rest, and the counts.

        Means are over the structures for which every potential has the figure: over different
        ones they could not be compared.
        """
        result = []
        for potential in self.potentials:
            line = {"potential": potential}
            for column in HEADINGS:
                line[column] = self.mean(column, potential)
            if potential != self.potentials[0]:
                line |= self._change_at_rest(potential)
            line["same_basin"] = int((self.column("basin", potential) == "same").sum())
            line["not_at_rest"] = int((~self.column("rest_converged", potential)).sum())
            line["diverged"] = int((self.column("diverged", potential) != "").sum())
            line["n"] = len(self.structures)
            if self.labels:
                line["labels"] = self.labels.get(potential, "")
            result.append(line)
        return result

    def _change_at_rest(self, potential: str) -> dict:
        """Ratio, and how many of how many structures got worse; a new divergence is worse too."""
        before, after = (self.column("dq_rest", p) for p in (self.potentials[0], potential))
        lost = int((np.isfinite(before) & ~np.isfinite(after)).sum())
        try:
            change = self.compare("dq_rest", after=potential)
        except ValueError:
            return {"ratio_rest": float("nan"), "worse": lost, "compared": lost}
        return {
            "ratio_rest": change.ratio,
            "worse": change.worse + lost,
            "compared": len(change.before) + lost,
        }

    def merge(self, other: Report) -> Report:
        """This report and another one of other structures or potentials, as one."""
        return Report(
            (*self.rows, *other.rows),
            {**self.relaxations, **other.relaxations},
            {**self.references, **other.references},
            {**self.rests, **other.rests},
            self.noise_floor if self.noise_floor is not None else other.noise_floor,
            {**self.labels, **other.labels},
        )

    def to_csv(self, path: str | Path | None = None) -> str:
        """All rows as CSV text; written to ``path`` when one is given."""
        buffer = io.StringIO()
        writer = csv.DictWriter(
            buffer, [f.name for f in fields(StructureResult)], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        if path is not None:
            Path(path).write_text(buffer.getvalue(), encoding="utf-8")
        return buffer.getvalue()

    def _name(self, structure: int | str) -> str:
        return self.structures[structure] if isinstance(structure, (int, np.integer)) else structure

    def _table(self) -> tuple[list[str], list[list[str]]]:
        headings = [
            "potential",
            *(h for h, _ in HEADINGS.values()),
            "change at rest",
            "worse",
            "same basin",
        ]
        body = []
        for line in self.summary():
            ratio = line.get("ratio_rest")
            body.append(
                [
                    line["potential"],
                    *(f"{line[c]:.{digits}f}" for c, (_, digits) in HEADINGS.items()),
                    "" if ratio is None else f"{100 * (ratio - 1):+.1f} %",
                    "" if ratio is None else f"{line['worse']}/{line['compared']}",
                    f"{line['same_basin']}/{line['n']}",
                ]
            )
        return headings, body

    def _notes(self) -> list[str]:
        notes = [
            f"{len(self.structures)} structures; ΔQ in amu^½ Å, means over those that all have; "
            "change: geometric mean of paired ratios"
        ]
        for line in self.summary():
            for key, what in (("not_at_rest", "did not come to rest"), ("diverged", "diverged")):
                if line[key]:
                    notes.append(f"{line['potential']}: {line[key]} {what}")
        notes += self._details()
        for after in self.potentials[1:]:
            whose = f"{after}: " if len(self.potentials) > 2 else ""
            notes += [whose + verdict for verdict in self.conclusions(after=after)]
        return notes

    def _details(self) -> list[str]:
        """What the table has no column for: one line a quantity, wherever it was measured."""
        lines = []
        measured = {row.structure for row in self.rows if np.isfinite(row.force_mae)}
        without = len(self.structures) - len(measured)
        if without:
            lines.append(
                f"no force error for {without} of {len(self.structures)} structures: their "
                "references are ends alone, without a trajectory of forces to compare with"
            )
        pairs = {
            f"force MAE / eV/Å within {NEAR:g} Å of the defect, and beyond": ("near", "far"),
            f"force MAE / eV/Å where the reference is below {WEAK:g} eV/Å, and above": (
                "weak",
                "strong",
            ),
        }
        for what, names in pairs.items():
            columns = [f"force_mae_{name}" for name in names]
            if all(np.isfinite(self.mean(c, p)) for c in columns for p in self.potentials):
                values = {
                    p: " and ".join(f"{self.mean(c, p):.4f}" for c in columns)
                    for p in self.potentials
                }
                lines.append(f"{what}: {_listed(values)}")
        if any(row.from_start != "not measured" for row in self.rows):
            values = {
                p: f"{self.mean('dq_from_start', p):.3f}"
                f" ({(self.column('from_start', p) == 'not at rest').sum()} not at rest)"
                for p in self.potentials
            }
            lines.append(
                f"ΔQ at rest, relaxed from the start without the K steps: {_listed(values)}"
            )
        others = {p: self._other_minima(p) for p in self.potentials}
        if any(others.values()):
            lines.append(f"minima other than the reference's: {_listed(others)}")
        if any(self.labels.values()):
            lines.append(
                f"learned from: {_listed({p: self.labels.get(p) for p in self.potentials})}"
            )
        return lines

    def mean(self, column: str, potential: str) -> float:
        """Mean over the structures for which every potential has this figure; NaN without any."""
        values = np.array([self.column(column, p).astype(float) for p in self.potentials])
        common = np.isfinite(values).all(axis=0)
        mine = values[self.potentials.index(potential)][common]
        return float(mine.mean()) if len(mine) else float("nan")

    def _other_minima(self, potential: str) -> str:
        found = self.column("basin", potential).tolist()
        counts = {kind: found.count(kind) for kind in ("equivalent", "different", "unknown")}
        return " ".join(f"{n} {kind}" for kind, n in counts.items() if n)

    def __str__(self) -> str:
        headings, body = self._table()
        widths = [max(len(r[i]) for r in [headings, *body]) for i in range(len(headings))]
        lines = [
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(r, widths, strict=True))
            )
            for r in [headings, *body]
        ]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", *self._notes()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        headings, body = self._table()
        head = "".join(f"<th scope='col'>{html.escape(h)}</th>" for h in headings)
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(r[0])}</th>"
            + "".join(f"<td>{html.escape(c)}</td>" for c in r[1:])
            + "</tr>"
            for r in body
        )
        notes = "".join(f"<li>{html.escape(n)}</li>" for n in self._notes())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><ul>{notes}</ul>"


def _listed(values: dict[str, str]) -> str:
    """`name value` pairs, those without a value left out."""
    return "; ".join(f"{name} {value}" for name, value in values.items() if value)
