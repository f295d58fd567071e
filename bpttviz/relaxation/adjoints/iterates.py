"""Through every step, with a place for a loss after each of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from bpttviz._checks import not_negative
from bpttviz.relaxation.adjoints.base import (
    Adjoint,
    AdjointResult,
    BackwardRecord,
    differentiable_path,
    record_path,
)
from bpttviz.relaxation.loop import Loop


@dataclass(frozen=True)
class IterateAdjoint(Adjoint):
    """`CheckpointedBPTT` whose waypoints are all iterates X_1 ... X_K-1, with rising weights.

    The end counts once and iterate t (t/K)^rise times, K being the steps that were made. One
    backward pass collects all of it: the gradient at X_t is that of its own loss and what comes
    back from later ones.

    Args:
        rise: 0 for equal weights; the larger, the more the last iterates count.

    Raises:
        TypeError, ValueError: no number, or a negative one.
    """

    rise: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rise", not_negative("rise", self.rise))

    def drive(self, loop: Loop) -> AdjointResult:
        """The whole path without a graph, then step by step in segments that replay themselves."""
        state, backward = loop.begin(), BackwardRecord.of(loop)
        path = record_path(loop, state, loop.stop.max_steps)
        waypoints: list[tuple[float, Tensor]] = []
        for before, after in pairwise(path):
            if torch.is_grad_enabled():
                state = differentiable_path(loop, [before, after], state, 1, backward)
            else:
                state = after
            share = (after.step - path[0].step) / (len(path) - 1)
            waypoints.append((share**self.rise, state.positions))
        return AdjointResult(state, backward, tuple(waypoints[:-1]))
