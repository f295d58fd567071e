"""Objectives: what fine-tuning minimises. They add up: ``EndpointLoss() + 0.1 * ForceLoss()``."""

from __future__ import annotations

import inspect
import numbers
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpttviz._checks import instance_of, not_negative, positive, whole
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import Adjoint, BackwardRecord
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.relax import Relaxation, relax
from bpttviz.relaxation.rules import GradientDescent, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures
from bpttviz.training.draws import Draw
from bpttviz.training.one_by_one import force_error_of, mean_one_by_one
from bpttviz.training.starts import ReferenceStarts, Starts

SHOWN = 20  # names in a sentence


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
    def loss(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None = None
    ) -> Tensor:
        """One number a structure (B,), differentiable in the potential's weights.

        NaN, without gradient, for a structure that has none to offer.

        Args:
            potential: whose weights are trained.
            references: B relaxations.
            draw: where random numbers come from, of an objective that has any. Training gives one
                for each epoch; None, as in validation: nothing is drawn, the loss is always the
                same. An objective that draws nothing may do without the argument.
        """

    def require(self, references: RelaxationDataset) -> None:  # noqa: B027 (most need nothing)
        """Refuse relaxations without what the loss is taken of; training asks before it begins.

        Raises:
            ValueError: names all that lack it.
        """

    def work(self, reference: ReferenceRelaxation) -> float:
        """About how much work one gradient is: atoms times forces that are differentiated.

        By it structures are dealt to the processes of a training; it need not be exact.
        """
        return float(len(reference.start.numbers))

    def heaviest(self) -> Objective:
        """The same, but of structures of its own it draws the largest: memory is planned by it.

        An objective without any is its own.
        """
        return self

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


def loss_of(
    objective: Objective, potential: Potential, references: RelaxationDataset, draw: Draw | None
) -> Tensor:
    """`Objective.loss`, of one too that knows no ``draw``.

    Raises:
        TypeError, ValueError: it is no tensor of one number a structure.
    """
    if draw is None or "draw" not in inspect.signature(objective.loss).parameters:
        found = objective.loss(potential, references)
    else:
        found = objective.loss(potential, references, draw)
    name = f"what {type(objective).__name__}.loss() returns"
    instance_of(name, found, Tensor, "torch.stack(losses), one number a structure")
    if tuple(found.shape) != (len(references),):
        raise ValueError(
            f"{name} must be of shape ({len(references)},), one number a structure; got "
            f"{tuple(found.shape)}"
        )
    return found


def require_arguments(potential: object, references: object, draw: object = None) -> None:
    """Raise TypeError for arguments of `Objective.loss` that are none."""
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    instance_of("references", references, RelaxationDataset, "bv.read_relaxations(files)")
    if draw is not None:
        instance_of("draw", draw, Draw, "Draw(seed=0, epoch=0)")
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
        starts: where to start from in training; `ReferenceStarts` by default. In validation it is
            the reference's start whatever stands here.
        resolution: q0, amu^½ Å, of the reference's ends. The loss is sqrt(ΔQ² + q0²) - q0: ΔQ
            itself where it is large, and flat below q0, where it would follow the labels' noise
            (the gradient of ΔQ is as large at a small error as at a large one).

    Raises:
        TypeError: an argument of another class.
        ValueError: a negative resolution.
    """

    rule: UpdateRule

    def __init__(
        self,
        rule: UpdateRule | None = None,
        stop: StoppingCriterion | None = None,
        adjoint: Adjoint | None = None,
        starts: Starts | None = None,
        resolution: float = 0.0,
    ):
        rule = GradientDescent() if rule is None else rule
        stop = StoppingCriterion() if stop is None else stop
        adjoint = CheckpointedBPTT() if adjoint is None else adjoint
        starts = ReferenceStarts() if starts is None else starts
        self.rule = instance_of("rule", rule, UpdateRule, "bv.GradientDescent(step_size=0.06)")
        self.stop = instance_of("stop", stop, StoppingCriterion, "bv.StoppingCriterion(20)")
        self.adjoint = instance_of("adjoint", adjoint, Adjoint, "bv.CheckpointedBPTT()")
        self.starts = instance_of("starts", starts, Starts, "bv.AroundEnd()")
        self.resolution = not_negative("resolution", resolution)

    def loss(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None = None
    ) -> Tensor:
        """ΔQ (B,) of each structure in amu^½ Å; NaN, without gradient, for one that diverged."""
        require_arguments(potential, references, draw)
        device = potential.device
        starts = self.starts.batch(potential, references, draw).to(device)
        relaxation = relax(potential, starts, self.rule, self.stop, self.adjoint)
        self.backward = relaxation.backward
        ends = references.ends().to(device)
        loss = self._along(relaxation, ends, potential.places_matter)
        lost = torch.zeros(len(loss), dtype=torch.bool, device=device)
        lost[list(relaxation.diverged)] = True
        return torch.where(lost, torch.nan, loss)

    def work(self, reference: ReferenceRelaxation) -> float:
        """Atoms times steps."""
        return super().work(reference) * self.stop.max_steps

    def _along(self, relaxation: Relaxation, ends: Structures, places_matter: bool) -> Tensor:
        """The loss (B,) of the end and of what waypoints the adjoint left."""
        loss = beyond_resolution(delta_q(relaxation.final, ends, places_matter), self.resolution)
        for weight, waypoint in relaxation.waypoints:
            distance = delta_q(waypoint, ends, places_matter)
            loss = loss + weight * beyond_resolution(distance, self.resolution)
        return loss

    def config(self) -> dict[str, Any]:
        """Rule, stopping criterion and adjoint; starts and resolution where there are any."""
        parts: dict[str, Any] = {"rule": self.rule, "stop": self.stop, "adjoint": self.adjoint}
        if self.starts != ReferenceStarts():
            parts["starts"] = self.starts
        if self.resolution > 0:
            parts["resolution"] = self.resolution
        return parts

    def __repr__(self) -> str:
        rule, stop, adjoint, *others = self.config().items()
        parts = [repr(value) for _, value in (rule, stop, adjoint)]
        parts += [f"{name}={value!r}" for name, value in others]
        return f"{type(self).__name__}({', '.join(parts)})"


def beyond_resolution(distance: Tensor, resolution: float) -> Tensor:
    """sqrt(d² + q0²) - q0 of distances, zero or more; the distances themselves where q0 is 0."""
    if resolution == 0:
        return distance
    return (distance**2 + resolution**2).sqrt() - resolution


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
        ValueError: (from `loss`, and when a training begins) references come without frames.

    Warns, in `loss`, where the potential cannot evaluate a structure, which is left out.
    """

    def __init__(self, frames: int = 20):
        self.frames = whole("frames", frames)

    def places(self, reference: ReferenceRelaxation) -> list[int]:
        """Which frames of one reference the loss is taken over."""
        available = 0 if reference.trajectory is None else len(reference.trajectory)
        places = np.linspace(0, available - 1, min(self.frames, available)).round()
        return places.astype(int).tolist()

    def loss(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None = None
    ) -> Tensor:
        """Force error (B,) of each structure, eV/Å; NaN, without gradient, where there is none."""
        require_arguments(potential, references, draw)
        self.require(references)
        return torch.stack([self._of_one(potential, reference) for reference in references])

    def require(self, references: RelaxationDataset) -> None:
        """Raise ValueError where references come without frames."""
        without = [reference.name for reference in references if reference.trajectory is None]
        if not without:
            return
        shown = ", ".join(without[:SHOWN]) + (", ..." if len(without) > SHOWN else "")
        have = "has" if len(without) == 1 else f"({len(without)} of {len(references)}) have"
        raise ValueError(
            f"{shown} {have} no frames with forces, and ForceLoss() learns from nothing else: read "
            "whole trajectories (read_relaxations), leave these out, or use EndpointLoss(), which "
            "needs the two ends only"
        )

    def _of_one(self, potential: Potential, reference: ReferenceRelaxation) -> Tensor:
        nothing = torch.full((), torch.nan, dtype=torch.float64, device=potential.device)
        if reference.start.fixed.all():
            return nothing
        errors = [
            force_error_of(potential, *reference.frames([place]))
            for place in self.places(reference)
        ]
        try:
            return mean_one_by_one(potential, errors)
        except StructureError as error:
            warnings.warn(f"{error}; {reference.name} is left out of the loss", stacklevel=3)
            return nothing

    def work(self, reference: ReferenceRelaxation) -> float:
        """Atoms times frames."""
        return super().work(reference) * len(self.places(reference))

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
            rules of which more than one is learnable.
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
        learnable = [r for r in rules.values() if any(p.requires_grad for p in r.parameters())]
        if len(learnable) > 1:
            raise ValueError(
                "the terms of a sum have different rules with learnable step sizes; make one and "
                "give it to all, so that its step sizes are trained once"
            )
        self.rule = next(iter([*learnable, *rules.values()]), None)

    def heaviest(self) -> WeightedSum:
        """All terms so."""
        return WeightedSum([(weight, term.heaviest()) for weight, term in self.terms])

    @property
    def backward(self) -> BackwardRecord | None:  # type: ignore[override]  # the terms hold it
        """That of the first term which has one."""
        records = (objective.backward for _, objective in self.terms)
        return next((record for record in records if record is not None), None)

    def loss(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None = None
    ) -> Tensor:
        """The weighted sum (B,) of the terms' losses."""
        losses = [
            weight * loss_of(term, potential, references, draw) for weight, term in self.terms
        ]
        return torch.stack(losses).sum(0)

    def require(self, references: RelaxationDataset) -> None:
        """Raise ValueError where a term does."""
        for _, term in self.terms:
            term.require(references)

    def work(self, reference: ReferenceRelaxation) -> float:
        """That of the terms together."""
        return sum(term.work(reference) for _, term in self.terms)

    def config(self) -> dict[str, Any]:
        """Weights and terms."""
        return {"terms": self.terms}

    def __repr__(self) -> str:
        return " + ".join(
            repr(term) if weight == 1 else f"{weight:g} * {term!r}" for weight, term in self.terms
        )
