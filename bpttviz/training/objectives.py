"""Objectives: what fine-tuning minimises. They add up: ``EndpointLoss() + 0.1 * ForceLoss()``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import BackwardRecord
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures


class Objective:
    """Base of all objectives: define `loss`; sums and multiples come with it.

    Attributes:
        rule: the update rule whose learnable step sizes are trained along; None: there is none.
        backward: the `BackwardRecord` record of the latest loss that went through a relaxation
            (gradient norm by step, solver reports); None before the first.
    """

    rule = None
    backward: BackwardRecord | None = None

    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
        """One number a structure (B,), differentiable in the potential's weights.

        NaN, without gradient, for a structure that has none to offer.
        """
        raise TypeError(f"{type(self).__name__} defines no loss()")

    def __add__(self, other: Objective) -> WeightedSum:
        return (
            WeightedSum([(1.0, self), (1.0, other)])
            if isinstance(other, Objective)
            else NotImplemented
        )

    def __mul__(self, weight: float) -> WeightedSum:
        return WeightedSum([(weight, self)]) if isinstance(weight, (int, float)) else NotImplemented

    __rmul__ = __mul__


class EndpointLoss(Objective):
    """The objective of arXiv 2512.01067: only where the relaxation ends counts.

    The start is relaxed for K steps; the loss is ΔQ (amu^½ Å) between its end and the reference's.
    Neither energies nor forces of the reference are used.

    Args:
        rule: the update rule; its learnable step sizes are trained along.
        stop: number of steps, K.
        adjoint: how the gradient goes back; `CheckpointedBPTT` by default. `ImplicitAdjoint` and `GuidedAdjoint` take
            the loss at rest; `GuidedAdjoint` adds its weight times the loss at its window's end.
    """

    def __init__(self, rule=None, stop: StoppingCriterion | None = None, adjoint=None):
        self.rule = GradientDescent() if rule is None else rule
        self.stop = StoppingCriterion() if stop is None else stop
        self.adjoint = CheckpointedBPTT() if adjoint is None else adjoint

    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
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
        return f"EndpointLoss({self.rule!r}, {self.stop!r}, {self.adjoint!r})"


class ForceLoss(Objective):
    """Ordinary force matching: the mean absolute force error on the frames of the references.

    The loss is that of the Open Catalyst Project's baselines (Chanussot et al., ACS Catal. 11,
    6059, 2021) and the very figure that `evaluate` reports, in eV/Å: the absolute error of a force
    component, averaged over atoms, directions and frames. Energies are not used.

    Each frame's graph is freed before the next one is built, so memory is that of a single frame.

    Args:
        frames: how many frames of each trajectory to use, at even distances from the first to the
            last, always the same ones; all where there are fewer. One costs as much as one step of
            `EndpointLoss`: a force evaluation that is differentiated twice.

    Raises:
        ValueError: (from `loss`) a reference comes without frames.
    """

    def __init__(self, frames: int = 20):
        if int(frames) != frames or frames < 1:
            raise ValueError(f"frames must be a whole number of at least 1, got {frames}")
        self.frames = int(frames)

    def places(self, reference: ReferenceRelaxation) -> list[int]:
        """Which frames of one reference the loss is taken over."""
        available = 0 if reference.trajectory is None else len(reference.trajectory)
        places = np.linspace(0, available - 1, min(self.frames, available)).round()
        return places.astype(int).tolist()

    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
        """Force error (B,) of each structure, eV/Å."""
        for reference in references:
            if reference.trajectory is None:
                raise ValueError(
                    f"{reference.name} has no frames with energies and forces, and ForceLoss() "
                    "learns from nothing else: read its whole trajectory (read_relaxations), leave "
                    "it out, or use EndpointLoss(), which needs the two ends only"
                )
        weights = [p for p in potential.parameters() if p.requires_grad]
        losses = []
        for reference in references:
            errors = [
                _force_error_of(potential, *reference.frames([place]))
                for place in self.places(reference)
            ]
            losses.append(_OneByOne.apply(torch.is_grad_enabled(), errors, *weights))
        return torch.stack(losses)

    def __repr__(self) -> str:
        return f"ForceLoss(frames={self.frames})"


class WeightedSum(Objective):
    """A weighted sum of objectives, as ``EndpointLoss(rule, stop) + 0.1 * ForceLoss()`` makes it.

    Mind the units: ΔQ is in amu^½ Å, the force error in eV/Å, so a weight is amu^½ Å per eV/Å.

    Args:
        terms: (weight, objective) pairs; a sum among them is taken apart.

    Raises:
        ValueError: no term, a weight that is not positive and finite, or terms with different
            rules.
    """

    def __init__(self, terms: Sequence[tuple[float, Objective]]):
        for weight, objective in terms:
            if not (weight > 0 and math.isfinite(weight)):
                raise ValueError(
                    f"the weight of {objective!r} must be positive, got {weight}; leave a term out "
                    "that is not to count"
                )
        self.terms = tuple(
            (float(outer * inner), objective)
            for outer, term in terms
            for inner, objective in (term.terms if isinstance(term, WeightedSum) else [(1.0, term)])
        )
        if not self.terms:
            raise ValueError("a sum needs at least one objective")
        rules = {id(o.rule): o.rule for _, o in self.terms if o.rule is not None}
        if len(rules) > 1:
            raise ValueError(
                "the terms of a sum have different rules; make one and give it to all, so that "
                "its step sizes are trained once"
            )
        self.rule = next(iter(rules.values()), None)

    @property
    def backward(self) -> BackwardRecord | None:
        """That of the first term which has one."""
        records = (objective.backward for _, objective in self.terms)
        return next((record for record in records if record is not None), None)

    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
        """The weighted sum (B,) of the terms' losses."""
        return sum(weight * term.loss(potential, references) for weight, term in self.terms)

    def __repr__(self) -> str:
        return " + ".join(
            repr(term) if weight == 1 else f"{weight:g} * {term!r}" for weight, term in self.terms
        )


def count_evaluations(
    objective: Objective, potential: Potential, references: RelaxationDataset
) -> int:
    """How many force evaluations are differentiated for one gradient of the references' losses.

    Counted, not declared: gradients are taken, one structure at a time, and thrown away. This is
    the currency in which methods are compared: K for a gradient through K steps, one for each frame
    of `ForceLoss`. Evaluations without a graph (the first pass of `CheckpointedBPTT`) do not count, nor do
    the products that an implicit gradient solves its equations with.
    """
    count = 0

    def note(*_):
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


def _force_error_of(
    potential: Potential, frame: Structures, reference: Tensor
) -> Callable[[], Tensor]:
    """The force error of one frame (a scalar, eV/Å), to be evaluated when it is called.

    Forces on held atoms are left out: files often have zeros there in place of labels.
    """

    def evaluate() -> Tensor:
        structure = frame.to(potential.device)
        predicted = potential(structure).forces
        free = ~structure.fixed
        if not free.any():
            return 0 * predicted.sum()
        off = predicted[free] - reference.to(predicted)[free]
        return off.abs().mean()

    return evaluate


class _OneByOne(torch.autograd.Function):
    """The mean of several losses; each one's gradient is taken, and its graph freed, at once."""

    @staticmethod
    def forward(ctx, wanted, losses, *parameters):
        values, ctx.gradients = [], [None] * len(parameters)
        for loss in losses:
            with torch.set_grad_enabled(wanted):
                value = loss()
                found = ()
                if wanted and value.requires_grad:
                    found = torch.autograd.grad(value, parameters, allow_unused=True)
            values.append(value.detach())
            for index, gradient in enumerate(found):
                if gradient is not None:
                    so_far = ctx.gradients[index]
                    share = gradient / len(losses)
                    ctx.gradients[index] = share if so_far is None else so_far + share
        return torch.stack(values).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, incoming):
        return None, None, *(None if g is None else incoming * g for g in ctx.gradients)
