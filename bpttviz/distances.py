"""How far a relaxed structure is from its reference, and how wrong forces are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bpttviz._checks import flag, instance_of, whole
from bpttviz.geometry import safe_sqrt, segment_sum
from bpttviz.rigid_motions import free_rigid_motions, without_rigid_motions
from bpttviz.structures import StructureError, Structures


def displacements(
    a: Structures, b: Structures, mass_weighted: bool = True, places_matter: bool = False
) -> Tensor:
    """Displacement (N, 3) Å of every atom from ``a`` to ``b``, but for what costs nothing.

    Nearest images are taken, and the rigid motion is removed that explains most of it: a
    translation where no atom is held; a rotation, however large, where nothing is periodic (about
    the periodic direction where there is one). Held atoms are the frame of reference: only what
    leaves them in place is removed (see `bpttviz.rigid_motions`).

    Args:
        a, b: the same structures at two sets of positions: same atoms in the same order and cell.
        mass_weighted: what is smallest is Σ m |ΔX|² (the centre of mass stays); otherwise Σ |ΔX|².
        places_matter: no rigid motion is removed: what moves the atoms knows absolute places (see
            `Potential.places_matter`).

    The gradients of these sums (so those of ΔQ and RMSD) are exact. Those of single displacements
    leave out that the best rotation depends on the positions.

    Raises:
        StructureError: different numbers of atoms, species in a different order, other masses, held
            atoms or periodic directions, or another cell.
    """
    require_same(a, b)
    if a.positions.dtype != b.positions.dtype:
        a, b = (structures.to(dtype=torch.float64) for structures in (a, b))
    weights = a.masses if mass_weighted else torch.ones_like(a.masses)
    motions = free_rigid_motions(a, translations=not flag("places_matter", places_matter))
    return without_rigid_motions(a, b, weights, motions)


def delta_q(a: Structures, b: Structures, places_matter: bool = False) -> Tensor:
    """Mass-weighted distance (B,) in amu^½ Å: sqrt(Σ_j m_j |ΔX_j|²), smallest over free motions.

    The endpoint loss of arXiv 2512.01067. Differentiable in both positions; the gradient is zero
    where the two coincide (but for a free motion). Raises as `displacements`.
    """
    weighted = displacements(a, b, True, places_matter) * a.masses.sqrt()[:, None]
    return _segment_norm(weighted, a)


def rmsd(a: Structures, b: Structures, places_matter: bool = False) -> Tensor:
    """Root mean square displacement (B,) in Å, smallest over free motions. Raises as above."""
    moved = displacements(a, b, False, places_matter)
    sizes = torch.bincount(a.structure_index, minlength=len(a))
    return _segment_norm(moved, a) / sizes.to(moved.dtype).sqrt()


def force_error(
    predicted: Tensor, reference: Tensor, structure_index: Tensor, count: int
) -> Tensor:
    """Mean absolute error (count,) over force components, eV/Å; forces are (N, 3) eV/Å.

    Raises:
        TypeError, ValueError: no tensors, shapes that do not belong together, or an index that
            leaves out one of ``count`` structures or names another.
    """
    hint = "a relaxation's forces"
    shape = tuple(instance_of("predicted", predicted, Tensor, hint).shape)
    if shape[1:] != (3,) or tuple(instance_of("reference", reference, Tensor, hint).shape) != shape:
        raise ValueError(
            f"predicted and reference must both be of shape (N, 3), got {shape} and "
            f"{tuple(reference.shape)}"
        )
    instance_of("structure_index", structure_index, Tensor, "structures.structure_index")
    if tuple(structure_index.shape) != shape[:1]:
        raise ValueError(
            f"structure_index must be of shape ({shape[0]},), got {tuple(structure_index.shape)}"
        )
    count = whole("count", count)
    named = structure_index.unique().tolist()
    if named != list(range(count)):
        raise ValueError(
            f"structure_index must name the structures from 0 to {count - 1}, each for some atoms; "
            f"it names {named[:10]}" + " and more" * (len(named) > 10)
        )
    sizes = torch.bincount(structure_index.long(), minlength=count)
    return segment_sum((predicted - reference).abs().mean(1), structure_index, count) / sizes


def require_same(a: Structures, b: Structures) -> None:
    """Refuse to compare structures that are not the same atoms in the same order and cell.

    Raises:
        TypeError: something else than `Structures`.
        StructureError: naming the first structure and atom that differ.
    """
    for which, given in (("a", a), ("b", b)):
        instance_of(which, given, Structures, "bv.Structures.from_ase(atoms)")
    if len(a) != len(b):
        raise StructureError(f"{len(a)} structures cannot be compared with {len(b)}")
    if a.counts != b.counts:
        index = next(k for k, (m, n) in enumerate(zip(a.counts, b.counts, strict=True)) if m != n)
        raise StructureError(
            f"has {a.counts[index]} atoms, its reference {b.counts[index]}; they must be the same "
            "atoms",
            index,
            a.names[index],
        )
    _refuse(
        a,
        a.numbers != b.numbers,
        lambda atom: (
            f"atom {{}} is element {int(a.numbers[atom])}, in its reference element "
            f"{int(b.numbers[atom])}; list the atoms in the same order in both"
        ),
    )
    _refuse(
        a,
        ~torch.isclose(a.masses, b.masses.to(a.masses), rtol=1e-4),
        lambda atom: (
            f"atom {{}} has a mass of {float(a.masses[atom]):g} amu, in its reference "
            f"{float(b.masses[atom]):g} amu; a mass-weighted distance needs the same in both"
        ),
    )
    _refuse(
        a,
        a.fixed != b.fixed,
        lambda atom: (
            f"atom {{}} is {'held' if a.fixed[atom] else 'free'}, in its reference "
            f"{'held' if b.fixed[atom] else 'free'}; hold the same atoms (FixAtoms) in both"
        ),
    )
    _require_same_cell(a, b)


def _refuse(a: Structures, differ: Tensor, complaint: Callable[[int], str]) -> None:
    """Name the first atom (N,) that differs, numbered within its structure."""
    if bool(differ.any()):
        atom = int(differ.nonzero()[0])
        index = int(a.structure_index[atom])
        within = atom - sum(a.counts[:index])
        raise StructureError(complaint(atom).format(within), index, a.names[index])


def _require_same_cell(a: Structures, b: Structures) -> None:
    other_pbc = (a.pbc != b.pbc).any(1)
    if bool(other_pbc.any()):
        index = int(other_pbc.nonzero()[0])
        raise StructureError(
            f"is periodic along {_directions(a.pbc[index])}, its reference along "
            f"{_directions(b.pbc[index])}; set the same pbc in both",
            index,
            a.names[index],
        )
    # Vectors without periodicity say nothing about where atoms are.
    apart = torch.where(a.pbc[:, :, None], a.cell - b.cell.to(a.cell), 0.0).abs().amax((1, 2))
    if bool((apart > 1e-3).any()):
        index = int(apart.argmax())
        raise StructureError(
            "has another cell than its reference; positions are compared in a fixed cell",
            index,
            a.names[index],
        )


def _directions(pbc: Tensor) -> str:
    return " and ".join(name for name, on in zip("abc", pbc.tolist(), strict=True) if on) or "none"


def _segment_norm(vectors: Tensor, structures: Structures) -> Tensor:
    """Norm (B,) of each structure's stacked vectors, with a zero gradient at zero."""
    return safe_sqrt(segment_sum((vectors**2).sum(1), structures.structure_index, len(structures)))
