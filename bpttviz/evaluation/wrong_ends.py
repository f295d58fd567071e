"""Why an end is wrong: what pushes away from the reference's end, and how stiffly that is held."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd
import torch

from bpttviz._checks import instance_of, mapping_of, not_negative
from bpttviz.datasets.read import as_relaxations
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q, displacements
from bpttviz.evaluation.rest import Relaxer
from bpttviz.evaluation.statistics import PairedComparison, compare
from bpttviz.evaluation.tables import format_table, percent_with_interval, read_csv, to_csv
from bpttviz.potentials.base import Potential
from bpttviz.structures import Structures

COLUMNS = {"distance": "ΔQ to own minimum", "push": "push", "stiffness": "stiffness"}
AT_LEAST = 3  # resolutions that an end is away before, for its parts to mean anything


@dataclass(frozen=True)
class WrongEnd:
    """A reference's end, and the minimum that a potential has beside it.

    Attributes:
        structure, group, potential: names.
        distance: ΔQ from that minimum to the end, amu^½ Å.
        push: eV/Å, the force at the reference's end along the straight way to that minimum (a unit
            vector in all coordinates); 0 where the potential rests at the end already.
        stiffness: eV/Å², what the force rises by on that way: push / length in Å; NaN likewise.
    """

    structure: str
    group: str
    potential: str
    distance: float
    push: float
    stiffness: float


@dataclass(frozen=True, eq=False)
class WrongEnds:
    """Ends as potentials have them: the first potential is "before".

    Attributes:
        rows: a row for each potential and end, potentials in order.
        resolution: of the reference's ends, amu^½ Å.
    """

    rows: tuple[WrongEnd, ...]
    resolution: float

    def frame(self) -> pd.DataFrame:
        """A line a row."""
        return pd.DataFrame([asdict(row) for row in self.rows])

    def compare(self, potential: str, column: str) -> PairedComparison:
        """What happened to ``distance``, ``push`` or ``stiffness``, end by end.

        Over ends that were beyond three resolutions before. Where nothing pushes any more there is
        no ratio.

        Raises:
            ValueError: another column, no row of that potential, or none that can be compared.
        """
        if column not in COLUMNS:
            raise ValueError(f"no column {column!r}; there are {', '.join(COLUMNS)}")
        pairs = [(a, b) for a, b in self._pairs(potential) if b.push > 0]
        before, after = ([getattr(pair[side], column) for pair in pairs] for side in (0, 1))
        names, groups = ([getattr(a, what) for a, _ in pairs] for what in ("structure", "group"))
        return compare(column, names, before, after, groups, resolution=0.0)

    def changes(self) -> pd.DataFrame:
        """A line for each potential but the first: geometric means of ratios after / before.

        With 95 % intervals, groups taken whole, over ``n`` ends (see `compare`); those where
        nothing pushes any more are counted as ``at rest``.
        """
        lines = []
        for name in list(dict.fromkeys(row.potential for row in self.rows))[1:]:
            pushes = [after.push for _, after in self._pairs(name)]
            rested = pushes.count(0)
            line = {"potential": name, "n": f"{len(pushes) - rested}", "at rest": f"{rested}"}
            for column, heading in COLUMNS.items():
                try:
                    found = self.compare(name, column)
                    line[heading] = percent_with_interval(found.ratio, found.interval)
                except ValueError:  # nothing to compare
                    line[heading] = "—"
            lines.append(line)
        return pd.DataFrame(lines)

    def _pairs(self, potential: str) -> list[tuple[WrongEnd, WrongEnd]]:
        """Ends before and after, of those that were far enough to be compared."""
        known = list(dict.fromkeys(row.potential for row in self.rows))
        if potential not in known:
            raise ValueError(f"no potential {potential!r}; there are {', '.join(known)}")
        after = {row.structure: row for row in self.rows if row.potential == potential}
        return [
            (row, after[row.structure])
            for row in self.rows
            if row.potential == known[0]
            and row.structure in after
            and row.distance > AT_LEAST * self.resolution
        ]

    def to_csv(self) -> str:
        """The rows as CSV text."""
        return to_csv(asdict(row) for row in self.rows)

    @classmethod
    def from_csv(cls, path: str | Path, resolution: float = 0.0) -> WrongEnds:
        """What `to_csv` wrote.

        Raises:
            OSError, TypeError, ValueError: no such file, or another table.
        """
        lines = read_csv(path, [one.name for one in fields(WrongEnd)])
        try:
            rows = [
                WrongEnd(**line | {name: float(line[name]) for name in COLUMNS})  # type: ignore[arg-type]
                for line in lines
            ]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is no table of pushes and stiffnesses: {error}") from error
        return cls(tuple(rows), not_negative("resolution", resolution))

    def __str__(self) -> str:
        names = list(dict.fromkeys(row.potential for row in self.rows))
        told = [format_table(self.changes())] if len(names) > 1 else []
        shown = self.frame()
        for column in COLUMNS:
            shown[column] = [f"{value:.3f}" for value in shown[column]]
        told.append(format_table(shown))
        return "\n\n".join(told)


def push_and_stiffness(
    potentials: Mapping[str, Potential],
    references: RelaxationDataset,
    relaxer: Relaxer | None = None,
    noise_floor: float | None = None,
) -> WrongEnds:
    """Whether ends got better because less pushes away from them, or because more holds them.

    Where a potential is wrong it pushes a structure away from the reference's end, up to its own
    minimum beside it, and on that way its forces rise to what they were pushed with: length =
    push / stiffness. So the end gets better by a smaller push, which a better force is; or by a
    greater stiffness, which leaves the wrong force as it is and makes all forces around it larger.

    Args:
        potentials: name → potential, the first of which is "before".
        references: what their ends are compared with, as `evaluate` takes them.
        relaxer: how each finds its minimum, from the reference's end; by default to 0.005 eV/Å
            within 200 steps.
        noise_floor: of the ends, amu^½ Å; those within three of it before are not compared.

    Returns:
        A row for each potential and end: `WrongEnds`.

    Raises:
        TypeError, ValueError: an argument of another kind, or none.

    Warns:
        UserWarning: an end from where a potential does not come to rest, or rests uphill, is left
            out.
    """
    mapping_of("potentials", potentials, Potential, '{"before": bv.CHGNet()}')
    if not potentials:
        raise ValueError('there is no potential; for example {"before": bv.CHGNet()}')
    references = as_relaxations(references, "references")
    relaxer = Relaxer(max_steps=200) if relaxer is None else relaxer
    instance_of("relaxer", relaxer, Relaxer, "bv.Relaxer()")
    floor = not_negative("noise_floor", 0.0 if noise_floor is None else noise_floor)
    rows, left_out = [], []
    for name, potential in potentials.items():
        found = relaxer.run(potential, references.ends())
        for place, reference in enumerate(references):
            row = None
            if bool(found.converged[place]):
                row = _row(name, potential, reference, found.structures[place])
            if row is None:
                left_out.append(f"{reference.name} ({name})")
            else:
                rows.append(row)
    if left_out:
        warnings.warn(
            f"left out, as no minimum was found downhill from the end: {', '.join(left_out)}",
            stacklevel=2,
        )
    return WrongEnds(tuple(rows), floor)


def _row(
    name: str, potential: Potential, reference: ReferenceRelaxation, own: Structures
) -> WrongEnd | None:
    """One end; None where the minimum is uphill from it."""
    end = reference.end.to(dtype=torch.float64)
    own = own.to(dtype=torch.float64)
    # A rotation costs nothing only where the potential turns with the structure.
    as_it_is = potential.places_matter or not potential.equivariant
    way = displacements(end, own, mass_weighted=False, places_matter=as_it_is)  # (N, 3) Å
    length = float(way.norm())
    if length == 0:
        return WrongEnd(reference.name, reference.group, name, 0.0, 0.0, math.nan)
    with torch.no_grad():
        forces = potential(reference.end.to(potential.device)).forces  # (N, 3) eV/Å
    forces = forces.cpu().double()
    forces = torch.where(reference.end.fixed[:, None], 0.0, forces)
    along = float((forces * way).sum())
    if along <= 0:
        return None
    push = along / length
    distance = float(delta_q(end, own, as_it_is)[0])
    return WrongEnd(reference.name, reference.group, name, distance, push, push / length)
