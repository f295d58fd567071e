"""`PressureRehearsal`: the pretrained potential's pressure, to which fixed cells are blind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from ase import units
from torch import Tensor

from bpttviz._checks import instance_of, number
from bpttviz.datasets.relaxations import ReferenceRelaxation
from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError, Structures, concatenate, scaled
from bpttviz.training.rehearsal import Rehearsal

LARGEST_STRAIN = 0.05


class PressureRehearsal(Rehearsal):
    """The mean absolute change of the pressure, GPa, on unlabelled structures.

    A relaxation at a fixed cell says nothing of the pressure, so that fine-tuning is free to change
    it: CHGNet's lattice constant of silicon moved by one percent. Here the pressure before is kept,
    p = -(E(1 + s) - E(1 - s)) / (V(1 + s) - V(1 - s)), from energies of the structure with cell and
    places stretched and squeezed alike; their gradient takes no second derivative, so that one
    structure costs about half a step of `EndpointLoss`.

    Args:
        potential: before fine-tuning; its forces are the gradient of its energy.
        structures: M of them, periodic in all directions; what `Structures.from_ase` takes is
            converted.
        strain: s, of lengths.
        count: how many are drawn for each training structure in an epoch; all where there are
            fewer. In validation it is always the same ones.

    Raises:
        TypeError: an argument of another kind.
        StructureError: a structure that is not periodic, or that the potential cannot evaluate.
        ValueError: a potential without energies; ``strain`` not above 0 or beyond 0.05; ``count``
            below 1.
    """

    purpose = "pressure"

    def __init__(
        self, potential: Potential, structures: Structures, strain: float = 0.01, count: int = 1
    ):
        instance_of("potential", potential, Potential, "bv.CHGNet()")
        if not potential.conservative:
            raise ValueError(
                f"{type(potential).__name__} has no energy that its forces follow from, and so no "
                "pressure to keep"
            )
        super().__init__(potential, structures, count)
        self.strain = number("strain", strain, above=0, most=LARGEST_STRAIN)
        self.pressures = [self._kept(potential, structure) for structure in self.structures]

    def change(self, potential: Potential, place: int) -> Callable[[], Tensor]:
        """Absolute change of the pressure of one structure, GPa."""

        def change() -> Tensor:
            now = pressure(potential, self.structures[place], self.strain)
            return (now - self.pressures[place]).abs()

        return change

    def work(self, reference: ReferenceRelaxation) -> float:
        """Half of what its atoms say: two cells, but no second derivative."""
        return super().work(reference) / 2

    def _kept(self, potential: Potential, structure: Structures) -> float:
        """The pressure of one structure before, GPa, checked."""
        name = structure.names[0]
        if not bool(structure.pbc.all()):
            raise StructureError("pressure is that of a cell periodic in three directions", 0, name)
        with torch.no_grad():
            found = float(pressure(potential, structure, self.strain))
        if not abs(found) < float("inf"):
            raise StructureError("the potential's pressure on it is not finite", 0, name)
        return found

    def config(self) -> dict[str, Any]:
        """What every rehearsal depends on, and the strain."""
        return {**super().config(), "strain": self.strain}

    def __repr__(self) -> str:
        return (
            f"PressureRehearsal({len(self.structures)} structures, strain={self.strain:g}, "
            f"count={self.count})"
        )


def pressure(potential: Potential, structure: Structures, strain: float = 0.01) -> Tensor:
    """Pressure (a scalar, GPa) of one periodic structure, differentiable in the weights.

    Args:
        potential: with energies.
        structure: a batch of one.
        strain: of lengths, to both sides.
    """
    pair = concatenate([scaled(structure, 1 + strain), scaled(structure, 1 - strain)])
    more, less = potential.energy(pair.to(potential.device))  # eV
    volumes = torch.linalg.det(pair.cell).abs()  # (2,) Å³
    return (less - more) / float(volumes[0] - volumes[1]) / units.GPa
