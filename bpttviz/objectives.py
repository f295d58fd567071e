"""Objectives: what fine-tuning minimises. One is anything with ``loss`` and ``rule``."""

from __future__ import annotations

import torch
from torch import Tensor

from bpttviz.adjoints import Backward, Checkpointed
from bpttviz.datasets.relaxation_set import RelaxationSet
from bpttviz.iterate import Stop
from bpttviz.losses import delta_q
from bpttviz.potentials.base import Potential
from bpttviz.relax import relax
from bpttviz.rules import GradientDescent


class Endpoint:
    """The objective of arXiv 2512.01067: only where the relaxation ends counts.

    The start is relaxed for K steps; the loss is ΔQ (amu^½ Å) between its end and the reference's.
    Neither energies nor forces of the reference are used.

    Args:
        rule: the update rule; its learnable step sizes are trained along.
        stop: number of steps, K.
        adjoint: how the gradient goes back; `Checkpointed` by default. `Implicit` and `Guided` take
            the loss at rest; `Guided` adds its weight times the loss at its window's end.

    Attributes:
        backward: the `Backward` record of the latest loss (gradient norm by step, solver reports),
            None before the first.
    """

    def __init__(self, rule=None, stop: Stop | None = None, adjoint=None):
        self.rule = GradientDescent() if rule is None else rule
        self.stop = Stop() if stop is None else stop
        self.adjoint = Checkpointed() if adjoint is None else adjoint
        self.backward: Backward | None = None

    def loss(self, potential: Potential, references: RelaxationSet) -> Tensor:
        """ΔQ (B,) of each structure in amu^½ Å; NaN, without gradient, for one that diverged."""
        device = potential.device
        relaxation = relax(
            potential, references.starts().to(device), self.rule, self.stop, self.adjoint
        )
        self.backward = relaxation.backward
        ends = references.ends().to(device)
        loss = delta_q(relaxation.final, ends)
        for weight, waypoint in relaxation.waypoints:
            loss = loss + weight * delta_q(waypoint, ends)
        lost = torch.zeros(len(loss), dtype=torch.bool, device=device)
        lost[list(relaxation.diverged)] = True
        return torch.where(lost, torch.nan, loss)

    def __repr__(self) -> str:
        return f"Endpoint({self.rule!r}, {self.stop!r}, {self.adjoint!r})"
