"""Who is whose neighbour: integers without gradient, for potentials that pass messages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from torch import Tensor

from bpttviz.structures import StructureError, Structures


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
    list changes, which a smooth potential does not feel.

    Raises:
        StructureError: positions that are not finite.
    """
    pieces = [(np.empty(0, int), np.empty(0, int), np.empty((0, 3), int), np.empty((0, 3)))]
    offset = 0
    for index, positions in enumerate(structures.split(structures.positions.detach())):
        positions = positions.cpu().double().numpy()
        if not np.isfinite(positions).all():
            raise StructureError(
                "has positions that are not finite", index, structures.names[index]
            )
        cell = structures.cell[index].detach().cpu().double().numpy()
        atoms = Atoms(positions=positions, cell=cell, pbc=structures.pbc[index].cpu().numpy())
        first, second, images = neighbor_list("ijS", atoms, float(cutoff))
        pieces.append((first + offset, second + offset, images, images @ cell))
        offset += len(positions)
    columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    kinds = (torch.int64, torch.int64, torch.int64, structures.dtype)
    return Graph(
        *(
            torch.as_tensor(column, dtype=kind, device=structures.device)
            for column, kind in zip(columns, kinds, strict=True)
        )
    )


def require_elements(structures: Structures, known: Tensor, model: str) -> None:
    """Raise `StructureError` for an element that is not among ``known`` atomic numbers."""
    strange = ~torch.isin(structures.numbers, known.to(structures.device))
    if bool(strange.any()):
        atom = int(strange.nonzero()[0])
        index = int(structures.structure_index[atom])
        raise StructureError(
            f"has element {int(structures.numbers[atom])}, which {model} does not know (it knows "
            f"{sorted(known.tolist())})",
            index,
            structures.names[index],
        )
