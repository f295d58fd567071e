"""`Report`: what an evaluation measured, structure by structure, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd

from bpttviz._checks import (
    file_path,
    instance_of,
    mapping_of,
    not_negative,
    sequence_of,
    text,
    whole,
)
from bpttviz._files import write_atomic
from bpttviz.evaluation import chemiscope, summary, words
from bpttviz.evaluation.metrics import REQUIRED, StructureResult
from bpttviz.evaluation.rest_path import RestPath
from bpttviz.evaluation.statistics import PairedComparison, compare, log_ratios
from bpttviz.evaluation.tables import read_csv, to_csv
from bpttviz.relaxation.relax import Relaxation
from bpttviz.structures import Structures

# Distances to the reference end: the labels' own error limits what they can tell.
LABELLED = ("dq_start", "dq_k", "dq_rest", "dq_from_start", "dq_rest_near")


class Report:
    """Measurements of one or more potentials on the same structures, with the paths they took.

    Args:
        rows: one `StructureResult` for each structure and potential.
        relaxations: (potential, structure) → its K-step `Relaxation` (a batch of one).
        references: structure → the reference end, a batch of one.
        rests: (potential, structure) → X_rest, a batch of one; where the row does not say
            ``rest_converged``, as far as the relaxation got.
        noise_floor: ΔQ (amu^½ Å) below which differences are within the labels' own error; drawn
            in every figure, and no ratio is taken of what is not beyond three times it. None where
            it is not known.
        labels: what each potential learned from, for the table ("ends", "frames with forces").
        rest_paths: (potential, structure) → the way from X_K to X_rest, as some of its frames.
        force_errors: (potential, structure) → the mean absolute force error (N,) of each atom over
            the reference's frames, eV/Å; NaN for atoms that were held.

    Attributes:
        by_map: steps and rule that led to X_K, in words; "" where it is not known, as of a table.

    Raises:
        TypeError: rows, paths or structures that are none.
        ValueError: a noise floor that is negative or not finite.
    """

    def __init__(
        self,
        rows: Sequence[StructureResult],
        relaxations: Mapping[tuple[str, str], Relaxation] | None = None,
        references: Mapping[str, Structures] | None = None,
        rests: Mapping[tuple[str, str], Structures] | None = None,
        noise_floor: float | None = None,
        labels: Mapping[str, str] | None = None,
        rest_paths: Mapping[tuple[str, str], RestPath] | None = None,
        force_errors: Mapping[tuple[str, str], np.ndarray] | None = None,
    ):
        hint = "{(potential, structure): ...}, from evaluate"
        self.rows = tuple(sequence_of("rows", rows, StructureResult, "report.rows"))
        self.relaxations = mapping_of(
            "relaxations", {} if relaxations is None else relaxations, Relaxation, hint
        )
        self.references = mapping_of(
            "references", {} if references is None else references, Structures, "{name: end}"
        )
        self.rests = mapping_of("rests", {} if rests is None else rests, Structures, hint)
        self.noise_floor = None if noise_floor is None else not_negative("noise_floor", noise_floor)
        self.labels = mapping_of(
            "labels", {} if labels is None else labels, str, '{"fine-tuned": "ends"}'
        )
        self.rest_paths = mapping_of(
            "rest_paths", {} if rest_paths is None else rest_paths, RestPath, hint
        )
        self.force_errors = mapping_of(
            "force_errors", {} if force_errors is None else force_errors, np.ndarray, hint
        )
        self.by_map = ""
        self._rows: dict[tuple[str, str], StructureResult] = {}
        for row in self.rows:
            self._rows.setdefault((row.potential, row.structure), row)

    @classmethod
    def from_csv(cls, path: str | Path) -> Report:
        """The rows of a table written by `to_csv`; it has no relaxations to look at.

        Columns that an older version did not write have the value of what is not measured.

        Raises:
            ValueError: a damaged table, or one of something else; names the file, line and column.
        """
        rows = []
        for number, line in enumerate(read_csv(path, REQUIRED), 2):
            try:
                rows.append(StructureResult.from_cells(line))
            except ValueError as error:
                raise ValueError(f"{path} is damaged: line {number}: {error}") from error
        return cls(rows)

    @property
    def potentials(self) -> list[str]:
        """Names of the potentials, in order of appearance."""
        return list(dict.fromkeys(row.potential for row in self.rows))

    @property
    def structures(self) -> list[str]:
        """Names of the structures, in order of appearance."""
        return list(dict.fromkeys(row.structure for row in self.rows))

    @property
    def groups(self) -> list[str]:
        """The group of each structure, in their order."""
        return self._groups_of(self.structures)

    def _groups_of(self, names: Sequence[str]) -> list[str]:
        known = {row.structure: row.group for row in reversed(self.rows)}
        return [known[name] for name in names]

    def shared(self, *potentials: str) -> list[str]:
        """Names of the structures that these potentials were all measured on; without any: all."""
        wanted = potentials or self.potentials
        return [s for s in self.structures if all((p, s) in self._rows for p in wanted)]

    @property
    def complete(self) -> Report:
        """What every potential was measured on: this report itself, but for gaps after `merge`."""
        names = self.shared()
        return self if len(names) == len(self.structures) else self.subset(names)

    @property
    def frame(self) -> pd.DataFrame:
        """All rows, a line for each structure and potential."""
        return pd.DataFrame(
            [asdict(row) for row in self.rows], columns=[f.name for f in fields(StructureResult)]
        )

    @property
    def table(self) -> pd.DataFrame:
        """`summary` as a table, a line for each potential."""
        return pd.DataFrame(self.summary())

    def row(self, potential: str, structure: int | str) -> StructureResult:
        """The row of one structure (number or name) under one potential.

        Raises:
            KeyError: no such measurement.
            TypeError: no names.
        """
        potential, name = text("potential", potential), self._name(structure)
        if (potential, name) not in self._rows:
            raise KeyError(f"no measurement of {name!r} with {potential!r}")
        return self._rows[potential, name]

    def column(self, name: str, potential: str) -> np.ndarray:
        """One column of the table, in the order of `structures`.

        Raises:
            KeyError: no such column, or a structure that was not measured with this potential.
            TypeError: no names.
        """
        return self._values(name, potential, self.structures)

    def _values(self, column: str, potential: str, names: Sequence[str]) -> np.ndarray:
        if text("column", column) not in StructureResult.__dataclass_fields__:
            raise KeyError(
                f"no column {column!r}; there are {', '.join(StructureResult.__dataclass_fields__)}"
            )
        return np.array([getattr(self.row(potential, name), column) for name in names])

    def relaxation(self, potential: str, structure: int | str) -> Relaxation:
        """The K-step relaxation of one structure.

        Raises:
            KeyError: a report without it (read from a table, or resumed).
            TypeError: no names.
        """
        potential, name = text("potential", potential), self._name(structure)
        if (potential, name) not in self.relaxations:
            row = self._rows.get((potential, name))
            if row is not None and row.undescribed:
                raise KeyError(f"{name!r} was not relaxed with {potential!r}: {row.diverged}")
            raise KeyError(
                f"no relaxation of {name!r} with {potential!r} in this report; paths are not kept "
                "in tables: evaluate anew without out="
            )
        return self.relaxations[potential, name]

    def reference(self, structure: int | str) -> Structures:
        """The end that one structure should have reached, a batch of one.

        Raises:
            KeyError: a report without it (read from a table), or no such structure.
            TypeError: no name.
        """
        name = self._name(structure)
        if name not in self.references:
            raise KeyError(f"no reference of {name!r} in this report; tables do not keep them")
        return self.references[name]

    def compare(
        self,
        column: str = "dq_rest",
        before: str | None = None,
        after: str | None = None,
        same_basin: bool = False,
        by_group: bool = True,
    ) -> PairedComparison:
        """Paired change of ``column`` from ``before`` (first potential) to ``after`` (last).

        Args:
            column: of `StructureResult`.
            before, after: names of potentials.
            same_basin: keep only structures that end in the reference's own minimum under both: a
                few missed basins can swamp a mean.
            by_group: take groups whole for the interval; False takes each structure for itself.

        Raises:
            ValueError: no structure has both values, or there is no other potential to compare.
            KeyError: the report holds no such potential.
        """
        before, after = self._ends(before, after)
        names = self.shared(before, after)
        values = [self._values(column, p, names).astype(float) for p in (before, after)]
        if same_basin:
            same = [self._values("basin", p, names) == "same" for p in (before, after)]
            values = [np.where(same[0] & same[1], value, np.nan) for value in values]
        groups = self._groups_of(names) if by_group else None
        return compare(column, names, values[0], values[1], groups, self.floor_of(column))

    def log_ratios(self, column: str, before: str, after: str) -> dict[str, float]:
        """Structure → ln(after/before), for those that can be compared (see `compare`)."""
        names = self.shared(before, after)
        first, second = (self._values(column, p, names).astype(float) for p in (before, after))
        logs = log_ratios(column, first, second, self.floor_of(column))
        pairs = zip(names, logs, strict=True)
        return {name: float(x) for name, x in pairs if np.isfinite(x)}

    def floor_of(self, column: str) -> float | None:
        """The labels' own error in a column's unit; None where it is not known, or has none."""
        if self.noise_floor is None or column in LABELLED:
            return self.noise_floor
        if not column.startswith("rmsd"):
            return None
        ratios = [row.rmsd_rest / row.dq_rest for row in self.rows if row.dq_rest > 0]
        return self.noise_floor * float(np.median(ratios)) if ratios else None

    def conclusions(self, before: str | None = None, after: str | None = None) -> list[str]:
        """Plain sentences: is the endpoint better, the force worse, and is that beyond chance?"""
        before, after = self._ends(before, after)
        return words.conclusions(self, before, after)

    def summary(self) -> list[dict]:
        """One dictionary a potential: arithmetic means, change at rest, and the counts.

        Means are over the structures for which every potential has the figure: over different
        ones they could not be compared. Of the change at rest: ``compared`` structures are those of
        which one could say that they got worse; ``kept_right`` are within the labels' error before
        and after; ``lost`` went from right to wrong, and are among the ``worse``. Structures that
        only some of the potentials were measured on are not counted.
        """
        return summary.lines(self)

    def mean(self, column: str, potential: str) -> float:
        """Mean over the structures for which every potential has this figure; NaN without any.

        Raises:
            KeyError: no such column or potential.
            TypeError: no names.
        """
        potential = self._potential(potential)
        whole = self.complete
        values = np.array([whole.column(column, p).astype(float) for p in self.potentials])
        common = np.isfinite(values).all(axis=0)
        mine = values[self.potentials.index(potential)][common]
        return float(mine.mean()) if len(mine) else float("nan")

    def merge(self, other: Report) -> Report:
        """This report and another one of other structures or potentials, as one.

        Raises:
            TypeError: no report.
            ValueError: both have measured one structure under one potential, or their noise floors
                differ.
        """
        instance_of("other", other, Report, "what evaluate returns")
        one, two = self.noise_floor, other.noise_floor
        if one is not None and two is not None and one != two:
            raise ValueError(
                f"the reports have different noise floors ({one:g} and {two:g} amu^½ Å), so their "
                "references are not of one set: give both the same noise_floor"
            )
        for potential, structure in self._rows.keys() & other._rows.keys():
            raise ValueError(
                f"both reports have {structure!r} under {potential!r}: give one of the potentials "
                "another name, or take a subset of structures"
            )
        merged = Report(
            (*self.rows, *other.rows),
            {**self.relaxations, **other.relaxations},
            {**self.references, **other.references},
            {**self.rests, **other.rests},
            self.noise_floor if self.noise_floor is not None else other.noise_floor,
            {**self.labels, **other.labels},
            {**self.rest_paths, **other.rest_paths},
            {**self.force_errors, **other.force_errors},
        )
        merged.by_map = self.by_map if self.by_map == other.by_map else ""
        return merged

    def subset(self, structures: Sequence[str]) -> Report:
        """The rows of some structures, with the same floor and labels; without paths."""
        chosen = set(structures)
        rows = [row for row in self.rows if row.structure in chosen]
        return Report(rows, noise_floor=self.noise_floor, labels=self.labels)

    def to_csv(self, path: str | Path | None = None) -> str:
        """All rows as CSV text; written to ``path`` when one is given.

        Raises:
            TypeError, ValueError: no path.
            OSError: it cannot be written.
        """
        columns = [f.name for f in fields(StructureResult)]
        table = to_csv((asdict(row) for row in self.rows), columns)
        if path is not None:
            write_atomic(file_path("path", path), table)
        return table

    def to_chemiscope(self, path: str | Path) -> Path:
        """Write reference ends and reached ends as a data set for https://chemiscope.org.

        Ends are points of a map, force error against endpoint error; atoms have their distance to
        the reference end (and an arrow), share of ΔQ² and force error. Returns the path.

        Raises:
            TypeError, ValueError: a path that does not end with .json or .json.gz; or the report is
                empty, or was read from a table, which keeps no structures.
            OSError: it cannot be written.
        """
        return chemiscope.write(self, file_path("path", path))

    def _ends(self, before: str | None, after: str | None) -> tuple[str, str]:
        """Names of the potentials to compare: the first and the last where none are given."""
        if not self.rows:
            raise ValueError("this report is empty: nothing was measured")
        one = self.potentials[0] if before is None else self._potential(before)
        other = self.potentials[-1] if after is None else self._potential(after)
        if len(self.potentials) == 1 and None in (before, after):
            raise ValueError(
                f"{one!r} would be compared with itself: this report is of no other potential. "
                "Evaluate two together: evaluate({'before': ..., 'after': ...}, references)"
            )
        return one, other

    def _potential(self, name: str) -> str:
        if text("potential", name) not in self.potentials:
            raise KeyError(
                f"no potential {name!r} in the report; there are {', '.join(self.potentials)}"
            )
        return name

    def _name(self, structure: int | str) -> str:
        """The name of a structure that is given by it or by its number."""
        if isinstance(structure, str):
            return structure
        names = self.structures
        place = whole("structure (if not a name)", structure, least=-len(names))
        if place >= len(names):
            raise KeyError(f"no structure number {place}; there are {len(names)}, counted from 0")
        return names[place]

    def __str__(self) -> str:
        return words.report_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return words.report_html(self)
