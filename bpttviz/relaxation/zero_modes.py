"""Motions that cost nothing: along them a Hessian vanishes and a fixed point is not determined."""

from __future__ import annotations

import torch
from torch import Tensor

from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential
from bpttviz.rigid_motions import free_rigid_motions
from bpttviz.structures import Structures


class ZeroModes:
    """The rigid motions of each structure of a batch that its potential and its cell allow.

    What the structure allows (held atoms, periodic directions) is in `bpttviz.rigid_motions`.
    Potentials that are not equivariant (springs with directions, landscapes) have no rotations.

    Args:
        structures: at the positions where motions are wanted.
        potential: its ``conservative``, ``equivariant`` and ``net_force_free`` are asked for. (An
            energy with a net force is one that knows absolute positions: nothing is free then.)

    Attributes:
        modes: (N, 3, 6) orthonormal within each structure, unused ones zero.
    """

    def __init__(self, structures: Structures, potential: Potential):
        self.structure_index, self.count = structures.structure_index, len(structures)
        self.free = ~structures.fixed
        motions = free_rigid_motions(
            structures, translations=not potential.places_matter, rotations=potential.equivariant
        )
        self.modes = motions.modes(structures)

    def remove(self, vectors: Tensor) -> Tensor:
        """``vectors`` (N, 3) without their part along zero modes and on fixed atoms."""
        vectors = torch.where(self.free[:, None], vectors, 0.0)
        along = segment_sum(
            (self.modes * vectors[:, :, None]).sum(1), self.structure_index, self.count
        )
        return vectors - (self.modes * along[self.structure_index][:, None, :]).sum(2)
