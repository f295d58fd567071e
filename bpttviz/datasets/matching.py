"""Which relaxations ended in the same place, and so are of one group."""

from __future__ import annotations

from ase import Atoms
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

# One minimum, or symmetry-equivalent ones, have the same energy up to what convergence leaves open.
SAME_ENERGY = 0.01  # eV
MATCHER = StructureMatcher(ltol=0.02, stol=0.05, primitive_cell=False, scale=False)


def same_minimum(one: Atoms, two: Atoms) -> bool:
    """Whether two ends, with their energies, are one minimum up to symmetry and order of atoms."""
    if one.get_chemical_formula() != two.get_chemical_formula():
        return False
    if abs(one.get_potential_energy() - two.get_potential_energy()) > SAME_ENERGY:
        return False
    first, second = (AseAtomsAdaptor.get_structure(atoms) for atoms in (one, two))
    return bool(MATCHER.fit(first, second))
