"""Motions that cost nothing: along them a Hessian vanishes and a fixed point is not determined."""

from __future__ import annotations

import torch
from torch import Tensor

from bpttviz.geometry import segment_sum
from bpttviz.structures import Structures

# Relative to the largest singular value: below, a rotation moves nothing (a linear molecule's, or
# a single atom's).
RANK_TOLERANCE = 1e-6


class ZeroModes:
    """The rigid motions of each structure of a batch that its potential and its cell allow.

    Translations, unless atoms are fixed; rotations for what has no periodic direction, about the
    axis for what has one; and of all these only those that leave fixed atoms where they are.
    Potentials that are not equivariant (springs with directions, landscapes) have no rotations.

    Args:
        structures: at the positions where motions are wanted.
        potential: its ``conservative``, ``equivariant`` and ``net_force_free`` are asked for. (An
            energy with a net force is one that knows absolute positions: no translations then.)

    Attributes:
        modes: (N, 3, 6) orthonormal within each structure, unused ones zero.
    """

    def __init__(self, structures: Structures, potential):
        translations = potential.net_force_free or not potential.conservative
        self.structure_index, self.count = structures.structure_index, len(structures)
        self.free = ~structures.fixed
        positions = structures.positions.detach()
        self.modes = torch.cat(
            [
                _rigid(x, fixed, _axes(cell, pbc, potential.equivariant), translations)
                for x, fixed, cell, pbc in zip(
                    structures.split(positions),
                    structures.split(structures.fixed),
                    structures.cell.detach().to(positions),
                    structures.pbc,
                    strict=True,
                )
            ]
        )

    def remove(self, vectors: Tensor) -> Tensor:
        """``vectors`` (N, 3) without their part along zero modes and on fixed atoms."""
        vectors = torch.where(self.free[:, None], vectors, 0.0)
        along = segment_sum(
            (self.modes * vectors[:, :, None]).sum(1), self.structure_index, self.count
        )
        return vectors - (self.modes * along[self.structure_index][:, None, :]).sum(2)


def _axes(cell: Tensor, pbc: Tensor, equivariant: bool) -> Tensor:
    """Axes (a, 3) about which a structure may turn."""
    periodic = int(pbc.sum())
    if not equivariant or periodic > 1:
        return cell.new_zeros(0, 3)
    return cell[pbc] / cell[pbc].norm() if periodic else torch.eye(3).to(cell)


def _rigid(positions: Tensor, fixed: Tensor, axes: Tensor, translations: bool) -> Tensor:
    """(n, 3, 6): an orthonormal basis of one structure's free rigid motions, padded with zeros."""
    count = len(positions)
    around = positions - positions.mean(0)
    motions = [torch.linalg.cross(axis.expand(count, 3), around) for axis in axes]
    if translations:
        motions += list(torch.eye(3).to(positions)[:, None].expand(3, count, 3))
    result = positions.new_zeros(count, 3, 6)
    if not motions:
        return result
    motions = torch.stack(motions, 2)  # (n, 3, m)
    if fixed.any():
        # combinations that vanish on fixed atoms
        pinned = motions[fixed].reshape(-1, motions.shape[2])
        _, size, combinations = torch.linalg.svd(pinned)
        rank = int((size > RANK_TOLERANCE * motions.norm()).sum())
        motions = motions @ combinations[rank:].T
    if motions.shape[2] == 0:
        return result
    basis, size, _ = torch.linalg.svd(motions.reshape(3 * count, -1), full_matrices=False)
    basis = basis[:, size > RANK_TOLERANCE * max(float(size.max()), RANK_TOLERANCE)]
    result[:, :, : basis.shape[1]] = basis.reshape(count, 3, -1)
    return result
