"""A relaxation as pictures need it: drift removed, defect in the middle, distances measured.

Plots and widgets both draw from here, so that neither works out any physics of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import natural_cutoffs, neighbor_list

from bpttviz.distances import delta_q, displacements
from bpttviz.evaluation.report import Report
from bpttviz.relaxation.relax import Relaxation
from bpttviz.structures import Structures, concatenate


@dataclass(frozen=True, eq=False)
class AlignedTrajectory:
    """How one potential moved one structure of N atoms in T steps.

    Everything is seen from the reference: rigid drift is taken out, every atom is the image nearest
    to its place in the reference, and the defect lies in the middle of the cell: atoms of another
    element or number of neighbours than most have; failing those, the atoms that moved most.

    Attributes:
        potential, structure: names.
        positions: (T+1, N, 3) Å; NaN where the relaxation had been given up.
        reference: (N, 3) Å, the end that should have been reached.
        distance: (T+1, N) Å, of each atom to its place in the reference.
        delta_q: (T+1,) amu^½ Å to the reference.
        energy: (T+1,) eV. fmax: (T+1,) eV/Å.
        symbols: N chemical symbols.
        cell: (3, 3) Å. pbc: (3,) bool.
        last: the last step with finite positions.
        lost: empty, or where and why the relaxation was given up.
        note: empty, or what must be said of the picture as a whole (another cell at the end).
    """

    potential: str
    structure: str
    positions: np.ndarray
    reference: np.ndarray
    distance: np.ndarray
    delta_q: np.ndarray
    energy: np.ndarray
    fmax: np.ndarray
    symbols: tuple[str, ...]
    cell: np.ndarray
    pbc: np.ndarray
    last: int
    lost: str
    note: str = ""

    @property
    def steps(self) -> int:
        """T: the number of steps recorded."""
        return len(self.positions) - 1

    def clamp_step(self, step: int) -> int:
        """The frame to show at ``step`` of a common clock: a path that has ended stays there."""
        return min(step, self.last)

    @classmethod
    def from_structures(
        cls, structures: Sequence[Atoms], reference: Atoms, name: str = ""
    ) -> AlignedTrajectory:
        """Structures that no relaxation connects, as the frames of one: a start and two ends.

        Their energies and forces are not known here: NaN.

        Raises:
            StructureError: not the same atoms, order or cell as the reference.
        """
        batch = Structures.from_ase(structures, check=False)
        ends = Structures.from_ase([reference] * len(structures), check=False)
        moved = displacements(ends, batch).numpy().reshape(len(structures), -1, 3)
        centred = _centred(reference, moved[0])
        unknown = np.full(len(structures), np.nan)
        return cls(
            potential="",
            structure=name,
            positions=centred + moved,
            reference=centred,
            distance=np.linalg.norm(moved, axis=2),
            delta_q=delta_q(ends, batch).numpy(),
            energy=unknown,
            fmax=unknown,
            symbols=tuple(reference.get_chemical_symbols()),
            cell=reference.cell.array,
            pbc=np.array(reference.pbc),
            last=len(structures) - 1,
            lost="",
        )


def displacement_from_reference(relaxation: Relaxation, reference: Atoms) -> np.ndarray:
    """Displacement (T+1, N, 3) Å of every atom from the reference: nearest image, drift removed.

    Args:
        relaxation: of one structure (a batch of one).
        reference: the same atoms in the same order and cell.

    Raises:
        StructureError: not the same atoms, order or cell.
    """
    frames, ends = _paired(relaxation, reference)
    moved = displacements(ends, frames).numpy()
    return moved.reshape(relaxation.trajectory.shape)


def path_delta_q(relaxation: Relaxation, reference: Atoms) -> np.ndarray:
    """ΔQ (T+1,) in amu^½ Å between each frame and the reference. Arguments and errors as above."""
    return delta_q(*_paired(relaxation, reference)).numpy()


def aligned_trajectory(report: Report, potential: str, structure: int | str) -> AlignedTrajectory:
    """What ``potential`` did to ``structure``, ready to be drawn.

    A reference end in another cell than the start's is drawn in the start's; `AlignedTrajectory.note` says so.

    Raises:
        KeyError: the report holds no such relaxation.
        StructureError: the reference holds other atoms, or in another order.
    """
    name = report.row(potential, structure).structure
    relaxation = report.relaxation(potential, name)
    reference, note = _in_the_cell_of(report.reference(name), relaxation)
    moved = displacement_from_reference(relaxation, reference)
    centred = _centred(reference, moved[0])
    finite = np.isfinite(moved).all((1, 2))
    lost = relaxation.diverged.get(0)
    return AlignedTrajectory(
        potential=potential,
        structure=name,
        positions=centred + moved,
        reference=centred,
        distance=np.linalg.norm(moved, axis=2),
        delta_q=path_delta_q(relaxation, reference),
        energy=relaxation.energy[:, 0].double().numpy(),
        fmax=relaxation.fmax[:, 0].double().numpy(),
        symbols=tuple(reference.get_chemical_symbols()),
        cell=relaxation.start.cell[0].cpu().double().numpy(),
        pbc=np.array(reference.pbc),
        last=int(np.flatnonzero(finite)[-1]),
        lost=f"diverged at step {lost.step}: {lost.cause}" if lost else "",
        note=note,
    )


def trajectory_pair(
    report: Report, structure: int | str, before: str | None = None, after: str | None = None
) -> tuple[AlignedTrajectory, AlignedTrajectory]:
    """The paths of one structure under two potentials, by default the report's first and last."""
    before = report.potentials[0] if before is None else before
    after = report.potentials[-1] if after is None else after
    return (
        aligned_trajectory(report, before, structure),
        aligned_trajectory(report, after, structure),
    )


def colour_limit(paths: tuple[AlignedTrajectory, ...]) -> float:
    """Where a colour scale of distances (Å) common to several paths should end.

    It is set by where the paths end, so that what is left at the end can be seen; the start may
    exceed it.
    """
    largest = max(float(p.distance[p.last].max()) for p in paths)
    return max(np.ceil(largest * 20) / 20, 0.05)


def subsample(paths: tuple[AlignedTrajectory, ...], most: int) -> np.ndarray:
    """Steps (K,) to show where atoms × frames would exceed ``most``: evenly spaced, ends included.

    All steps up to the longest path's last, where they fit. The last step of every path is always
    among them: what a path came to is never thinned away.
    """
    longest = max(p.steps for p in paths)
    frames = max(most // len(paths[0].symbols), 2)
    stride = max(-(-longest // (frames - 1)), 1)
    return np.unique([*range(0, longest + 1, stride), longest, *(p.last for p in paths)])


def _paired(relaxation: Relaxation, reference: Atoms) -> tuple[Structures, Structures]:
    """Every frame as one batch, and the reference as often."""
    if len(relaxation.start) != 1:
        raise ValueError(
            f"a relaxation of one structure is needed, not of {len(relaxation.start)}; pick one "
            "with relaxation[index]"
        )
    start = relaxation.start.to("cpu", relaxation.trajectory.dtype)
    end = Structures.from_ase(reference, list(start.names), dtype=start.dtype)
    count = len(relaxation.trajectory)
    frames = concatenate([start.with_positions(p) for p in relaxation.trajectory])
    return frames, concatenate([end] * count)


def _in_the_cell_of(reference: Atoms, relaxation: Relaxation) -> tuple[Atoms, str]:
    """The reference in the cell that the relaxation kept, and what there is to say about it.

    Atoms keep their fractional coordinates: a homogeneous strain is no displacement of atoms.
    """
    cell = relaxation.start.cell[0].cpu().double().numpy()
    if np.allclose(reference.cell.array, cell, atol=1e-3):
        return reference, ""
    moved = reference.copy()
    moved.set_cell(cell)
    if not reference.pbc.any():  # a box around a molecule means nothing
        return moved, ""
    own, start = reference.cell.complete(), moved.cell.complete()
    moved.positions = reference.positions @ np.linalg.inv(own.array) @ start.array
    change = 100 * (own.volume / start.volume - 1)
    return moved, (
        f"The reference end has another cell (volume {change:+.1f} %). It is shown at the same "
        "fractional coordinates in the start's cell: distances and ΔQ leave the change of cell out."
    )


def _centred(reference: Atoms, moved: np.ndarray) -> np.ndarray:
    """Reference positions (N, 3) Å, wrapped so that the defect is in the middle of the cell.

    ``moved`` (N, 3) Å is how far from there the atoms started. A mean over periodic coordinates is
    taken on the circle.
    """
    cell = reference.cell.complete().array
    weight = _defect(reference)
    if not weight.any():  # nothing stands out: then where the atoms had to move most
        weight = (moved**2).sum(1)
    if not weight.any():
        weight = np.ones(len(weight))
    weight = weight / weight.sum()
    fractional = reference.positions @ np.linalg.inv(cell)
    periodic = np.angle(weight @ np.exp(2j * np.pi * fractional)) / (2 * np.pi)
    pbc = np.array(reference.pbc)
    offset = fractional - np.where(pbc, periodic, weight @ fractional)
    offset = np.where(pbc, offset - np.round(offset), offset)
    return (offset + 0.5) @ cell


def _defect(atoms: Atoms) -> np.ndarray:
    """1 for atoms (N,) of another element or number of neighbours than most have, else 0."""
    bonds = neighbor_list("i", atoms, natural_cutoffs(atoms, mult=1.2))
    neighbours = np.bincount(bonds, minlength=len(atoms))
    odd = np.zeros(len(atoms), bool)
    for kind in (atoms.numbers, neighbours):
        odd |= kind != np.bincount(kind).argmax()
    return odd.astype(float)
