"""What each ingredient of the recipe buys: variants of it on the same held-out structures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bpttviz._checks import text
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.statistics import PairedComparison, compare
from bpttviz.evaluation.tables import format_markdown, format_table, percent_with_interval
from bpttviz.evaluation.words import minima_that_changed
from bpttviz.experiments.ablation_tables import ORIGINS, STORED, Table, read_tables
from bpttviz.experiments.origin import Provenance
from bpttviz.experiments.protocol import PRETRAINED
from bpttviz.experiments.trial import FINE_TUNED
from bpttviz.experiments.variants import VARIANTS, WHOLE, variant

ENDS, AFTER_K, FORCES = "dq_rest", "dq_k", "force_mae"
HEADINGS = {ENDS: "ΔQ at rest", AFTER_K: "after K steps", FORCES: "force error"}
# Forces where the reference's is below 0.1 eV/Å, and above.
BY_STRENGTH = {"force_mae_weak": "weak forces", "force_mae_strong": "strong forces"}
RESOLVED = 0.1  # amu^½ Å: within it a factor says nothing
FAR = 3.0  # times: a structure that rests so much farther has left its site


@dataclass(frozen=True, eq=False)
class Measured:
    """A variant after its training, or after some epochs of it.

    Attributes:
        name: of the variant.
        updates: about how many were made.
        folds: how many there are.
        reports: seed → before and after.
        origins: seed → where it comes from.
        names: structures to be told of; by default those that every seed has measured.
    """

    name: str
    updates: int
    folds: int
    reports: dict[int, Report]
    origins: dict[int, Provenance]
    names: frozenset[str] | None = None

    @property
    def structures(self) -> list[str]:
        """Held out, and measured with every seed."""
        first, *more = self.reports.values()
        common = [n for n in first.structures if all(n in other.structures for other in more)]
        return [n for n in common if self.names is None or n in self.names]

    def values(self, column: str, after: bool = True) -> dict[str, float]:
        """Structure → geometric mean over seeds, as ratios are averaged; NaN where one has none."""
        potential = FINE_TUNED if after else PRETRAINED
        columns = [
            [float(getattr(report.row(potential, name), column)) for name in self.structures]
            for report in self.reports.values()
        ]
        with np.errstate(divide="ignore"):
            means = np.exp(np.log(np.array(columns)).mean(axis=0))
        return dict(zip(self.structures, map(float, means), strict=True))

    def slope(self) -> tuple[float, float]:
        """Of predicted against reference forces, before and after: mean of structures and seeds.

        Below 1 the potential is too soft; beyond it is too hasty.
        """
        rows = [
            [report.row(potential, name).force_slope for potential in (PRETRAINED, FINE_TUNED)]
            for report in self.reports.values()
            for name in self.structures
        ]
        before, after = np.array(rows).mean(axis=0)
        return float(before), float(after)

    def strayed(self) -> list[str]:
        """Structures that rest more than three times as far from the reference end as before.

        Where a site is no minimum any more, the start and the reference end leave it alike: that
        is no "lost" minimum in `minima`, which asks whether these two still meet.
        """
        before, after = self.values("dq_rest", after=False), self.values("dq_rest")
        return [name for name in after if after[name] > FAR * max(before[name], RESOLVED)]

    def group_of(self, name: str) -> str:
        """The group of a structure."""
        return next(iter(self.reports.values())).row(PRETRAINED, name).group

    def minima(self) -> dict[str, list[str]]:
        """Those "lost" and "gained", by name; of several seeds, with how many did so."""
        seeds = len(self.reports)
        found = {}
        for what in ("lost", "gained"):
            counts = Counter(
                name
                for report in self.reports.values()
                for name in minima_that_changed(
                    report.subset(self.structures), PRETRAINED, FINE_TUNED
                )[what]
            )
            found[what] = [f"{name} ({n} of {seeds})" * (seeds > 1) or name
                           for name, n in counts.items()]  # fmt: skip
        return found


@dataclass(frozen=True, eq=False)
class Ablation:
    """Variants side by side.

    Attributes:
        potential, data: names of what was fine-tuned, and of the data set.
        measured: after the whole training, in the order of `VARIANTS`.
        curves: variant → after each epoch, the last one too; of the structures and seeds that all
            of its points have.
        noise_floor: of the reference's ends, amu^½ Å; None where it is not known.
    """

    potential: str
    data: str
    measured: list[Measured]
    curves: dict[str, list[Measured]]
    noise_floor: float | None

    @classmethod
    def read(cls, folder: str | Path) -> Ablation:
        """What a folder holds.

        Raises:
            FileNotFoundError: no table of a variant.
            ValueError: a file that is damaged or not ours, or variants of several data sets,
                divisions into folds or potentials in one folder.
        """
        tables = read_tables(Path(folder))
        about = {(t.note["potential"], t.note["dataset"], t.note["folds"]) for t in tables}
        if len(about) > 1:
            has = "; ".join(f"{p} on {d} in {f} folds" for p, d, f in sorted(about))
            raise ValueError(f"variants are of one potential on one data set: {folder} has {has}")
        first = tables[0].note
        measured, curves = [], {}
        for one in VARIANTS:
            mine = [table for table in tables if table.variant == one.name]
            if last := [table for table in mine if table.epoch is None]:
                measured.append(_merged(last))
                if points := _points(mine):
                    curves[one.name] = points
        return cls(first["potential"], first["dataset"], measured, curves, first["noise_floor"])

    def change(self, one: Measured, column: str, against: Measured | None = None) -> str:
        """The change of a column: of the variant against pretrained, or against another one."""
        compared = self.compare(one, column, against)
        return "—" if compared is None else percent_with_interval(compared.ratio, compared.interval)

    def compare(
        self, one: Measured, column: str, against: Measured | None = None
    ) -> PairedComparison | None:
        """Paired, over what both have measured; None where there is nothing to compare."""
        after = one.values(column)
        before = one.values(column, after=False) if against is None else against.values(column)
        names = [name for name in after if name in before]
        floor = self.noise_floor if column in (ENDS, AFTER_K) else None
        one_by_one = [[which[name] for name in names] for which in (before, after)]
        groups = [one.group_of(name) for name in names]
        try:
            return compare(column, names, one_by_one[0], one_by_one[1], groups, floor)
        except ValueError:
            return None

    def frame(self) -> pd.DataFrame:
        """A line a variant: changes against pretrained, minima, and beside the whole recipe."""
        whole = next((one for one in self.measured if one.name == WHOLE.name), None)
        lines = []
        for one in self.measured:
            ends, minima = self.compare(one, ENDS), one.minima()
            line = {
                "variant": variant(one.name).title,
                "seeds": f"{len(one.reports)}",
                "n": f"{len(one.structures)}",
                **{heading: self.change(one, column) for column, heading in HEADINGS.items()},
                **{heading: self.change(one, column) for column, heading in BY_STRENGTH.items()},
                "slope of forces": "{:.2f} → {:.2f}".format(*one.slope()),
                "worse": "—" if ends is None else f"{ends.worse} of {ends.judged}",
                "three times as far": ", ".join(one.strayed()) or "none",
                **{f"minima {w}": ", ".join(names) or "none" for w, names in minima.items()},
            }
            if whole is not None:
                beside = {
                    ENDS: "at rest, beside the recipe",
                    AFTER_K: "after K, beside it",
                    FORCES: "forces, beside it",
                }
                for column, heading in beside.items():
                    line[heading] = "" if one is whole else self.change(one, column, whole)
            lines.append(line)
        return pd.DataFrame(lines)

    def curve(self) -> list[dict[str, Any]]:
        """Curves as numbers, for `plot_dose`: (ratio, low, high) of both errors; the slope."""
        rows = []
        for name, points in self.curves.items():
            for one in points:
                row: dict[str, Any] = {
                    "variant": variant(name).title, "updates": one.updates, "slope": one.slope(),
                }  # fmt: skip
                for column in (ENDS, FORCES):
                    change = self.compare(one, column)
                    nothing = (np.nan,) * 3
                    row[column] = nothing if change is None else (change.ratio, *change.interval)
                rows.append(row)
        return rows

    def curve_frame(self) -> pd.DataFrame:
        """A line an epoch of a variant: both errors over updates."""
        return pd.DataFrame(
            [
                {
                    "variant": variant(name).title,
                    "updates": f"{one.updates}",
                    "n": f"{len(one.structures)}",
                    **{heading: self.change(one, column) for column, heading in HEADINGS.items()},
                    "slope of forces": f"{one.slope()[1]:.2f}",
                }
                for name, points in self.curves.items()
                for one in points
            ]
        )

    def sections(self) -> list[tuple[str, pd.DataFrame]]:
        """(title, table) of all that is there."""
        of_what = f"{self.potential} on {self.data}"
        found = [(f"Variants of the recipe, {of_what}", self.frame())]
        if self.curves:
            found.append((f"Over updates, {of_what}", self.curve_frame()))
        return found

    def origins(self) -> list[Provenance]:
        """Where the trainings come from."""
        return [made for one in self.measured for made in one.origins.values()]

    def __str__(self) -> str:
        parts = [
            f"{title}\n\n{format_table(table, rule=False)}" for title, table in self.sections()
        ]
        made = "\n".join(f"{made.command} (commit {made.commit})" for made in self.origins())
        return "\n\n".join([*parts, f"Made by\n\n{made}"])

    def to_markdown(self) -> str:
        """The tables, and where they are from."""
        tables = [f"**{title}**\n\n{format_markdown(table)}" for title, table in self.sections()]
        made = [
            f"- `{made.command}`, commit {made.commit}, {made.machine}" for made in self.origins()
        ]
        return "\n\n".join([*tables, "\n".join(made)])


def stored_ablation(potential: str = "chgnet") -> Ablation:
    """Variants of the recipe that come with the package, measured on silicon defects held out.

    `bpttviz ablation` prints them, `plotting.plot_dose` draws both errors over updates.

    Args:
        potential: as a command line names it.

    Raises:
        TypeError: no string.
        ValueError: none of that potential; names those that there are.
    """
    text("potential", potential)
    folder = _stored().get(potential.replace(":", "-"))  # no file system has all colons
    if folder is None:
        known = ", ".join(one.potential for one in stored_ablations().values())
        raise ValueError(f"no variants of {potential!r} come with bpttviz; there are {known}")
    return Ablation.read(folder)


def stored_ablations() -> dict[str, Ablation]:
    """All that come with the package, a potential each, by the names of their folders."""
    return {name: Ablation.read(folder) for name, folder in _stored().items()}


def _stored() -> dict[str, Path]:
    return {file.parent.name: file.parent for file in sorted(STORED.glob(f"*/{ORIGINS}"))}


def _merged(tables: list[Table], names: frozenset[str] | None = None) -> Measured:
    """Seeds of one variant (and epoch) together."""
    first = tables[0]
    share = 1.0 if first.epoch is None else first.epoch / first.note["epochs"]
    return Measured(
        first.variant,
        round(share * first.note["updates"]),
        first.note["folds"],
        {table.seed: table.report for table in tables},
        {table.seed: table.origin for table in tables},
        names,
    )


def _points(tables: list[Table]) -> list[Measured]:
    """A variant's curve: of the seeds and structures that were measured after every epoch."""
    by_seed = {
        seed: {table.epoch: table for table in tables if table.seed == seed}
        for seed in {table.seed for table in tables}
    }
    every = [*range(1, tables[0].note["epochs"]), None]
    whole = [points for points in by_seed.values() if all(epoch in points for epoch in every)]
    if not whole or len(every) == 1:
        return []
    common = frozenset.intersection(
        *(frozenset(table.report.structures) for points in whole for table in points.values())
    )
    return [_merged([points[epoch] for points in whole], common) for epoch in every]
