"""Periodic geometry and per-structure sums, differentiable where a gradient makes sense.

Everything works on flat batches: N atoms of B structures, with ``structure_index`` (N,) naming each
atom's structure.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import torch
from ase.geometry.cell import complete_cell
from ase.geometry.minkowski_reduction import minkowski_reduce
from scipy.spatial import cKDTree
from torch import Tensor


def segment_sum(values: Tensor, structure_index: Tensor, count: int) -> Tensor:
    """Sum ``values`` (N, ...) over the atoms of each structure → (count, ...)."""
    out = values.new_zeros((count, *values.shape[1:]))
    return out.index_add(0, structure_index, values)


def segment_mean(values: Tensor, weights: Tensor, structure_index: Tensor, count: int) -> Tensor:
    """Weighted mean of ``values`` (N, C) over the atoms of each structure → (count, C).

    ``weights`` (N,) e.g. masses in amu; all ones give the plain mean.
    """
    total = segment_sum(weights, structure_index, count)
    return segment_sum(values * weights[:, None], structure_index, count) / total[:, None]


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
        cell: (B, 3, 3) Å, lattice vectors in rows; those without periodicity do not matter.
        pbc: (B, 3) bool.
        structure_index: (N,) structure of each row.

    Returns:
        (N, 3) Å. The gradient passes through the displacement; *which* image is nearest is chosen
        without one (it is an integer).

    Rounding fractional components picks a wrong image in skewed cells. The cell is first reduced
    (Minkowski); then the nearest image is among the 27 around the rounded one.
    """
    if not bool(pbc.any()):
        return displacements
    with torch.no_grad():
        cell = reduced_cells(cell, pbc)
        plain = displacements.detach()
        fractional = fractional_coordinates(plain, cell, structure_index)
        rounded = torch.where(pbc[structure_index], -fractional.round(), 0.0)
        image = plain + (rounded[:, None] @ cell[structure_index]).squeeze(1)
        # Shorter than half the shortest lattice vector: there is no nearer one.
        radius = shortest_period(cell, pbc) / 2
        open_rows = (image.norm(dim=1) > radius[structure_index]).nonzero().flatten()
        if len(open_rows):
            members = structure_index[open_rows]
            around = pbc[members][:, None, :] * _neighbouring_cells(plain)
            candidates = image[open_rows][:, None, :] + around @ cell[members]
            nearest = (candidates**2).sum(2).argmin(1)
            rows = torch.arange(len(open_rows), device=plain.device)
            image = image.index_copy(0, open_rows, candidates[rows, nearest])
    return displacements + (image - plain)


def fractional_coordinates(vectors: Tensor, cell: Tensor, structure_index: Tensor) -> Tensor:
    """``vectors`` (N, 3) Å in units of each structure's lattice vectors (B, 3, 3)."""
    inverse = torch.linalg.inv(cell)
    return (vectors[:, None] @ inverse[structure_index]).squeeze(1)


def shortest_period(cell: Tensor, pbc: Tensor) -> Tensor:
    """(B,) Å, length of the shortest lattice vector of *reduced* cells; inf without any."""
    return torch.where(pbc, cell.norm(dim=2), torch.inf).amin(1)


def reduced_cells(cell: Tensor, pbc: Tensor) -> Tensor:
    """The same lattices (B, 3, 3) by their shortest vectors.

    Rows without periodicity are replaced by unit vectors at right angles to the others, so that
    fractional coordinates along the periodic ones do not depend on them.

    Raises:
        RuntimeError: (ASE's) a cell too skewed to be reduced.
    """
    shortest = [
        _reduced(vectors.tobytes(), tuple(periodic.tolist()))
        for vectors, periodic in zip(
            cell.detach().cpu().double().numpy(), pbc.cpu().numpy(), strict=True
        )
    ]
    return torch.as_tensor(np.array(shortest), dtype=cell.dtype, device=cell.device)


def closest_pair(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, within: float
) -> tuple[int, int, float] | None:
    """The two atoms closest to each other, if some are: a neighbour search, not all pairs.

    Args:
        positions: (n, 3) Å.
        cell: (3, 3) Å, reduced (see `reduced_cells`).
        pbc: (3,) bool.
        within: Å, no more than the cell's shortest period; pairs through a boundary are found up to
            this distance.

    Returns:
        Their indices and distance (Å); None for a single atom.
    """
    inverse = np.linalg.inv(cell)
    fractional = positions @ inverse
    wrapped = positions - (np.floor(fractional) * pbc) @ cell
    fractional = wrapped @ inverse
    margin = within * np.linalg.norm(inverse, axis=0)  # in units of the distance between planes
    reach = [
        range(-n, n + 1) if on else (0,)
        for n, on in zip(np.ceil(margin).astype(int), pbc, strict=True)
    ]
    points, homes = [wrapped], [np.arange(len(wrapped))]
    for shift in itertools.product(*reach):
        if any(shift):
            moved = fractional + shift
            near = (((moved > -margin) & (moved < 1 + margin)) | ~pbc).all(1).nonzero()[0]
            points.append(wrapped[near] + shift @ cell)
            homes.append(near)
    everywhere, home = np.concatenate(points), np.concatenate(homes)
    if len(everywhere) < 2:
        return None
    distance, found = (np.asarray(x) for x in cKDTree(everywhere).query(wrapped, k=2))
    one = int(distance[:, 1].argmin())
    two = int(home[next((int(k) for k in found[one] if k != one), one)])
    return min(one, two), max(one, two), float(distance[one, 1])


@lru_cache(maxsize=4096)
def _reduced(vectors: bytes, pbc: tuple[bool, ...]) -> np.ndarray:
    cell = np.frombuffer(vectors).reshape(3, 3) * np.array(pbc)[:, None]
    if not any(pbc):
        return np.eye(3)
    return minkowski_reduce(complete_cell(cell), pbc)[0]


def _neighbouring_cells(like: Tensor) -> Tensor:
    """(27, 3) lattice translations around the origin, itself first."""
    return torch.tensor(
        list(itertools.product((0, -1, 1), repeat=3)), dtype=like.dtype, device=like.device
    )
