"""A potential with all its forces multiplied by one number: the scalar baseline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bpttviz._checks import instance_of, positive
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.structures import Structures


class ScaledForces(Potential):
    """``scale`` times the energy and forces of another potential.

    Over gradient descent this equals multiplying the step size, and it moves no minimum. What it
    alone gains after K steps is not due to fine-tuning.

    Args:
        potential: the potential to scale.
        scale: a positive number.

    Raises:
        TypeError: something else than a potential and a number.
        ValueError: a scale that is not positive and finite.
    """

    def __init__(self, potential: Potential, scale: float):
        super().__init__()
        self.potential = instance_of("potential", potential, Potential, "bv.CHGNet()")
        self.scale = positive("scale", scale)
        self.conservative = potential.conservative
        self.equivariant = potential.equivariant
        self.net_force_free = potential.net_force_free
        self.exchangeable = potential.exchangeable
        self.partial_pbc = potential.partial_pbc

    @property
    def dtype(self) -> torch.dtype:
        """What the potential that is scaled computes in."""
        return self.potential.dtype

    @property
    def device(self) -> torch.device:
        """Where the potential that is scaled lives."""
        return self.potential.device

    @property
    def places_matter(self) -> bool:
        """Whether the potential that is scaled knows absolute places."""
        return self.potential.places_matter

    @property
    def known_elements(self) -> tuple[int, ...] | None:
        """Those of the potential that is scaled."""
        return self.potential.known_elements

    def config(self) -> dict[str, Any]:
        """The potential itself, which is described in turn, and the scale."""
        return {"potential": self.potential, "scale": self.scale}

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV, times the scale; raises as that of the potential."""
        return self.scale * self.potential.energy(structures)

    def forward(self, structures: Structures) -> Prediction:
        """Energy (B,) eV and forces (N, 3) eV/Å, times the scale."""
        energy, forces = self.potential(structures)
        return Prediction(self.scale * energy, self.scale * forces)
