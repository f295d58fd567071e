"""Where in a crystal its defect is, told from the structure alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
from ase import Atoms
from ase.geometry import get_distances
from ase.neighborlist import natural_cutoffs, neighbor_list

# An element that makes up less than this of the atoms is foreign to the crystal.
FOREIGN = 0.1

# Where more atoms than this are irregular there is no crystal for a defect to be in.
MOST_IRREGULAR = 1 / 3
BOND = 1.2  # times the sum of covalent radii


def distance_from_defect(atoms: Atoms) -> np.ndarray | None:
    """Distance (n,) Å of each atom from the nearest irregular one; None where there is no defect.

    Irregular is an atom of a foreign element, or one with another number of bonds than most of its
    element. Give a *relaxed* structure: in a shaken one bonds are counted wrongly.
    """
    elements = Counter(atoms.numbers.tolist())
    cutoffs = natural_cutoffs(atoms, mult=BOND)
    first = neighbor_list("i", atoms, cutoffs)
    bonds = np.bincount(first, minlength=len(atoms))
    irregular = np.zeros(len(atoms), bool)
    for element, count in elements.items():
        mine = atoms.numbers == element
        usual = Counter(bonds[mine].tolist()).most_common(1)[0][0]
        irregular |= mine & ((count < FOREIGN * len(atoms)) | (bonds != usual))
    if not irregular.any() or irregular.mean() > MOST_IRREGULAR:
        return None
    _, distances = get_distances(
        atoms.positions, atoms.positions[irregular], cell=atoms.cell, pbc=atoms.pbc
    )
    return distances.min(axis=1)
