"""`Measured`: one variant of the recipe, measured before and after, of several seeds together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from bpttviz.evaluation.report import Report
from bpttviz.evaluation.words import minima_that_changed
from bpttviz.experiments.ablation_tables import Table
from bpttviz.experiments.origin import Provenance
from bpttviz.experiments.points import LAST, Point
from bpttviz.experiments.protocol import PRETRAINED
from bpttviz.experiments.trial import FINE_TUNED

RESOLVED = 0.1  # amu^½ Å: within it a factor says nothing
FAR = 3.0  # times: a structure that rests so much farther has left its site


@dataclass(frozen=True, eq=False)
class Measured:
    """A variant after its training, after some epochs of it, or a part of the way there.

    Attributes:
        name: of the variant.
        point: which weights of its trainings.
        updates: about how many were made.
        folds: how many there are.
        reports: seed → before and after.
        origins: seed → where it comes from.
        names: structures to be told of; by default those that every seed has measured.
    """

    name: str
    point: Point
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


def merged(tables: Sequence[Table], names: frozenset[str] | None = None) -> Measured:
    """Seeds of one variant and point together.

    Args:
        tables: one a seed.
        names: of structures to be told of; by default those that every seed has measured.
    """
    first = tables[0]
    epoch, epochs = first.point.epoch, first.note["epochs"]
    share = 1.0 if epoch is None else epoch / epochs
    return Measured(
        first.variant,
        first.point,
        round(share * first.note["updates"]),
        first.note["folds"],
        {table.seed: table.report for table in tables},
        {table.seed: table.origin for table in tables},
        names,
    )


def merged_by_point(tables: Sequence[Table], points: Collection[Point]) -> list[Measured]:
    """One variant at several points, of the seeds and structures that were measured at all of them.

    Returns:
        In the points' order; none where no seed has them all.
    """
    by_seed = {
        seed: {table.point: table for table in tables if table.seed == seed}
        for seed in {table.seed for table in tables}
    }
    whole = [found for found in by_seed.values() if all(point in found for point in points)]
    if not whole:
        return []
    common = frozenset.intersection(
        *(frozenset(found[point].report.structures) for found in whole for point in points)
    )
    return [merged([found[point] for found in whole], common) for point in points]


def epochs_of(tables: Sequence[Table]) -> list[Point]:
    """After each epoch of a variant's training, where all but the last were measured too."""
    every = [*map(Point, range(1, tables[0].note["epochs"])), LAST]
    return every if {table.point for table in tables} >= {*every} and len(every) > 1 else []


def blend_lines(tables: Sequence[Table]) -> list[list[Measured]]:
    """Blends of one variant with pretrained weights, as lines that have the same structures along.

    Returns:
        The line with the most parts of the way first; then, where some of these were measured on
        more structures, shorter ones over more. The whole way is last in each; none without blends.
    """
    found: list[list[Measured]] = []
    points = _blends_of(tables)
    while len(points) > 1:
        line = merged_by_point(tables, points)
        if line and (not found or len(line[0].structures) > len(found[-1][0].structures)):
            found.append(line)
        counts = {point: _count(tables, point) for point in points[:-1]}
        fewest = min(counts.values())
        points = [point for point in points if counts.get(point, np.inf) > fewest]
    return found


def _blends_of(tables: Sequence[Table]) -> list[Point]:
    """Parts of the way that every seed with any was measured at, and the whole; or nothing."""
    by_seed: dict[int, set[Point]] = defaultdict(set)
    for table in tables:
        if table.point.alpha is not None:
            by_seed[table.seed].add(table.point)
    common = set.intersection(*by_seed.values()) if by_seed else set()
    return [*sorted(common, key=lambda point: point.alpha or 0.0), LAST] if common else []


def _count(tables: Sequence[Table], point: Point) -> int:
    """Structures that every seed with this point has measured there."""
    there = [table.report.structures for table in tables if table.point == point]
    return len(set.intersection(*map(set, there)))
