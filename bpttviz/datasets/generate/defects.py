"""Families of point defects in diamond-structure silicon.

A family changes the host in place, at a `Site` and with a species (an element's symbol), and
returns the centres (n,3) of the defect in Å. Its function's name is part of the files' names.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms


@dataclass(frozen=True)
class Site:
    """Where a defect goes: atom i, one of its neighbours j, and the vector (3,) i → j in Å."""

    i: int
    j: int
    bond: np.ndarray
    axis: np.ndarray  # (3,) a random <110> unit vector


def random_site(host: Atoms, rng: np.random.RandomState) -> Site:
    """Any atom of the host, any of its four nearest neighbours, any of the twelve <110>."""
    i = int(rng.randint(len(host)))
    vectors = host.get_distances(i, range(len(host)), mic=True, vector=True)
    neighbours = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")[1:5]
    j = int(np.sort(neighbours)[rng.randint(4)])
    axis = np.zeros(3)
    plane = rng.permutation(3)[:2]
    axis[plane] = rng.choice([-1.0, 1.0], 2) / np.sqrt(2)
    return Site(i, j, vectors[j], axis)


def vac(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Vacancy."""
    centres = atoms.positions[[site.i]].copy()
    del atoms[[site.i]]
    return centres


def divac(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Two neighbouring vacancies."""
    centre = atoms.positions[site.i]
    centres = np.array([centre, centre + site.bond])
    del atoms[[site.i, site.j]]
    return centres


def sub(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """One silicon atom replaced."""
    atoms.symbols[site.i] = species
    return atoms.positions[[site.i]].copy()


def subvac(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """A replaced atom beside a vacancy."""
    atoms.symbols[site.j] = species
    centre = atoms.positions[site.i].copy()
    del atoms[[site.i]]
    return np.array([centre, centre + site.bond])


def subsub(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Two neighbouring atoms replaced by the same species."""
    atoms.symbols[[site.i, site.j]] = species
    centre = atoms.positions[site.i]
    return np.array([centre, centre + site.bond])


def tet(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Interstitial in a tetrahedral hole: opposite to a bond, one bond length away."""
    return _add_atom(atoms, species, atoms.positions[site.i] - site.bond)


def hex(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Interstitial in a hexagonal ring: half way between two tetrahedral holes."""
    return _add_atom(atoms, species, atoms.positions[site.i] - 1.5 * site.bond)


def split(atoms: Atoms, site: Site, species: str) -> np.ndarray:
    """Two atoms share a site, 2.4 Å apart along <110>: the species and silicon."""
    centre = atoms.positions[site.i].copy()
    atoms.symbols[site.i] = species
    atoms.positions[site.i] = centre + 1.2 * site.axis
    _add_atom(atoms, "Si", centre - 1.2 * site.axis)
    return centre[None]


def _add_atom(atoms: Atoms, species: str, position: np.ndarray) -> np.ndarray:
    atoms += Atoms(species, positions=[position])
    return position[None].copy()
