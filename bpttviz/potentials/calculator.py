"""An ASE calculator for any `Potential`: use a fine-tuned model wherever ASE is understood."""

from __future__ import annotations

import torch
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import all_changes

from bpttviz.structures import Structures


class Calculator(AseCalculator):
    """Energy (eV) and forces (eV/Å) of a potential for ``ase.Atoms``.

    Args:
        potential: maps `Structures` to a prediction with ``energy`` (1,) and ``forces`` (N, 3).

    Raises:
        StructureError: from `calculate`, for atoms that the potential cannot describe.
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012 (ASE's protocol)

    def __init__(self, potential, **kwargs):
        super().__init__(**kwargs)
        self.potential = potential

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        unconstrained = self.atoms.copy()  # constraints are the optimiser's business
        unconstrained.set_constraint()
        structures = Structures.from_ase(unconstrained, check=False).to(self.potential.device)
        with torch.no_grad():
            energy, forces = self.potential(structures)
        value = float(energy[0])
        self.results = {
            "energy": value,
            "free_energy": value,
            "forces": forces.cpu().double().numpy(),
        }
