"""Periodic geometry and per-structure sums, differentiable where a gradient makes sense.

Everything works on flat batches: N atoms of B structures, with ``structure_index`` (N,) naming each atom's
structure.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from ase.geometry.cell import complete_cell
from ase.geometry.minkowski_reduction import minkowski_reduce
from torch import Tensor


def segment_sum(values: Tensor, structure_index: Tensor, count: int) -> Tensor:
    """Sum ``values`` (N, ...) over the atoms of each structure → (count, ...)."""
    out = values.new_zeros((count, *values.shape[1:]))
    return out.index_add(0, structure_index, values)


def segment_max(values: Tensor, structure_index: Tensor, count: int) -> Tensor:
    """Largest of ``values`` (N,) in each structure → (count,); -inf where a structure is empty."""
    out = values.new_full((count,), -torch.inf)
    return out.scatter_reduce(0, structure_index, values, "amax")


def safe_sqrt(squared: Tensor) -> Tensor:
    """Square root whose gradient at zero is zero instead of infinite.

    The root is taken of 1 where the argument vanishes and the result masked afterwards: with a
    single ``where`` the infinite slope would still reach the gradient as 0 · inf = NaN.
    """
    zero = squared == 0
    return torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt())


def safe_norm(vectors: Tensor, dim: int = -1) -> Tensor:
    """Euclidean norm along ``dim``, with a zero gradient at a zero vector."""
    return safe_sqrt((vectors * vectors).sum(dim))


def minimum_image(
    displacements: Tensor, cell: Tensor, pbc: Tensor, structure_index: Tensor
) -> Tensor:
    """The shortest periodic image of each displacement, in any cell, skewed ones included.

    Args:
        displacements: (N, 3) Å.
        cell: (B, 3, 3) Å, lattice vectors in rows.
        pbc: (B, 3) bool.
        owner: (N,) structure of each row.

    Returns:
        (N, 3) Å. The gradient passes through the displacement; *which* image is nearest is chosen
        without one (it is an integer).

    Rounding fractional components picks a wrong image in skewed cells. The cell is first reduced
    (Minkowski); then the nearest image is among the 27 around the rounded one.
    """
    with torch.no_grad():
        cell = reduced_cells(cell, pbc)
        plain = displacements.detach()
        fractional = torch.linalg.solve(
            cell[structure_index].transpose(1, 2), plain.unsqueeze(2)
        ).squeeze(2)
        shift = torch.where(pbc[structure_index], -fractional.round(), 0.0)
        neighbours = torch.tensor(
            list(itertools.product((0, -1, 1), repeat=3)), dtype=plain.dtype, device=plain.device
        )
        images = shift[:, None, :] + neighbours[None] * pbc[structure_index][:, None, :]
        candidates = plain[:, None, :] + images @ cell[structure_index]
        nearest = (candidates**2).sum(2).argmin(1)
        translation = (candidates[torch.arange(len(plain), device=plain.device), nearest]) - plain
    return displacements + translation


def reduced_cells(cell: Tensor, pbc: Tensor) -> Tensor:
    """The same lattices (B, 3, 3) by their shortest vectors; missing ones completed."""
    shortest = [
        minkowski_reduce(complete_cell(vectors), periodic)[0]
        for vectors, periodic in zip(
            cell.detach().cpu().double().numpy(), pbc.cpu().numpy(), strict=True
        )
    ]
    return torch.as_tensor(np.array(shortest), dtype=cell.dtype, device=cell.device)


def remove_drift(
    displacements: Tensor, weights: Tensor, structure_index: Tensor, count: int
) -> Tensor:
    """Subtract each structure's weighted mean displacement.

    Args:
        displacements: (N, 3) Å.
        weights: (N,) e.g. masses in amu; all ones give the plain mean.
        owner: (N,).
        count: number of structures B.
    """
    total = segment_sum(weights, structure_index, count)
    mean = segment_sum(displacements * weights[:, None], structure_index, count) / total[:, None]
    return displacements - mean[structure_index]
