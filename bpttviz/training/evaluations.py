"""How many force evaluations a gradient takes: what methods are compared by."""

from __future__ import annotations

import torch

from bpttviz._checks import instance_of
from bpttviz._tensor_checks import gradients_enabled
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.training.objectives import Objective, require_arguments


@gradients_enabled()
def count_evaluations(
    objective: Objective, potential: Potential, references: RelaxationDataset
) -> int:
    """How many force evaluations are differentiated for one gradient of the references' losses.

    Counted, not declared: gradients are taken, one structure at a time, and thrown away. This is
    the currency in which methods are compared: K for a gradient through K steps, one for each frame
    of `ForceLoss`. Evaluations without a graph (the first pass of `CheckpointedBPTT`) do not count,
    nor do the products that an implicit gradient solves its equations with.

    Raises:
        TypeError: an objective, a potential or relaxations that are none.
        ValueError: no relaxations.
    """
    instance_of("objective", objective, Objective, "bv.EndpointLoss()")
    require_arguments(potential, references)
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += torch.is_grad_enabled()

    weights = [p for p in potential.parameters() if p.requires_grad]
    handle = potential.register_forward_pre_hook(note)
    try:
        for index in range(len(references)):
            loss = objective.loss(potential, references[[index]]).sum()
            if loss.requires_grad:
                torch.autograd.grad(loss, weights, allow_unused=True)
    finally:
        handle.remove()
    return count
