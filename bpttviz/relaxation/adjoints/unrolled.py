"""Gradients through the steps themselves: all kept, all recomputed, or the last few only."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bpttviz.relaxation.adjoints.base import (
    Backward,
    Driven,
    _detached,
    _require_whole,
    _through,
    record,
)
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.rules import State


@dataclass(frozen=True)
class Full:
    """Keep every step's graph: fastest, and memory grows with K (CHGNet: about 0.2 GB a step)."""

    def drive(self, loop: Loop) -> Driven:
        backward = Backward()
        state = backward.watch(loop.begin())
        for _ in range(loop.stop.steps):
            if loop.finished:
                break
            state = backward.watch(loop.advance(state, 1))
        return Driven(state, backward)


@dataclass(frozen=True)
class Checkpointed:
    """Keep positions only, and recompute each segment of ``every`` steps on the way back.

    The gradient is the same as `Full`'s. Peak memory is that of ``every`` steps plus a few hundred
    bytes an atom and step; time grows by one evaluation a step without graph.

    The first pass needs no second derivatives and is run without any graph. (PyTorch's own
    checkpoint runs it with ``create_graph`` on and, since forces are a derivative taken *inside*
    the segment, recomputes the energy within the forward pass too.)
    """

    every: int = 1

    def __post_init__(self):
        _require_whole("every", self.every)

    def drive(self, loop: Loop) -> Driven:
        start, backward = loop.begin(), Backward()
        path = record(loop, start, loop.stop.steps)
        if not torch.is_grad_enabled():
            return Driven(path[-1], backward)
        return Driven(_through(loop, path, start, self.every, backward), backward)


@dataclass(frozen=True)
class Truncated:
    """The gradient through each structure's last ``last`` steps only.

    Cheaper, and biased: at a quadratic minimum it is the share 1 - (1 - eta λ)^n of the full
    gradient in a mode of curvature λ (the oracle of its tests), so that soft modes hardly learn.
    It never reaches the start.
    """

    last: int = 5

    def __post_init__(self):
        _require_whole("last", self.last)

    def drive(self, loop: Loop) -> Driven:
        start, backward = loop.begin(), Backward()
        path = record(loop, start, loop.stop.steps)
        if not torch.is_grad_enabled():
            return Driven(path[-1], backward)
        # In a batch whose members stop at different steps each has its own last ones.
        cuts = (loop.steps - self.last).clamp(min=0)
        first = int(cuts.min())
        state = start if first == 0 else path[first]
        for before, after in zip(path[first:-1], path[first + 1 :], strict=True):
            cut = (cuts[loop.structures.owner] == before.t) & (before.t > 0)
            state = State(*(_detached(cut, x) for x in state[:2]), state.t)
            state = _through(loop, [before, after], state, 1, backward)
        return Driven(state, backward)
