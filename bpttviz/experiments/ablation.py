"""What each ingredient of the recipe buys: variants of it on the same held-out structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bpttviz._checks import text
from bpttviz.evaluation.statistics import PairedComparison, compare
from bpttviz.evaluation.tables import format_markdown, format_table, percent_with_interval
from bpttviz.experiments.ablation_tables import ORIGINS, STORED, read_tables
from bpttviz.experiments.measured import Measured, blend_lines, epochs_of, merged, merged_by_point
from bpttviz.experiments.origin import Provenance
from bpttviz.experiments.points import LAST
from bpttviz.experiments.variants import VARIANTS, WHOLE, variant

ENDS, AFTER_K, FORCES = "dq_rest", "dq_k", "force_mae"
HEADINGS = {ENDS: "ΔQ at rest", AFTER_K: "after K steps", FORCES: "force error"}
# Forces where the reference's is below 0.1 eV/Å, and above.
BY_STRENGTH = {"force_mae_weak": "weak forces", "force_mae_strong": "strong forces"}


@dataclass(frozen=True, eq=False)
class Ablation:
    """Variants side by side.

    Attributes:
        potential, data: names of what was fine-tuned, and of the data set.
        measured: after the whole training, in the order of `VARIANTS`.
        curves: variant → after each epoch, the last one too; of the structures and seeds that all
            of its points have.
        blends: variant → with pretrained weights, a part of the way each, the whole way last; see
            `blend_lines`.
        noise_floor: of the reference's ends, amu^½ Å; None where it is not known.
    """

    potential: str
    data: str
    measured: list[Measured]
    curves: dict[str, list[Measured]]
    blends: dict[str, list[list[Measured]]]
    noise_floor: float | None

    @classmethod
    def read(cls, folder: str | Path) -> Ablation:
        """What a folder holds.

        Raises:
            FileNotFoundError: no table of a variant, or none after a whole training.
            ValueError: a file that is damaged or not ours, or variants of several data sets,
                divisions into folds or potentials in one folder.
        """
        tables = read_tables(Path(folder))
        about = {(t.note["potential"], t.note["dataset"], t.note["folds"]) for t in tables}
        if len(about) > 1:
            has = "; ".join(f"{p} on {d} in {f} folds" for p, d, f in sorted(about))
            raise ValueError(f"variants are of one potential on one data set: {folder} has {has}")
        first = tables[0].note
        measured: list[Measured] = []
        curves: dict[str, list[Measured]] = {}
        blends: dict[str, list[list[Measured]]] = {}
        for one in VARIANTS:
            mine = [table for table in tables if table.variant == one.name]
            if last := [table for table in mine if table.point == LAST]:
                measured.append(merged(last))
                if (points := epochs_of(mine)) and (line := merged_by_point(mine, points)):
                    curves[one.name] = line
                if lines := blend_lines(mine):
                    blends[one.name] = lines
        if not measured:
            raise FileNotFoundError(
                f"no training of a variant in {folder} is finished: there is nothing to compare yet"
            )
        return cls(
            first["potential"], first["dataset"], measured, curves, blends, first["noise_floor"]
        )

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
                rows.append(row | self._both_errors(one))
        return rows

    def front(self, widest: bool = False) -> list[dict[str, Any]]:
        """Variants and their blends as numbers, for `plot_front`, on structures that all have.

        Args:
            widest: only what was measured on the most structures; otherwise all that there is, on
                the structures that all of it shares.

        Returns:
            A row each: title of the ``variant``, ``alpha``, ``n`` structures, and (ratio, low,
            high) of both errors. A variant's rows are in the order of alpha, whole way last.
        """
        lines = [[*self.blends.get(one.name, []), [one]] for one in self.measured]
        least = max(len(one.structures) for one in self.measured) if widest else 0
        wide = [[line for line in each if len(line[0].structures) >= least] for each in lines]
        chosen = [each[0] for each in wide if each]
        common = frozenset.intersection(*(frozenset(m.structures) for line in chosen for m in line))
        rows = []
        for one in (replace(one, names=common) for line in chosen for one in line):
            alpha = 1.0 if one.point.alpha is None else one.point.alpha
            about = {"variant": variant(one.name).title, "alpha": alpha, "n": len(common)}
            rows.append(about | self._both_errors(one))
        return rows

    def _both_errors(self, one: Measured) -> dict[str, tuple[float, float, float]]:
        """(ratio, low, high) against pretrained, of the end at rest and of forces."""
        found = {}
        for column in (ENDS, FORCES):
            change = self.compare(one, column)
            nothing = (np.nan, np.nan, np.nan)
            found[column] = nothing if change is None else (change.ratio, *change.interval)
        return found

    def curve_frame(self) -> pd.DataFrame:
        """A line an epoch of a variant: both errors over updates."""
        every = [one for line in self.curves.values() for one in line]
        return self._lines(every, {"updates": [f"{one.updates}" for one in every]})

    def blend_frame(self) -> pd.DataFrame:
        """A line a blend: both errors over the way from pretrained to fine-tuned weights."""
        every = [one for lines in self.blends.values() for line in lines for one in line]
        return self._lines(every, {"α": [f"{one.point.alpha or 1:g}" for one in every]})

    def _lines(self, every: Sequence[Measured], more: Mapping[str, list[str]]) -> pd.DataFrame:
        """A line each: the variant's title, a column more, and what it changes."""
        changes = {
            heading: [self.change(one, column) for one in every]
            for column, heading in {**HEADINGS, **BY_STRENGTH}.items()
        }
        return pd.DataFrame(
            {
                "variant": [variant(one.name).title for one in every],
                **more,
                "n": [f"{len(one.structures)}" for one in every],
                **changes,
                "slope of forces": [f"{one.slope()[1]:.2f}" for one in every],
            }
        )

    def sections(self) -> list[tuple[str, pd.DataFrame]]:
        """(title, table) of all that is there."""
        of_what = f"{self.potential} on {self.data}"
        found = [(f"Variants of the recipe, {of_what}", self.frame())]
        if self.curves:
            found.append((f"Over updates, {of_what}", self.curve_frame()))
        if self.blends:
            title = f"A part α of the way from pretrained weights (`bpttviz.blend`), {of_what}"
            found.append((title, self.blend_frame()))
        return found

    def origins(self) -> list[Provenance]:
        """Where the trainings come from."""
        blends = [line for lines in self.blends.values() for line in lines]
        lines = [*blends, *self.curves.values()]
        every = [*self.measured, *(one for line in lines for one in line)]
        return list(dict.fromkeys(made for one in every for made in one.origins.values()))

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
