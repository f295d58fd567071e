"""Where in a crystal its defect is, told from the structure alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from ase.data import covalent_radii

from bpttviz.geometry import minimum_image
from bpttviz.potentials.neighbors import neighbours
from bpttviz.structures import Structures

# An element that makes up less than this of the atoms is foreign to the crystal.
FOREIGN = 0.1

# Where more atoms than this are irregular there is no crystal for a defect to be in.
MOST_IRREGULAR = 1 / 3
BOND = 1.2  # times the sum of covalent radii

# Å: free ends of bonds that meet within this mean one empty site; no atom is as near to it as that.
MEETING, EMPTY = 1.3, 1.5


def irregular_atoms(structure: Structures) -> np.ndarray:
    """The atoms (n,) of a defect, as a mask; none where there is no crystal to have one in.

    Irregular is an atom of a foreign element, or one with another number of bonds than most of its
    element, if more than half of them agree. Give a *relaxed* structure: in a shaken one bonds are
    counted wrongly.

    Args:
        structure: a batch of one.
    """
    numbers = structure.numbers.cpu().numpy()
    bonds = _bonds(structure)
    irregular = np.zeros(len(numbers), bool)
    for element, count in Counter(numbers.tolist()).items():
        mine = numbers == element
        usual, agreeing = Counter(bonds[mine].tolist()).most_common(1)[0]
        odd = (bonds != usual) & (2 * agreeing > count)  # of two atoms, neither is the odd one
        irregular |= mine & ((count < FOREIGN * len(numbers)) | odd)
    if irregular.mean() > MOST_IRREGULAR:
        return np.zeros_like(irregular)
    return irregular


def distance_from_defect(structure: Structures) -> np.ndarray | None:
    """Distance (n,) Å of each atom from the nearest irregular one; None where there is no defect.

    Args:
        structure: a batch of one, relaxed; see `irregular_atoms`.
    """
    irregular = irregular_atoms(structure)
    if not irregular.any():
        return None
    positions = structure.positions.detach().cpu()
    away = positions[None] - positions[torch.as_tensor(irregular)][:, None]  # (defect, n, 3)
    flat = away.reshape(-1, 3)
    one = torch.zeros(len(flat), dtype=torch.int64)
    nearest = minimum_image(flat, structure.cell.cpu(), structure.pbc.cpu(), one)
    return nearest.reshape(away.shape).norm(dim=2).min(0).values.numpy()


def vacant_sites(structure: Structures) -> np.ndarray:
    """Where atoms of a crystal are missing (v, 3) Å, told from the bonds that its atoms lack.

    An atom with fewer bonds than most of its element points away from those that it has, by a
    bond's length; where two or more point to one place, and no atom is there, one is missing.

    Args:
        structure: a batch of one, relaxed; see `irregular_atoms`.
    """
    first, vectors = _bond_vectors(structure)
    irregular = irregular_atoms(structure)
    positions = structure.positions.detach().cpu().double()
    count = np.bincount(first, minlength=len(positions))
    numbers = structure.numbers.cpu().numpy()
    ends = []
    for atom in np.flatnonzero(irregular):
        usual = Counter(count[numbers == numbers[atom]].tolist()).most_common(1)[0][0]
        if not 0 < count[atom] < usual:
            continue
        mine = vectors[first == atom]
        free = -(mine / np.linalg.norm(mine, axis=1, keepdims=True)).sum(0)
        if (size := np.linalg.norm(free)) > 0.3:  # less: its bonds lie around it
            length = np.linalg.norm(mine, axis=1).mean()
            ends.append(positions[atom].numpy() + length * free / size)
    return _meeting_points(np.array(ends).reshape(-1, 3), positions.numpy(), structure)


def _meeting_points(ends: np.ndarray, atoms: np.ndarray, structure: Structures) -> np.ndarray:
    """Means (v, 3) of the ``ends`` (e, 3) that meet where no atom is."""

    def away(one: np.ndarray, others: np.ndarray) -> np.ndarray:
        flat = torch.as_tensor(others - one)
        cell, pbc = structure.cell.cpu().double(), structure.pbc.cpu()
        return minimum_image(flat, cell, pbc, torch.zeros(len(flat), dtype=torch.int64)).numpy()

    sites: list[np.ndarray] = []
    left = ends
    while len(left):
        near = away(left[0], left)
        together = np.linalg.norm(near, axis=1) < MEETING
        place = left[0] + near[together].mean(0)
        left = left[~together]
        if together.sum() > 1 and np.linalg.norm(away(place, atoms), axis=1).min() > EMPTY:
            sites.append(place)
    return np.array(sites).reshape(-1, 3)


def _bonds(structure: Structures) -> np.ndarray:
    """Number of bonds (n,) of each atom, those to images included."""
    return np.bincount(_bond_vectors(structure)[0], minlength=len(structure.numbers))


def _bond_vectors(structure: Structures) -> tuple[np.ndarray, np.ndarray]:
    """Every bond from both its ends: the atom (b,), and the way (b, 3) Å to the other."""
    reach = BOND * covalent_radii[structure.numbers.cpu().numpy()]
    graph = neighbours(structure, 2 * float(reach.max()))
    vectors = graph.vectors(structure.positions.detach()).cpu().double().numpy()
    first, second = graph.first.cpu().numpy(), graph.second.cpu().numpy()
    bonded = np.linalg.norm(vectors, axis=1) < reach[first] + reach[second]
    return first[bonded], vectors[bonded]
