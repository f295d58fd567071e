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


def irregular_atoms(structure: Structures) -> np.ndarray:
    """The atoms (n,) of a defect, as a mask; none where there is no crystal to have one in.

    Irregular is an atom of a foreign element, or one with another number of bonds than most of its
    element. Give a *relaxed* structure: in a shaken one bonds are counted wrongly.

    Args:
        structure: a batch of one.
    """
    numbers = structure.numbers.cpu().numpy()
    bonds = _bonds(structure)
    irregular = np.zeros(len(numbers), bool)
    for element, count in Counter(numbers.tolist()).items():
        mine = numbers == element
        usual = Counter(bonds[mine].tolist()).most_common(1)[0][0]
        irregular |= mine & ((count < FOREIGN * len(numbers)) | (bonds != usual))
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


def _bonds(structure: Structures) -> np.ndarray:
    """Number of bonds (n,) of each atom, those to images included."""
    numbers = structure.numbers.cpu().numpy()
    reach = BOND * covalent_radii[numbers]
    graph = neighbours(structure, 2 * float(reach.max()))
    length = graph.vectors(structure.positions.detach()).norm(dim=1).cpu().numpy()
    first, second = graph.first.cpu().numpy(), graph.second.cpu().numpy()
    bonded = length < reach[first] + reach[second]
    return np.bincount(first[bonded], minlength=len(numbers))
