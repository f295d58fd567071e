"""A relaxation as pictures need it: free motions removed, defect in the middle, distances measured.

Plots and widgets both draw from here, so that neither works out any physics of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from ase.geometry.cell import complete_cell

from bpttviz.distances import delta_q, displacements
from bpttviz.evaluation.defects import irregular_atoms
from bpttviz.evaluation.report import Report
from bpttviz.plotting.arguments import require_report
from bpttviz.relaxation.relax import Relaxation
from bpttviz.structures import Structures, concatenate


@dataclass(frozen=True, eq=False)
class AlignedRest:
    """The way from the last step to rest, as F of its frames; seen as an `AlignedTrajectory` is.

    Attributes:
        steps: (F,) of the relaxation to rest, ascending from 0, which is the map's last step.
        positions: (F, N, 3) Å.
        delta_q: (F,) amu^½ Å to the reference.
        energy: (F,) eV.
        fmax: (F,) eV/Å.
        arrived: whether the last frame is at rest.
    """

    steps: np.ndarray
    positions: np.ndarray
    delta_q: np.ndarray
    energy: np.ndarray
    fmax: np.ndarray
    arrived: bool


@dataclass(frozen=True, eq=False)
class AlignedTrajectory:
    """How one potential moved one structure of N atoms in T steps.

    Everything is seen from the reference: rigid motions that cost nothing are taken out (none where
    atoms are held, see `bpttviz.distances.displacements`), every atom is the image nearest to its
    place in the reference, and the defect lies in the middle of the cell (see
    `bpttviz.evaluation.defects`; where there is none, the atoms that moved most).

    Attributes:
        potential, structure: names.
        positions: (T+1, N, 3) Å; NaN where the relaxation had been given up.
        reference: (N, 3) Å, the end that should have been reached.
        distance: (T+1, N) Å, of each atom to its place in the reference.
        delta_q: (T+1,) amu^½ Å to the reference.
        energy: (T+1,) eV.
        fmax: (T+1,) eV/Å.
        symbols: N chemical symbols.
        cell: (3, 3) Å.
        pbc: (3,) bool.
        last: the last step with finite positions.
        lost: empty, or where and why the relaxation was given up.
        note: empty, or what must be said of the picture as a whole (another cell at the end).
        rest: the way on to rest; None where it is not known.
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
    rest: AlignedRest | None = None

    @property
    def steps(self) -> int:
        """T: the number of steps recorded."""
        return len(self.positions) - 1

    def clamp_step(self, step: int) -> int:
        """The frame to show at ``step`` of a common clock: a path that has ended stays there."""
        return min(step, self.last)

    @classmethod
    def from_structures(
        cls, structures: Structures, reference: Structures, name: str = ""
    ) -> AlignedTrajectory:
        """Structures that no relaxation connects, as the frames of one: a start and two ends.

        Their energies and forces are not known here: NaN.

        Args:
            structures: T+1 of them, one structure at several places.
            reference: a batch of one: the same atoms in the same order and cell.
            name: of the structure.

        Raises:
            StructureError: not the same atoms, order or cell as the reference.
        """
        at_home = structures.to("cpu", torch.float64)
        positions = at_home.positions.detach().reshape(len(structures), -1, 3)
        moved, errors = _from_reference(at_home, reference)
        centred = _centred(reference, moved[0])
        unknown = np.full(len(positions), np.nan)
        return cls(
            potential="",
            structure=name,
            positions=centred + moved,
            reference=centred,
            distance=np.linalg.norm(moved, axis=2),
            delta_q=errors,
            energy=unknown,
            fmax=unknown,
            last=len(positions) - 1,
            lost="",
            **_contents(reference),
        )


def displacement_from_reference(relaxation: Relaxation, reference: Structures) -> np.ndarray:
    """Displacement (T+1, N, 3) Å of every atom from the reference, free motions removed.

    Args:
        relaxation: of one structure (a batch of one).
        reference: the same atoms in the same order and cell (a batch of one).

    Raises:
        StructureError: not the same atoms, order or cell.
        ValueError: a relaxation of several structures.
    """
    return _from_reference(_frames(relaxation), reference)[0]


def path_delta_q(relaxation: Relaxation, reference: Structures) -> np.ndarray:
    """ΔQ (T+1,) in amu^½ Å between each frame and the reference. Arguments and errors as above."""
    return _from_reference(_frames(relaxation), reference)[1]


def aligned_trajectory(report: Report, potential: str, structure: int | str) -> AlignedTrajectory:
    """What ``potential`` did to ``structure``, ready to be drawn.

    A reference end in another cell than the start's is drawn in the start's;
    `AlignedTrajectory.note` says so.

    Raises:
        KeyError: the report holds no such relaxation.
        StructureError: the reference holds other atoms, or in another order.
    """
    name = report.row(potential, structure).structure
    relaxation = report.relaxation(potential, name)
    reference, note = _in_the_cell_of(report.reference(name), relaxation)
    moved, errors = _from_reference(_frames(relaxation), reference)
    centred = _centred(reference, moved[0])
    finite = np.isfinite(moved).all((1, 2))
    lost = relaxation.diverged.get(0)
    return AlignedTrajectory(
        potential=potential,
        structure=name,
        positions=centred + moved,
        reference=centred,
        distance=np.linalg.norm(moved, axis=2),
        delta_q=errors,
        energy=relaxation.energy[:, 0].double().numpy(),
        fmax=relaxation.fmax[:, 0].double().numpy(),
        last=int(np.flatnonzero(finite)[-1]),
        lost=f"diverged at step {lost.step}: {lost.cause}" if lost else "",
        note=note,
        rest=_aligned_rest(report, potential, name, reference, centred),
        **_contents(reference),
    )


def _aligned_rest(
    report: Report, potential: str, name: str, reference: Structures, centred: np.ndarray
) -> AlignedRest | None:
    """The way to rest as seen from the reference, whose places in the picture are ``centred``."""
    way = report.rest_paths.get((potential, name))
    if way is None or not len(way):
        return None
    start = report.relaxation(potential, name).start.to("cpu", torch.float64)
    frames = concatenate([start.with_positions(torch.as_tensor(p)) for p in way.positions])
    moved, errors = _from_reference(frames, reference)
    arrived = report.row(potential, name).rest_converged
    return AlignedRest(way.steps, centred + moved, errors, way.energy, way.fmax, arrived)


def trajectory_pair(
    report: Report, structure: int | str, before: str | None = None, after: str | None = None
) -> tuple[AlignedTrajectory, AlignedTrajectory]:
    """The paths of one structure under two potentials, by default the report's first and last.

    Raises:
        TypeError: no report, or no names.
        KeyError: the report holds no such relaxation.
    """
    require_report(report)
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


def as_structures(atoms: Structures | Atoms | Sequence[Structures | Atoms]) -> Structures:
    """What a figure was given, as one batch; ``ase.Atoms`` are converted at this door.

    Raises:
        TypeError: neither structures nor ``ase.Atoms``.
        StructureError: atoms that cannot be used.
    """
    if isinstance(atoms, Structures):
        return atoms
    if isinstance(atoms, Atoms):
        return Structures.from_ase(atoms, check=False)
    if isinstance(atoms, (list, tuple)) and atoms:
        return concatenate([as_structures(one) for one in atoms])
    raise TypeError(
        f"a figure of atoms takes bv.Structures or ase.Atoms, got {type(atoms).__name__}"
    )


def _frames(relaxation: Relaxation) -> Structures:
    """Every frame of a relaxation of one structure, as a batch."""
    if len(relaxation.start) != 1:
        raise ValueError(
            f"a relaxation of one structure is needed, not of {len(relaxation.start)}; pick one "
            "with relaxation[index]"
        )
    start = relaxation.start.to("cpu", torch.float64)
    return concatenate([start.with_positions(p.double()) for p in relaxation.trajectory])


def _from_reference(frames: Structures, reference: Structures) -> tuple[np.ndarray, np.ndarray]:
    """Displacements (T, N, 3) Å of T frames from the reference, and ΔQ (T,); NaN where lost."""
    count = len(frames)
    positions = torch.stack(frames.split(frames.positions.detach()))
    known = torch.isfinite(positions).all(2).all(1).nonzero().flatten().tolist()
    end = reference.to("cpu", frames.dtype)
    end = end.with_positions(end.positions.detach())
    moved = torch.full_like(positions, torch.nan)
    errors = positions.new_full((count,), torch.nan)
    if known:
        here, there = frames[known], concatenate([end] * len(known))
        there = replace(there, names=here.names)
        moved[known] = displacements(there, here).reshape(len(known), -1, 3)
        errors[known] = delta_q(there, here)
    return moved.numpy(), errors.numpy()


def _contents(reference: Structures) -> dict[str, Any]:
    """What does not move: symbols, cell and periodicity."""
    return {
        "symbols": tuple(chemical_symbols[number] for number in reference.numbers.tolist()),
        "cell": reference.cell[0].cpu().double().numpy(),
        "pbc": reference.pbc[0].cpu().numpy(),
    }


def _in_the_cell_of(reference: Structures, relaxation: Relaxation) -> tuple[Structures, str]:
    """The reference in the cell that the relaxation kept, and what there is to say about it.

    Atoms keep their fractional coordinates: a homogeneous strain is no displacement of atoms.
    """
    cell = relaxation.start.cell.cpu().double()
    reference = reference.to("cpu", torch.float64)
    if torch.allclose(reference.cell, cell, atol=1e-3):
        return reference, ""
    moved = replace(reference, cell=cell)
    if not bool(reference.pbc.any()):  # a box around a molecule means nothing
        return moved, ""
    own, start = (torch.as_tensor(complete_cell(c[0].numpy())) for c in (reference.cell, cell))
    moved = moved.with_positions(reference.positions @ torch.linalg.inv(own) @ start)
    change = 100 * float(own.det().abs() / start.det().abs() - 1)
    return moved, (
        f"The reference end has another cell (volume {change:+.1f} %). It is shown at the same "
        "fractional coordinates in the start's cell: distances and ΔQ leave the change of cell out."
    )


def _centred(reference: Structures, moved: np.ndarray) -> np.ndarray:
    """Reference positions (N, 3) Å, wrapped so that the defect is in the middle of the cell.

    ``moved`` (N, 3) Å is how far from there the atoms started. A mean over periodic coordinates is
    taken on the circle.
    """
    cell = complete_cell(reference.cell[0].cpu().double().numpy())
    positions = reference.positions.detach().cpu().double().numpy()
    weight = irregular_atoms(reference).astype(float)
    if not weight.any():  # nothing stands out: then where the atoms had to move most
        weight = np.nan_to_num((moved**2).sum(1))
    if not weight.any():
        weight = np.ones(len(weight))
    weight = weight / weight.sum()
    fractional = positions @ np.linalg.inv(cell)
    periodic = np.angle(weight @ np.exp(2j * np.pi * fractional)) / (2 * np.pi)
    pbc = reference.pbc[0].cpu().numpy()
    offset = fractional - np.where(pbc, periodic, weight @ fractional)
    offset = np.where(pbc, offset - np.round(offset), offset)
    return (offset + 0.5) @ cell
