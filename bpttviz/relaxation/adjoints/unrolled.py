"""Gradients through the steps themselves: all kept, all recomputed, or the last few only."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bpttviz.relaxation.adjoints.base import (
    AdjointResult,
    BackwardRecord,
    _detached,
    _require_whole,
    _through,
    record,
)
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.rules import State


@dataclass(frozen=True)
class FullBPTT:
    """Keep every step's graph: fastest, and memory grows with K (CHGNet: about 0.2 GB a step)."""

    def drive(self, loop: Loop) -> AdjointResult:
        backward = BackwardRecord()
        state = backward.watch(loop.begin())
        for _ in range(loop.stop.max_steps):
            if loop.finished:
                break
            state = backward.watch(loop.advance(state, 1))
        return AdjointResult(state, backward)


@dataclass(frozen=True)
class CheckpointedBPTT:
    """Keep positions only, and recompute each segment of ``segment_length`` steps on the way back.

    The gradient is the same as `FullBPTT`'s. Peak memory is that of ``segment_length`` steps plus a few hundred
    bytes an atom and step; time grows by one evaluation a step without graph.

    The first pass needs no second derivatives and is run without any graph. (PyTorch's own
    checkpoint runs it with ``create_graph`` on and, since forces are a derivative taken *inside*
    the segment, recomputes the energy within the forward pass too.)
    """

    segment_length: int = 1

    def __post_init__(self):
        _require_whole("segment_length", self.segment_length)

    def drive(self, loop: Loop) -> AdjointResult:
        start, backward = loop.begin(), BackwardRecord()
        path = record(loop, start, loop.stop.max_steps)
        if not torch.is_grad_enabled():
            return AdjointResult(path[-1], backward)
        return AdjointResult(_through(loop, path, start, self.segment_length, backward), backward)


@dataclass(frozen=True)
class TruncatedBPTT:
    """The gradient through each structure's last ``steps`` steps only.

    Cheaper, and biased: at a quadratic minimum it is the share 1 - (1 - eta λ)^n of the full
    gradient in a mode of curvature λ (the oracle of its tests), so that soft modes hardly learn.
    It never reaches the start.
    """

    steps: int = 5

    def __post_init__(self):
        _require_whole("steps", self.steps)

    def drive(self, loop: Loop) -> AdjointResult:
        start, backward = loop.begin(), BackwardRecord()
        path = record(loop, start, loop.stop.max_steps)
        if not torch.is_grad_enabled():
            return AdjointResult(path[-1], backward)
        # In a batch whose members stop at different steps each has its own last ones.
        cuts = (loop.steps - self.steps).clamp(min=0)
        first = int(cuts.min())
        state = start if first == 0 else path[first]
        for before, after in zip(path[first:-1], path[first + 1 :], strict=True):
            cut = (cuts[loop.structures.structure_index] == before.t) & (before.t > 0)
            state = State(*(_detached(cut, x) for x in state[:2]), state.t)
            state = _through(loop, [before, after], state, 1, backward)
        return AdjointResult(state, backward)
