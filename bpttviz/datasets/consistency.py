"""Whether the frames of one relaxation belong together: one list of atoms, one cell, one path."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from torch import Tensor

from bpttviz.atoms import HEAVIEST, NO_ELEMENT
from bpttviz.datasets.validate import permuted_atoms
from bpttviz.geometry import minimum_image
from bpttviz.structures import StructureError, Structures

# Nearest-image displacements beyond this are a swapped or wrongly ordered pair of atoms far more
# often than a relaxation.
LARGEST_DISPLACEMENT = 4.0

# Å between two frames; atoms that trade places in one move further, down to hydrogen's 0.74.
SHORTEST_TRADE = 0.5

# Å between two frames; optimisers move no atom further than 0.1 to 0.3.
JUMP = 1.0

# Å; what held atoms may differ by in two files, which keep few digits.
HELD_IN_PLACE = 0.01


# Of a mass; files keep few digits, and distances are measured with the start's.
SAME_MASS = 1e-4


class Contents(NamedTuple):
    """What all frames of a relaxation have in common.

    Attributes:
        numbers: (N,) atomic numbers.
        masses: (N,) amu.
        cell: (3, 3) Å.
        pbc: (3,) bool.
    """

    numbers: np.ndarray
    masses: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray

    @classmethod
    def of_atoms(cls, atoms: Atoms) -> Contents:
        """Of a structure in ASE."""
        return cls(atoms.numbers, atoms.get_masses(), atoms.cell.array, atoms.pbc)

    @classmethod
    def of_structures(cls, structures: Structures) -> Contents:
        """Of a batch of one, on the CPU."""
        parts = (structures.numbers, structures.masses, structures.cell[0], structures.pbc[0])
        return cls(*(part.detach().numpy() for part in parts))


def require_elements(name: str, atoms: Atoms) -> None:
    """Raises `StructureError` for an atomic number that no element has: ASE would trip over it."""
    strange = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers > HEAVIEST))
    if len(strange):
        atom = int(strange[0])
        raise StructureError(NO_ELEMENT.format(atom, atoms.numbers[atom]), name=name)


def require_held_in_place(
    name: str, contents: Contents, held: np.ndarray, start: np.ndarray, end: np.ndarray
) -> None:
    """Raises `StructureError` where an atom that may not move has moved all the same.

    It would be the frame of reference for all others.
    """
    moved = _distances(contents, (end - start)[None])[0] * held
    if moved.max(initial=0.0) > HELD_IN_PLACE:
        atom = int(moved.argmax())
        raise StructureError(
            f"atom {atom} is held, and yet moves {moved[atom]:.3g} Å from start to end; hold only "
            "what stays in place, or shift one of the two as a whole",
            name=name,
        )


def require_same_atoms(name: str, one: Contents, two: Contents) -> None:
    """Raises `StructureError` where a start and a later frame do not list the same atoms."""
    if len(one.numbers) != len(two.numbers):
        raise StructureError(
            f"start has {len(one.numbers)} atoms, end has {len(two.numbers)}; both must list the "
            "same atoms",
            name=name,
        )
    different = np.flatnonzero(one.numbers != two.numbers)
    if len(different):
        atom = int(different[0])
        was, is_now = (chemical_symbols[c.numbers[atom]] for c in (one, two))
        raise StructureError(
            f"atom {atom} is {was} at the start and {is_now} later; the atoms must be listed in "
            "the same order",
            name=name,
        )
    heavier = ~np.isclose(one.masses, two.masses, rtol=SAME_MASS, atol=0)
    if heavier.any():
        atom = int(np.flatnonzero(heavier)[0])
        raise StructureError(
            f"atom {atom} has mass {one.masses[atom]:g} amu at the start and {two.masses[atom]:g} "
            "later; give both the same",
            name=name,
        )
    if (one.pbc != two.pbc).any():
        raise StructureError(
            f"the start is periodic in {_directions(one.pbc)}, a later frame in "
            f"{_directions(two.pbc)}; give both the same pbc",
            name=name,
        )
    # Vectors without periodicity say nothing about where atoms are.
    if not np.allclose(one.cell[one.pbc], two.cell[two.pbc], atol=1e-3):
        raise StructureError(
            "the cell changes between start and end; relaxations in a fixed cell are compared "
            "(relax with the cell fixed, or give both the same cell)",
            name=name,
        )


def require_small_displacements(
    name: str, contents: Contents, start: np.ndarray, end: np.ndarray
) -> None:
    """Raises `StructureError` where an atom's nearest image is further than a relaxation goes."""
    distance = _distances(contents, (end - start)[None])[0]
    if distance.max() > LARGEST_DISPLACEMENT:
        atom = int(distance.argmax())
        raise StructureError(
            f"atom {atom} ({chemical_symbols[contents.numbers[atom]]}) moves {distance[atom]:.1f} "
            f"Å from start to end, more than {LARGEST_DISPLACEMENT} Å; atoms are probably listed "
            "in another order in the two: reorder them",
            name=name,
        )


def require_finite(name: str, positions: Tensor, energy: Tensor, forces: Tensor) -> None:
    """Raises `StructureError` for the first of T frames with NaN or infinite numbers.

    An energy may be NaN, where it is not known.
    """
    for what, fine in (
        ("positions", positions.isfinite().flatten(1).all(1)),
        ("energy or forces", forces.isfinite().flatten(1).all(1) & ~energy.isinf()),
    ):
        if not fine.all():
            frame = int((~fine).nonzero()[0])
            raise StructureError(f"{what} of frame {frame} are not finite", name=name)


def longest_moves(contents: Contents, path: np.ndarray) -> np.ndarray:
    """How far (T - 1,) in Å an atom moves at most from each of T frames (T, N, 3) to the next."""
    return _distances(contents, np.diff(path, axis=0)).max(axis=1, initial=0.0)


def breaks(furthest: np.ndarray) -> list[str]:
    """What speaks against frames being of *one* relaxation, in sentences.

    Start and end alone are no path: they may lie far apart.

    Args:
        furthest: as `longest_moves` gives it.
    """
    if len(furthest) < 2:
        return []
    return [
        f"an atom moves {furthest[step]:.2f} Å from frame {step} to {step + 1}: frames are "
        "missing, or another relaxation begins there; one file holds one"
        for step in np.flatnonzero(furthest > JUMP)[:1]
    ]


def require_path(name: str, contents: Contents, path: np.ndarray) -> None:
    """Raises `StructureError` where frames (T, N, 3) Å are of other atoms, or in another order."""
    require_small_displacements(name, contents, path[0], path[-1])
    require_same_places(name, contents, path)


def require_same_places(name: str, contents: Contents, path: np.ndarray) -> None:
    """Atoms may trade places in many steps, as real ones do, but not in one.

    Args:
        path: (T, N, 3) Å, frame after frame.

    Raises:
        StructureError: atoms that have traded places with their own kind between two frames.
    """
    furthest = longest_moves(contents, path)
    for step in np.flatnonzero(furthest > SHORTEST_TRADE):
        atoms = permuted_atoms(
            contents.numbers, path[step], path[step + 1], contents.cell, contents.pbc
        )
        if atoms:
            raise StructureError(
                f"atoms {', '.join(map(str, atoms))} have traded places with their own kind, in "
                "one step; list them in one order (if they really did, give the frames between)",
                name=name,
            )


def _distances(contents: Contents, moved: np.ndarray) -> np.ndarray:
    """Lengths (T, N) in Å of displacements (T, N, 3), or of their nearest images where those count.

    An image is never longer, so that short displacements need none.
    """
    result = np.linalg.norm(moved, axis=2)
    cell, pbc = (torch.as_tensor(x.copy())[None] for x in (contents.cell, contents.pbc))
    for step in np.flatnonzero((result > SHORTEST_TRADE).any(axis=1)):  # one at a time: memory
        far = result[step] > SHORTEST_TRADE
        vectors = torch.as_tensor(moved[step, far])
        index = torch.zeros(len(vectors), dtype=torch.int64)
        result[step, far] = minimum_image(vectors, cell, pbc, index).norm(dim=1).numpy()
    return result


def _directions(pbc: np.ndarray) -> str:
    return " and ".join(np.array(["a", "b", "c"])[pbc]) or "no direction"
