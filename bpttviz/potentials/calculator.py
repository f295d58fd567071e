"""An ASE calculator for any `Potential`: use a fine-tuned model wherever ASE is understood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import all_changes

from bpttviz._checks import instance_of
from bpttviz.potentials.base import Potential
from bpttviz.structures import Structures

State = list[tuple[torch.Tensor, object]]


class Calculator(AseCalculator):
    """Energy (eV) and forces (eV/Å) of a potential for ``ase.Atoms``, as float64.

    Args:
        potential: any `Potential`.

    Raises:
        TypeError: something else than a `Potential` was given.
        StructureError: (when asked) atoms that the potential cannot describe.
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012 (ASE's protocol)

    def __init__(self, potential: Potential, **keywords: Any):
        super().__init__(**keywords)
        self.potential = instance_of("potential", potential, Potential, "bv.CHGNet()")
        self._computed_with: State = []

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last calculation: all of it, where weights have."""
        now = self._weights()
        same = len(now) == len(self._computed_with) and all(
            one is other and version == before
            for (one, version), (other, before) in zip(now, self._computed_with, strict=True)
        )
        return super().check_state(atoms, tol) if same else list(all_changes)

    def _weights(self) -> State:
        """Parameters and buffers, each with a mark that changes where it is written to."""
        return [
            (tensor, (object() if tensor.is_inference() else tensor._version, tensor.data_ptr()))
            for tensor in (*self.potential.parameters(), *self.potential.buffers())
        ]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill ``results``, as ASE asks for it.

        Raises:
            StructureError: atoms that the potential cannot describe.
        """
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None  # ASE's own method has just set them
        unconstrained = self.atoms.copy()  # constraints are the optimiser's business
        unconstrained.set_constraint()
        structures = Structures.from_ase(unconstrained, check=False).to(self.potential.device)
        weights = self._weights()
        with torch.no_grad():
            energy, forces = self.potential(structures)
        self._computed_with = weights
        value = float(energy[0])
        self.results = {
            "energy": value,
            "free_energy": value,
            "forces": forces.cpu().double().numpy(),
        }
