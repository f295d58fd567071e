"""Gradients through the steps themselves: all kept or recomputed, the last few, each by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from bpttviz._checks import whole
from bpttviz.relaxation.adjoints.base import (
    Adjoint,
    AdjointResult,
    BackwardRecord,
    differentiable_path,
    record_path,
)
from bpttviz.relaxation.loop import Loop


@dataclass(frozen=True)
class FullBPTT(Adjoint):
    """Keep every step's graph: fastest, and memory grows with K (CHGNet: about 0.2 GB a step)."""

    def drive(self, loop: Loop) -> AdjointResult:
        """Every step with its graph."""
        backward = BackwardRecord.of(loop)
        state = backward.attach_hook(loop.begin())
        for _ in range(loop.stop.max_steps):
            if loop.finished:
                break
            state = backward.attach_hook(loop.advance(state, 1))
        return AdjointResult(state, backward)


@dataclass(frozen=True)
class CheckpointedBPTT(Adjoint):
    """Keep positions only, and recompute each segment of ``segment_length`` steps on the way back.

    The gradient is the same as `FullBPTT`'s. Peak memory is that of ``segment_length`` steps plus a
    few hundred bytes an atom and step; time grows by one evaluation a step without graph.

    The first pass needs no second derivatives and is run without any graph. (PyTorch's own
    checkpoint runs it with ``create_graph`` on and, since forces are a derivative taken *inside*
    the segment, recomputes the energy within the forward pass too.)

    Longer segments cost memory and save no time. What saves time is not to recompute: the last
    ``kept_steps`` of the K keep their graphs, as in `FullBPTT`, and each spares an evaluation.
    (`TrainingConfig`'s ``memory`` finds out how many a machine can hold.)

    Args:
        segment_length: steps that are recomputed together.
        kept_steps: how many of the last steps are not recomputed.

    Raises:
        ValueError: ``segment_length`` below 1, ``kept_steps`` below 0, or not whole.
    """

    segment_length: int = 1
    kept_steps: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment_length", whole("segment_length", self.segment_length))
        object.__setattr__(self, "kept_steps", whole("kept_steps", self.kept_steps, least=0))

    def config(self) -> dict[str, int]:
        """The constructor's arguments; ``kept_steps`` where there are any."""
        kept = {"kept_steps": self.kept_steps} if self.kept_steps else {}
        return {"segment_length": self.segment_length, **kept}

    def drive(self, loop: Loop) -> AdjointResult:
        """The path without a graph, then in segments that are replayed; the last steps once."""
        start, backward = loop.begin(), BackwardRecord.of(loop)
        steps = loop.stop.max_steps
        path = record_path(loop, start, max(0, steps - self.kept_steps))
        if not torch.is_grad_enabled():
            return AdjointResult(loop.advance(path[-1], steps - path[-1].step), backward)
        state = differentiable_path(loop, path, start, self.segment_length, backward)
        for _ in range(steps - path[-1].step):
            if loop.finished:
                break
            state = backward.attach_hook(loop.advance(state, 1))
        return AdjointResult(state, backward)


@dataclass(frozen=True)
class TruncatedBPTT(Adjoint):
    """The gradient through each structure's last ``steps`` steps only.

    Cheaper, and biased: at a quadratic minimum it is the share 1 - (1 - eta λ)^n of the full
    gradient in a mode of curvature λ (the oracle of its tests), so that soft modes hardly learn.
    It never reaches the start.

    Raises:
        ValueError: ``steps`` below 1 or not whole.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole("steps", self.steps))

    def drive(self, loop: Loop) -> AdjointResult:
        """The whole path without a graph, then its last steps with one, cut per structure."""
        start, backward = loop.begin(), BackwardRecord.of(loop)
        path = record_path(loop, start, loop.stop.max_steps)
        if not torch.is_grad_enabled():
            return AdjointResult(path[-1], backward)
        # In a batch whose members stop at different steps each has its own last ones.
        cuts = (loop.steps - self.steps).clamp(min=0)
        first = int(cuts.min())
        state = start if first == 0 else path[first]
        for before, after in zip(path[first:-1], path[first + 1 :], strict=True):
            if before.step > 0:
                state = state.detached(cuts == before.step)
            state = differentiable_path(loop, [before, after], state, 1, backward)
        return AdjointResult(state, backward)


@dataclass(frozen=True)
class DetachedBPTT(Adjoint):
    """Every step's own part of the gradient, and nothing of how steps act on later ones.

    The forces along the path are learned from where the relaxation leads, as if each step moved the
    end by what it moves the atoms: dX_K/dX_t is taken for the identity. It costs what
    `CheckpointedBPTT` costs, and is there to be compared with: what they differ by is what the
    gradient through *time* buys. At a quadratic minimum a mode of curvature λ gets K eta λ where
    the full gradient has 1 - (1 - eta λ)^K. (P. List et al., arXiv 2402.12971, find unrolling
    without temporal gradients close to the full one in physics.)
    """

    def drive(self, loop: Loop) -> AdjointResult:
        """The whole path without a graph, then each step from a place that has none."""
        state, backward = loop.begin(), BackwardRecord.of(loop)
        path = record_path(loop, state, loop.stop.max_steps)
        if not torch.is_grad_enabled():
            return AdjointResult(path[-1], backward)
        for before, after in pairwise(path):
            alone = differentiable_path(loop, [before, after], before, 1, backward)
            # The places of this step, with the gradient of all that came before it.
            earlier = state.positions - state.positions.detach()
            state = replace(alone, positions=alone.positions + earlier)
        return AdjointResult(state, backward)
