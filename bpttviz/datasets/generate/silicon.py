"""Starts with a point defect in 64-site silicon: `SILICON_DEFECTS`, `UNLABELLED_DEFECTS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.geometry import find_mic

from bpttviz.datasets.generate.defects import (
    Site,
    divac,
    hex,
    random_site,
    split,
    sub,
    subsub,
    subvac,
    tet,
    vac,
)
from bpttviz.datasets.generate.hessians import spring_hessian
from bpttviz.datasets.generate.spacing import push_apart

SILICON_A = 5.469  # Å, PBE lattice constant of the host
SHORTEST_PAIR = 2.05  # Å, no start has a closer pair


@dataclass(frozen=True)
class DefectTask:
    """One relaxation of a defect in 64-site silicon. `variant` counts the starts of one defect."""

    number: int
    family: Callable[[Atoms, Site, str], np.ndarray]
    species: str
    variant: int = 0
    initial_hessian = staticmethod(spring_hessian)

    @property
    def seed(self) -> int:
        """Seed of everything random in the start."""
        return 3000 + self.number

    @property
    def name(self) -> str:
        """The file's name, without its ending."""
        return f"{self.number:03d}_{self.family.__name__}_{self.species}"

    @property
    def info(self) -> dict:
        """What every frame of the file says of its task."""
        family = self.family.__name__
        return {
            "defect": f"{family}:{self.species}",
            "family": family,
            "species": self.species,
            "seed": self.seed,
        }

    def start(self) -> Atoms:
        """The start: a random site, half of its neighbours stretched (variants), all rattled.

        Every atom is displaced by N(0, 0.02 Å), atoms within 3.6 Å of the defect by N(0, 0.12 Å)
        more. Odd variants first pull half of the nearest neighbours 12 % towards the centre, even
        ones from the second on push them away, so that starts of one defect do not all fall into
        the nearest minimum (the idea of ShakeNBreak, doi:10.1038/s41524-023-00973-1).
        """
        # RandomState, because numpy promises never to change its stream.
        rng = np.random.RandomState(self.seed)
        atoms = bulk("Si", "diamond", a=SILICON_A, cubic=True) * (2, 2, 2)
        centres = self.family(atoms, random_site(atoms, rng), self.species)
        vectors, distances = _from_nearest_centre(atoms, centres)
        if self.variant:
            factor = -0.12 if self.variant % 2 else 0.12
            shell = np.flatnonzero((distances > 0.5) & (distances < 2.7))
            half = rng.permutation(shell)[: max(1, len(shell) // 2)]
            atoms.positions[half] += factor * vectors[half]
        atoms.positions += rng.normal(0.0, 0.02, (len(atoms), 3))
        near = distances < 3.6
        atoms.positions[near] += rng.normal(0.0, 0.12, (int(near.sum()), 3))
        push_apart(atoms, SHORTEST_PAIR)
        return atoms


def _from_nearest_centre(atoms: Atoms, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vector (N,3) to each atom from its nearest centre, and its length (N,), in Å."""
    all_vectors = np.stack(
        [find_mic(atoms.positions - centre, atoms.cell, atoms.pbc)[0] for centre in centres]
    )
    lengths = np.linalg.norm(all_vectors, axis=2)
    nearest, every = lengths.argmin(0), np.arange(len(atoms))
    return all_vectors[nearest, every], lengths[nearest, every]


# New defects first, so that unseen groups exist early; then more starts of each. A task's place
# decides its number and seed, so that more of them can only be appended.
_NEW: list[tuple[Any, ...]] = [
    (sub, "Sn"), (subvac, "P"), (tet, "Ge"), (subsub, "Ge"), (split, "Ge"), (sub, "B"),
    (hex, "P"), (subvac, "Sb"), (sub, "Al"), (subsub, "P"), (sub, "C"), (tet, "Al"),
    (subvac, "Sn"), (split, "P"), (sub, "Ga"), (subsub, "As"), (hex, "Ge"), (subvac, "B"),
    (tet, "As"), (split, "C"), (sub, "In"), (subsub, "B"), (subvac, "C"), (hex, "Al"),
    (sub, "N"), (subsub, "C"), (tet, "B"), (split, "B"), (subvac, "Al"), (subsub, "Sb"),
]  # fmt: skip

_VARIANTS: list[tuple[Any, ...]] = [
    (vac, "Si", 1), (split, "Si", 1), (divac, "Si", 1), (tet, "Si", 1), (subvac, "Ge", 1),
    (vac, "Si", 2), (hex, "Si", 1), (subvac, "As", 1), (sub, "P", 1), (subvac, "P", 1),
    (tet, "Ge", 1), (split, "Ge", 1), (hex, "P", 1), (tet, "P", 1), (subsub, "Sn", 1),
    (sub, "C", 1), (sub, "B", 1), (tet, "Al", 1), (subvac, "Sb", 1), (split, "P", 1),
    (divac, "Si", 2), (tet, "Si", 2), (sub, "Sn", 1), (subvac, "Sn", 1), (hex, "Ge", 1),
    (sub, "As", 1), (split, "C", 1), (subsub, "P", 1), (subvac, "B", 1), (hex, "Si", 2),
    (split, "Si", 2), (subvac, "Ge", 2), (subvac, "P", 2), (tet, "Ge", 2), (split, "Ge", 2),
]  # fmt: skip
SILICON_DEFECTS = tuple(DefectTask(200 + k, *row) for k, row in enumerate(_NEW + _VARIANTS))

# Kinds of which no relaxation is planned: starts without labels (see `unlabelled_frames`).
_NEVER: list[tuple[Any, ...]] = [
    *((hex, species) for species in ("B", "C", "N", "Ga", "As", "In", "Sn", "Sb")),
    *((tet, species) for species in ("C", "N", "Ga", "In", "Sn", "Sb")),
    *((split, species) for species in ("N", "Al", "Ga", "As", "In", "Sn", "Sb")),
    *((subvac, species) for species in ("N", "Ga", "In")),
    *((subsub, species) for species in ("N", "Al", "Ga", "In")),
]
UNLABELLED_DEFECTS = tuple(DefectTask(600 + k, *row) for k, row in enumerate(_NEVER))
