"""How far a relaxed structure is from its reference, and how wrong forces are."""

from __future__ import annotations

import torch
from torch import Tensor

from bpttviz.geometry import minimum_image, remove_drift, safe_sqrt, segment_sum
from bpttviz.structures import StructureError, Structures


def displacements(a: Structures, b: Structures, mass_weighted_drift: bool = True) -> Tensor:
    """Displacement (N, 3) Å of every atom from ``a`` to ``b``: nearest image, drift removed.

    Args:
        a, b: the same structures at two sets of positions: same atoms in the same order and cell.
        mass_weighted_drift: remove the motion of the centre of mass; otherwise that of the plain
            mean position. Either way a loss built on it ignores rigid translations, which no
            potential determines.

    Raises:
        StructureError: different numbers of atoms, species in a different order, or another cell.
    """
    require_same(a, b)
    moved = minimum_image(b.positions - a.positions, a.cell, a.pbc, a.structure_index)
    weights = a.masses if mass_weighted_drift else torch.ones_like(a.masses)
    return remove_drift(moved, weights, a.structure_index, len(a))


def delta_q(a: Structures, b: Structures) -> Tensor:
    """Mass-weighted distance (B,) in amu^½ Å: sqrt(Σ_j m_j |ΔX_j|²).

    The endpoint loss of arXiv 2512.01067. Differentiable in both positions; the gradient is zero
    where the two coincide. Raises as `displacements`.
    """
    weighted = displacements(a, b) * a.masses.sqrt()[:, None]
    return _segment_norm(weighted, a)


def rmsd(a: Structures, b: Structures) -> Tensor:
    """Root mean square displacement (B,) in Å, mean displacement removed. Raises as above."""
    sizes = torch.bincount(a.structure_index, minlength=len(a))
    moved = displacements(a, b, mass_weighted_drift=False)
    return _segment_norm(moved, a) / sizes.to(moved.dtype).sqrt()


def force_error(
    predicted: Tensor, reference: Tensor, structure_index: Tensor, count: int
) -> Tensor:
    """Mean absolute error (count,) over force components, eV/Å; forces are (N, 3) eV/Å."""
    sizes = torch.bincount(structure_index, minlength=count)
    return segment_sum((predicted - reference).abs().mean(1), structure_index, count) / sizes


def require_same(a: Structures, b: Structures) -> None:
    """Refuse to compare structures that are not the same atoms in the same order and cell.

    Raises:
        StructureError: naming the first structure and atom that differ.
    """
    if len(a) != len(b):
        raise StructureError(f"{len(a)} structures cannot be compared with {len(b)}")
    for index, (one, two) in enumerate(zip(a.split(a.numbers), b.split(b.numbers), strict=True)):
        name = a.names[index]
        if len(one) != len(two):
            raise StructureError(
                f"has {len(one)} atoms, its reference {len(two)}; they must be the same atoms",
                index,
                name,
            )
        if not torch.equal(one, two):
            atom = int((one != two).nonzero()[0])
            raise StructureError(
                f"atom {atom} is element {int(one[atom])}, in its reference element "
                f"{int(two[atom])}; list the atoms in the same order in both",
                index,
                name,
            )
        if not torch.allclose(a.cell[index], b.cell[index], atol=1e-3):
            raise StructureError(
                "has another cell than its reference; positions are compared in a fixed cell",
                index,
                name,
            )


def _segment_norm(vectors: Tensor, structures: Structures) -> Tensor:
    """Norm (B,) of each structure's stacked vectors, with a zero gradient at zero."""
    return safe_sqrt(segment_sum((vectors**2).sum(1), structures.structure_index, len(structures)))
