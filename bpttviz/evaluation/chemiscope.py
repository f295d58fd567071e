"""A report's structures as a data set of chemiscope (https://chemiscope.org), to look at there.

Format: https://chemiscope.org/docs/inputs/json-format.html. It is a file: nothing is sent anywhere.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bpttviz._files import write_atomic
from bpttviz.distances import displacements
from bpttviz.structures import Structures

if TYPE_CHECKING:
    from bpttviz.evaluation.report import Report

SUFFIXES = (".json", ".json.gz")
REFERENCE = "reference"
DELTA_Q_UNIT, FORCE_UNIT = "amu^½ Å", "eV/Å"
OF_FRAMES = "Mean absolute error of force components on the reference's frames"
BLUE = "#0072B2"  # of the reference end in all pictures
CUTOFF = 3.5  # Å around an atom: what chemiscope shows as its environment


@dataclass(frozen=True)
class _End:
    """One structure to show: the reference end, or where a potential brings it to rest."""

    structure: str
    group: str
    potential: str | None  # None: the reference end
    atoms: Structures
    moved: np.ndarray  # (N, 3) Å from the reference end

    @property
    def share(self) -> np.ndarray:
        """Part (N,) of each atom in ΔQ², per cent."""
        weighted = self.atoms.masses.cpu().numpy() * (self.moved**2).sum(1)
        total = weighted.sum()
        return 100 * weighted / total if total > 0 else weighted


def write(report: Report, path: Path) -> Path:
    """Write `dataset` to ``path``, compressed where it ends with .gz; the path.

    Raises:
        ValueError: a path that ends otherwise, or as `dataset`.
        OSError: it cannot be written.
    """
    if not path.name.endswith(SUFFIXES):
        raise ValueError(
            f"path must end with {' or '.join(SUFFIXES)}, as chemiscope asks for, got {path.name!r}"
        )
    text = json.dumps(dataset(report), ensure_ascii=False).encode()
    write_atomic(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    return path


def dataset(report: Report) -> dict:
    """What chemiscope shows: every reference end, and the ends that each potential reaches.

    A point of the map is an end; its axes are the two errors of its potential. Atoms have their
    distance to the reference end (an arrow shows it), their share of ΔQ², and their force error.

    Raises:
        ValueError: the report is empty, or holds no structures or no end that a potential reached
            (it was read from a table).
    """
    ends = _ends(report)
    names = [end.atoms for end in ends]
    return {
        "meta": {
            "name": "bpttviz: " + ", ".join(report.potentials),
            "description": "Reference ends and the ends that potentials relax to. "
            + " ".join(report.conclusions() if len(report.potentials) > 1 else ()),
        },
        "structures": [_structure(atoms) for atoms in names],
        "environments": [
            {"structure": place, "center": atom, "cutoff": CUTOFF}
            for place, atoms in enumerate(names)
            for atom in range(len(atoms.numbers))
        ],
        "properties": _of_ends(report, ends) | _of_atoms(report, ends),
        "shapes": {"to the reference end": _arrows(ends)},
        "settings": {
            "target": "structure",
            "map": {
                "x": {"property": "force error"},
                "y": {"property": "endpoint error"},
                "color": {"property": "endpoint error"},
                "symbol": "end",
            },
            "structure": [{"unitCell": True, "keepOrientation": True}],
        },
    }


def _ends(report: Report) -> list[_End]:
    """All ends that there are, those of one structure after each other, the reference first."""
    if not report.rows:
        raise ValueError("this report is empty: there is no structure to write")
    if not report.references:
        raise ValueError(
            "this report has no structures: tables do not keep them; evaluate anew without out="
        )
    ends = []
    for name, group in zip(report.structures, report.groups, strict=True):
        reference = report.references.get(name)
        if reference is None:
            continue
        still = np.zeros((len(reference.numbers), 3))
        ends.append(_End(name, group, None, reference, still))
        for potential in report.potentials:
            end = report.rests.get((potential, name))
            if end is None or not report.row(potential, name).rest_converged:
                continue  # where a relaxation only got to is no end
            moved = displacements(reference, end.to("cpu"))
            placed = reference.with_positions(reference.positions + moved)
            way = moved.double().numpy()
            ends.append(_End(name, group, potential, placed, way))
    if all(end.potential is None for end in ends):
        raise ValueError(
            "this report has no end that a potential reached, only errors: tables do not keep "
            "ends; evaluate anew without out="
        )
    return ends


def _structure(atoms: Structures) -> dict:
    (shown,) = atoms.to_ase()
    x, y, z = shown.positions.T.round(5).tolist()
    made = {"size": len(shown), "names": list(shown.symbols), "x": x, "y": y, "z": z}
    if shown.cell.rank == 3:
        made["cell"] = shown.cell.array.ravel().round(6).tolist()
    return made


def _of_ends(report: Report, ends: list[_End]) -> dict:
    """A value for each end: what it is, and the errors of the potential that it belongs to."""
    rows = {(row.potential, row.structure): row for row in report.rows}

    def found(column: str, potential: str | None, structure: str) -> float:
        """0 of the reference itself, NaN where nothing was measured."""
        if potential is None:
            return 0.0
        return float(getattr(rows.get((potential, structure)), column, np.nan))

    def measured(column: str) -> list[float]:
        """Of each end under its own potential."""
        return [found(column, end.potential, end.structure) for end in ends]

    def of_potential(column: str, potential: str) -> list[float]:
        """Of each end's structure under one potential, whichever end it is."""
        return [found(column, potential, end.structure) for end in ends]

    # A potential may be called like that, too.
    reference = REFERENCE if REFERENCE not in report.potentials else f"the {REFERENCE} end"

    first, last = report.potentials[0], report.potentials[-1]
    made = {
        "structure": _words([end.structure for end in ends], "Name of the structure"),
        "family": _words([end.group for end in ends], "Group that is held out as a whole"),
        "end": _words(
            [reference if end.potential is None else end.potential for end in ends],
            f"{reference}: the end of the reference relaxation; else the potential that relaxed it",
        ),
        "endpoint error": _numbers(
            measured("dq_rest"), DELTA_Q_UNIT, "ΔQ of this end, at rest, to the reference end"
        ),
        "force error": _numbers(
            measured("force_mae"), FORCE_UNIT, OF_FRAMES + "; 0 of the reference itself"
        ),
    }
    for when, potential in (("before", first), ("after", last)):
        made[f"endpoint error {when}"] = _numbers(
            of_potential("dq_rest", potential), DELTA_Q_UNIT, f"ΔQ at rest under {potential}"
        )
        made[f"force error {when}"] = _numbers(
            of_potential("force_mae", potential), FORCE_UNIT, f"Mean absolute error of {potential}"
        )
    return _known("structure", made)


def _of_atoms(report: Report, ends: list[_End]) -> dict:
    """A value for each atom of each end."""
    unknown = [np.full(len(end.moved), np.nan) for end in ends]
    forces = [
        report.force_errors.get((end.potential or "", end.structure), none)
        for end, none in zip(ends, unknown, strict=True)
    ]
    made = {
        "distance to the reference end": _numbers(
            np.concatenate([np.linalg.norm(end.moved, axis=1) for end in ends]), "Å",
            "Of this atom, free rigid motions of the whole structure taken out",
        ),
        "share of ΔQ²": _numbers(
            np.concatenate([end.share for end in ends]), "%",
            "Part of this atom in the squared endpoint error",
        ),
        "force error of the atom": _numbers(
            np.concatenate(forces), FORCE_UNIT, OF_FRAMES
        ),
    }  # fmt: skip
    return _known("atom", made)


def _arrows(ends: list[_End]) -> dict:
    """From every atom to its place in the reference end."""
    return {
        "kind": "arrow",
        "parameters": {
            "global": {"baseRadius": 0.08, "headRadius": 0.16, "headLength": 0.2, "color": BLUE},
            "atom": [{"vector": (-way).round(5).tolist()} for end in ends for way in end.moved],
        },
    }


def _known(target: str, made: dict[str, dict]) -> dict:
    """Properties of which anything is known."""
    return {
        name: {"target": target, **values}
        for name, values in made.items()
        if any(value == value for value in values["values"])  # NaN is no number that equals itself
    }


def _words(values: list[str], description: str) -> dict:
    return {"values": values, "description": description}


def _numbers(values: Sequence[float] | np.ndarray, units: str, description: str) -> dict:
    """What is not known is NaN, which JSON does not know, but chemiscope does (and no null)."""
    short = [float(f"{value:.6g}") for value in values]
    return {"values": short, "units": units, "description": description}
