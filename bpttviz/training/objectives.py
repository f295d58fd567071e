"""Objectives: what fine-tuning minimises. They add up: ``EndpointLoss() + 0.1 * ForceLoss()``."""

from __future__ import annotations

import numbers
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bpttviz._checks import instance_of, positive, whole
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import Adjoint, BackwardRecord
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import GradientDescent, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures


class Objective(ABC):
    """Base of all objectives: define `loss` and `config`; sums and multiples come with it.

    To write one, derive from this class::

        class LargestDisplacement(bv.Objective):
            def __init__(self, rule, stop):
                self.rule, self.stop = rule, stop

            def loss(self, potential, references):
                end = bv.relax(potential, references.starts(), self.rule, self.stop).final
                ...  # (B,), differentiable in the potential's weights

            def config(self):
                return {"rule": self.rule, "stop": self.stop}

    Attributes:
        rule: the update rule whose learnable step sizes are trained along; None: there is none.
        backward: the record of the latest loss that went through a relaxation (gradient norm by
            step, solver reports); None before the first.
    """

    rule: UpdateRule | None = None
    backward: BackwardRecord | None = None

    __array_ufunc__ = None  # NumPy's numbers leave the multiplication to us

    @abstractmethod
    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
        """One number a structure (B,), differentiable in the potential's weights.

        NaN, without gradient, for a structure that has none to offer.

        Args:
            potential: whose weights are trained.
            references: B relaxations.
        """

    def config(self) -> dict[str, Any]:
        """The constructor's arguments: numbers, and parts that `specification` describes in turn.

        A run is resumed only with an objective of the same `bpttviz.provenance.specification`.

        Raises:
            NotImplementedError: this class does not say; its attributes are looked at instead.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no config()")

    def __add__(self, other: Objective) -> WeightedSum:
        if not isinstance(other, Objective):
            return NotImplemented
        return WeightedSum([(1.0, self), (1.0, other)])

    def __mul__(self, weight: float) -> WeightedSum:
        if not isinstance(weight, numbers.Real):
            return NotImplemented
        return WeightedSum([(float(weight), self)])

    __rmul__ = __mul__


def _require(potential: object, references: object) -> None:
    """Raise TypeError for arguments of `Objective.loss` that are none."""
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    instance_of("references", references, RelaxationDataset, "bv.read_relaxations(files)")
    if not references:
        raise ValueError("there are no relaxations to take a loss of")


class EndpointLoss(Objective):
    """The objective of arXiv 2512.01067: only where the relaxation ends counts.

    The start is relaxed for K steps; the loss is ΔQ (amu^½ Å) between its end and the reference's.
    Neither energies nor forces of the reference are used.

    Args:
        rule: the update rule; its learnable step sizes are trained along. `GradientDescent` by
            default.
        stop: number of steps, K. `StoppingCriterion` by default (20 steps).
        adjoint: how the gradient goes back; `CheckpointedBPTT` by default. `ImplicitAdjoint` and
            `GuidedAdjoint` take the loss at rest; `GuidedAdjoint` adds its weight times the loss at
            its window's end.

    Raises:
        TypeError: an argument of another class.
    """

    rule: UpdateRule

    def __init__(
        self,
        rule: UpdateRule | None = None,
        stop: StoppingCriterion | None = None,
        adjoint: Adjoint | None = None,
    ):
        rule = GradientDescent() if rule is None else rule
        stop = StoppingCriterion() if stop is None else stop
        adjoint = CheckpointedBPTT() if adjoint is None else adjoint
        self.rule = instance_of("rule", rule, UpdateRule, "bv.GradientDescent(step_size=0.04)")
        self.stop = instance_of("stop", stop, StoppingCriterion, "bv.StoppingCriterion(20)")
        self.adjoint = instance_of("adjoint", adjoint, Adjoint, "bv.CheckpointedBPTT()")

    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
        """ΔQ (B,) of each structure in amu^½ Å; NaN, without gradient, for one that diverged."""
        _require(potential, references)
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

    def config(self) -> dict[str, Any]:
        """Rule, stopping criterion and adjoint."""
        return {"rule": self.rule, "stop": self.stop, "adjoint": self.adjoint}

    def __repr__(self) -> str:
        return f"EndpointLoss({self.rule!r}, {self.stop!r}, {self.adjoint!r})"


class ForceLoss(Objective):
    """Ordinary force matching: the mean absolute force error on the frames of the references.

    The loss is that of the Open Catalyst Project's baselines (Chanussot et al., ACS Catal. 11,
    6059, 2021) and the very figure that `evaluate` reports, in eV/Å: the absolute error of a force
    component, averaged over free atoms, directions and frames. Energies are not used, nor forces on
    held atoms: what files say of those is no label (zeros, often).

    Each frame's graph is freed before the next one is built, so memory is that of a single frame.

    Args:
        frames: how many frames of each trajectory to use, at even distances from the first to the
            last, always the same ones; all where there are fewer. One costs as much as one step of
            `EndpointLoss`: a force evaluation that is differentiated twice.

    Raises:
        TypeError, ValueError: ``frames`` is no whole number of at least 1.
        ValueError: (from `loss`) a reference comes without frames.

    Warns, in `loss`, where the potential cannot evaluate a structure, which is left out.
    """

    def __init__(self, frames: int = 20):
        self.frames = whole("frames", frames)

    def places(self, reference: ReferenceRelaxation) -> list[int]:
        """Which frames of one reference the loss is taken over."""
        available = 0 if reference.trajectory is None else len(reference.trajectory)
        places = np.linspace(0, available - 1, min(self.frames, available)).round()
        return places.astype(int).tolist()

    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
        """Force error (B,) of each structure, eV/Å; NaN, without gradient, where there is none."""
        _require(potential, references)
        for reference in references:
            if reference.trajectory is None:
                raise ValueError(
                    f"{reference.name} has no frames with forces, and ForceLoss() learns from "
                    "nothing else: read its whole trajectory (read_relaxations), leave it out, or "
                    "use EndpointLoss(), which needs the two ends only"
                )
        return torch.stack([self._of_one(potential, reference) for reference in references])

    def _of_one(self, potential: Potential, reference: ReferenceRelaxation) -> Tensor:
        nothing = torch.full((), torch.nan, dtype=torch.float64, device=potential.device)
        if reference.start.fixed.all():
            return nothing
        weights = [p for p in potential.parameters() if p.requires_grad]
        errors = [
            _force_error_of(potential, *reference.frames([place]))
            for place in self.places(reference)
        ]
        try:
            return _OneByOne.apply(torch.is_grad_enabled(), errors, *weights)
        except StructureError as error:
            warnings.warn(f"{error}; {reference.name} is left out of the loss", stacklevel=3)
            return nothing

    def config(self) -> dict[str, Any]:
        """How many frames."""
        return {"frames": self.frames}

    def __repr__(self) -> str:
        return f"ForceLoss(frames={self.frames})"


class WeightedSum(Objective):
    """A weighted sum of objectives, as ``EndpointLoss(rule, stop) + 0.1 * ForceLoss()`` makes it.

    Mind the units: ΔQ is in amu^½ Å, the force error in eV/Å, so a weight is amu^½ Å per eV/Å.

    Args:
        terms: (weight, objective) pairs; a sum among them is taken apart.

    Raises:
        TypeError: a term that is no objective.
        ValueError: no term, a weight that is not positive and finite, or terms with different
            rules.
    """

    terms: tuple[tuple[float, Objective], ...]

    def __init__(self, terms: Iterable[tuple[float, Objective]]):
        taken_apart: list[tuple[float, Objective]] = []
        for weight, objective in terms:
            instance_of("a term of a sum", objective, Objective, "bv.ForceLoss()")
            outer = positive(
                f"the weight of {objective!r} (leave out what is not to count)", weight
            )
            inside = objective.terms if isinstance(objective, WeightedSum) else [(1.0, objective)]
            taken_apart.extend((outer * inner, term) for inner, term in inside)
        self.terms = tuple(taken_apart)
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
    def backward(self) -> BackwardRecord | None:  # type: ignore[override]  # the terms hold it
        """That of the first term which has one."""
        records = (objective.backward for _, objective in self.terms)
        return next((record for record in records if record is not None), None)

    def loss(self, potential: Potential, references: RelaxationDataset) -> Tensor:
        """The weighted sum (B,) of the terms' losses."""
        losses = [weight * term.loss(potential, references) for weight, term in self.terms]
        return torch.stack(losses).sum(0)

    def config(self) -> dict[str, Any]:
        """Weights and terms."""
        return {"terms": self.terms}

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
    of `ForceLoss`. Evaluations without a graph (the first pass of `CheckpointedBPTT`) do not count,
    nor do the products that an implicit gradient solves its equations with.

    Raises:
        TypeError: an objective, a potential or relaxations that are none.
        ValueError: no relaxations.
    """
    instance_of("objective", objective, Objective, "bv.EndpointLoss()")
    _require(potential, references)
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


def _force_error_of(
    potential: Potential, frame: Structures, reference: Tensor
) -> Callable[[], Tensor]:
    """The force error of one frame (a scalar, eV/Å), to be evaluated when it is called.

    Args:
        potential: what predicts.
        frame: a batch of one with N atoms, some of them free.
        reference: (N, 3) eV/Å.
    """

    def evaluate() -> Tensor:
        structure = frame.to(potential.device)
        predicted = potential(structure).forces
        free = ~structure.fixed
        return (predicted[free] - reference.to(predicted)[free]).abs().mean()

    return evaluate


class _OneByOne(torch.autograd.Function):
    """The mean of several losses; each one's gradient is taken, and its graph freed, at once."""

    @staticmethod
    def forward(
        ctx: Any, wanted: bool, losses: Sequence[Callable[[], Tensor]], *parameters: Tensor
    ) -> Tensor:
        values: list[Tensor] = []
        ctx.gradients = [None] * len(parameters)
        for loss in losses:
            with torch.set_grad_enabled(wanted):
                value = loss()
                found: tuple[Tensor | None, ...] = ()
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
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(None if g is None else incoming * g for g in ctx.gradients)
