"""Through the first few steps, and then at the resting place."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from bpttviz._checks import instance_of, not_negative, whole
from bpttviz.relaxation.adjoints.base import (
    Adjoint,
    AdjointResult,
    BackwardRecord,
    Waypoints,
    differentiable_path,
    record_path,
)
from bpttviz.relaxation.adjoints.implicit import ImplicitAdjoint
from bpttviz.relaxation.loop import Loop


@dataclass(frozen=True)
class GuidedAdjoint(Adjoint):
    """Through the first ``window`` steps, and implicitly at rest: w L(X_n) + L(X*).

    An implicit gradient polishes the basin that a relaxation ends in and cannot leave it; the loss
    on the end of a short unrolled window is what chooses the basin. (Unrolling *into* the fixed
    point instead would change nothing: dX*/dX_n = 0.) With weight 0 this is ``implicit`` alone.

    The two losses are added by whoever takes the loss: see ``waypoints`` of `Relaxation`.

    Args:
        window: n, steps differentiated through time; cut short where the relaxation is shorter.
        weight: w, of the loss at the window's end.
        implicit: how the resting place is differentiated.

    Raises:
        ValueError: a number out of its range.
    """

    window: int = 10
    weight: float = 1.0
    implicit: ImplicitAdjoint = field(default_factory=ImplicitAdjoint)

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", whole("window", self.window))
        object.__setattr__(self, "weight", not_negative("weight", self.weight))
        instance_of("implicit", self.implicit, ImplicitAdjoint, "bv.ImplicitAdjoint()")

    def drive(self, loop: Loop) -> AdjointResult:
        """The window (differentiable), the rest of the steps, and on to rest."""
        start, backward = loop.begin(), BackwardRecord.of(loop)
        path = record_path(loop, start, min(self.window, loop.stop.max_steps))
        waypoints: Waypoints = ()
        if self.weight > 0:
            inside = path[-1]
            if torch.is_grad_enabled():
                inside = differentiable_path(loop, path, start, 1, backward)
            waypoints = ((self.weight, inside.positions),)
        with torch.no_grad():
            state = loop.advance(path[-1], loop.stop.max_steps - path[-1].step)
        return AdjointResult(self.implicit.settle(loop, state, backward), backward, waypoints)
