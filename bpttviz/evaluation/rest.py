"""Bringing structures to rest, independently of the map that was trained."""

from __future__ import annotations

from dataclasses import dataclass

from ase import Atoms
from ase.optimize import FIRE

from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError


@dataclass(frozen=True)
class Relaxer:
    """How a structure is brought to rest: by ASE's optimiser, independent of the trained map.

    Args:
        fmax: eV/Å. steps: at most. optimizer: an ASE optimiser class.
    """

    fmax: float = 0.005
    steps: int = 500
    optimizer: type = FIRE

    def reach(self, potential: Potential, atoms: Atoms) -> tuple[Atoms, int, bool]:
        """(atoms at rest, steps made, converged)."""
        atoms = atoms.copy()
        atoms.calc = potential.calculator()
        optimizer = self.optimizer(atoms, logfile=None)
        try:
            converged = bool(optimizer.run(fmax=self.fmax, steps=self.steps))
        except StructureError:
            converged = False  # it ran away; where it got to is still recorded
        return atoms, optimizer.get_number_of_steps(), converged
