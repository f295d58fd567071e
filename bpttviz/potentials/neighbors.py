"""Who is whose neighbour: integers without gradient, for potentials that pass messages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from vesin import NeighborList

from bpttviz._checks import positive
from bpttviz.potentials.requirements import require_finite
from bpttviz.structures import FARTHEST, StructureError, Structures

LARGEST_SPREAD = 5e3  # Å, where a direction is open
MOST_BOXES = 2e7  # with the cutoff as their side: the search keeps a list for each


class Graph(NamedTuple):
    """Directed edges between all atoms of a batch; each pair appears both ways.

    Attributes:
        first, second: (E,) int64, atoms of the flat batch.
        images: (E, 3) int64, lattice translations of the second atom.
        shifts: (E, 3) Å, the same translations as vectors.
    """

    first: Tensor
    second: Tensor
    images: Tensor
    shifts: Tensor

    def vectors(self, positions: Tensor) -> Tensor:
        """(E, 3) Å from the first to the second atom; the gradient passes through positions."""
        return positions[self.second] - positions[self.first] + self.shifts


def neighbours(structures: Structures, cutoff: float) -> Graph:
    """All pairs within ``cutoff`` (Å), periodic images of an atom itself included.

    The positions may lie anywhere: they are not wrapped into the cell, and the images refer to them
    as they are. Which pairs are near is decided without gradient; as atoms cross the cutoff the
    list changes, which a smooth potential does not feel. Pairs and images are those of ASE's
    ``neighbor_list``, found by vesin (https://github.com/Luthaf/vesin) in a fraction of the time,
    on the CPU wherever the structures are.

    Raises:
        TypeError, ValueError: a cutoff that is no positive number.
        StructureError: positions that are not finite or further than `FARTHEST` from the origin,
            or atoms spread too far for a search.
    """
    require_finite(structures)
    # One thread: structures are small, and edges come in one order, whatever the machine.
    cutoff = positive("cutoff", cutoff)
    search = NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=1)
    pieces = [(np.empty(0, int), np.empty(0, int), np.empty((0, 3), int), np.empty((0, 3)))]
    cells = structures.cell.detach().cpu().double().numpy()  # (B, 3, 3) Å
    pbc = structures.pbc.cpu().numpy()  # (B, 3)
    offset = 0
    for index, positions in enumerate(structures.split(structures.positions.detach())):
        points = positions.cpu().double().numpy()
        _require_compact(structures, index, points, cells[index], pbc[index], cutoff)
        first, second, images = search.compute(points, cells[index], pbc[index], "ijS")
        first, second = first.astype(np.int64), second.astype(np.int64)
        pieces.append((first + offset, second + offset, images, images @ cells[index]))
        offset += len(points)
    columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    kinds = (torch.int64, torch.int64, torch.int64, structures.dtype)
    return Graph(
        *(
            torch.as_tensor(column, dtype=kind, device=structures.device)
            for column, kind in zip(columns, kinds, strict=True)
        )
    )


def _require_compact(
    structures: Structures,
    index: int,
    points: np.ndarray,
    cell: np.ndarray,
    pbc: np.ndarray,
    cutoff: float,
) -> None:
    """Refuse what would take more boxes of the cutoff's size than fit into memory.

    Raises:
        StructureError: names the structure.
    """
    spread = float(np.ptp(points, axis=0).max(initial=0.0))
    # How far along an open direction the atoms reach is not asked: at most that far.
    sides = np.where(pbc, np.linalg.norm(cell, axis=1), spread)
    boxes = np.maximum(sides / cutoff, 1.0).prod()
    away = float(np.abs(points).max(initial=0.0))
    if away > FARTHEST and spread <= FARTHEST:
        raise StructureError(
            f"its atoms lie {away:.2g} Å from the origin, too far for their distances to be "
            "exact; shift the structure to the origin, or check the units (Å)",
            index,
            structures.names[index],
        )
    if away > FARTHEST or boxes > MOST_BOXES or (spread > LARGEST_SPREAD and not pbc.all()):
        raise StructureError(
            f"its atoms lie up to {max(spread, sides.max()):.3g} Å apart, too far for a search of "
            f"neighbours within {cutoff:g} Å; an atom was thrown out, or the units (Å) are wrong",
            index,
            structures.names[index],
        )
