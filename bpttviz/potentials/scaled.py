"""A potential with all its forces multiplied by one number: the scalar baseline."""

from __future__ import annotations

from bpttviz.potentials.base import Potential, Prediction


class ScaledForces(Potential):
    """``scale`` times the energy and forces of another potential.

    Over gradient descent this equals multiplying the step size, and it moves no minimum. What it
    alone gains after K steps is not due to fine-tuning.

    Args:
        potential: the potential to scale.
        scale: a positive number.
    """

    def __init__(self, potential: Potential, scale: float):
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self.potential, self.scale = potential, float(scale)
        self.conservative = potential.conservative
        self.equivariant = potential.equivariant
        self.net_force_free = potential.net_force_free
        self.exchangeable = potential.exchangeable

    def forward(self, structures):
        energy, forces = self.potential(structures)
        return Prediction(self.scale * energy, self.scale * forces)
