"""How the gradient goes back through a relaxation.

An adjoint drives a `Loop`: it decides which steps keep their graph and what happens in the backward
pass.

- `FullBPTT`, `CheckpointedBPTT`: through every step, exactly.
- `TruncatedBPTT`: through the last few steps.
- `DetachedBPTT`: through every step by itself, not from one to the next.
- `ImplicitAdjoint`: at the resting place itself, through no step at all.
- `GuidedAdjoint`: through the first few steps, and then at the resting place.

The first four do not change where a relaxation goes; the last two carry it on to rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bpttviz.relaxation.linear_solvers import Solution
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.state import State

Waypoints = tuple[tuple[float, Tensor], ...]


class Adjoint(ABC):
    """Base of all adjoints: how the gradient goes back through a relaxation.

    An adjoint drives a `Loop`, which knows of none: it makes the steps, keeping whatever graph it
    wants, and returns the last state. Steps that have been made can be replayed (`Loop.advance`
    from an earlier state), and a recorded path can be made differentiable afterwards
    (`record_path`, `differentiable_path`).

    To write one, derive from this class::

        class LastHalf(bv.Adjoint):
            def drive(self, loop):
                backward = BackwardRecord.of(loop)
                with torch.no_grad():
                    state = loop.advance(loop.begin(), loop.stop.max_steps // 2)
                while not loop.finished and state.step < loop.stop.max_steps:
                    state = backward.attach_hook(loop.advance(state, 1))
                return AdjointResult(state, backward)

    with ``from bpttviz.relaxation.adjoints.base import AdjointResult, BackwardRecord``. Under
    ``torch.no_grad()`` no graph may be built.
    """

    @abstractmethod
    def drive(self, loop: Loop) -> AdjointResult:
        """Take the loop from its beginning to its end.

        Args:
            loop: not begun yet; ``loop.stop.max_steps`` steps are wanted, fewer once
                ``loop.finished``.
        """


@dataclass(eq=False)
class BackwardRecord:
    """What a backward pass left behind; empty until there has been one.

    Attributes:
        sensitivity: step t → norm of dL/dX_t over the batch, where the gradient passed through
            (L in amu^½ Å makes this amu^½).
        solutions: what the linear solver of an implicit gradient reports.
        free: (N,) bool, the atoms that may move: only they count in ``sensitivity``, as held ones
            are no variables of the map. None: all.
    """

    solutions: list[Solution] = field(default_factory=list)
    free: Tensor | None = None
    _norms: dict[int, Tensor] = field(default_factory=dict)

    @property
    def sensitivity(self) -> dict[int, float]:
        """Read from the device when it is asked for, not at every step."""
        found = torch.stack([*self._norms.values()]).tolist() if self._norms else []
        return dict(zip(self._norms, found, strict=True))

    @classmethod
    def of(cls, loop: Loop) -> BackwardRecord:
        """An empty one for this loop's atoms."""
        return cls(free=~loop.structures.fixed)

    def attach_hook(self, state: State) -> State:
        """The same state; the gradient that comes back to its positions will be noted."""
        if not state.positions.requires_grad:
            return state

        def note(gradient: Tensor) -> None:
            free = gradient if self.free is None else gradient[self.free]
            self._norms[state.step] = free.detach().norm()

        state.positions.register_hook(note)
        # A view, as forces are derivatives with respect to what the potential is given: that
        # differentiation, on the way forward, is not to be noted.
        return replace(state, positions=state.positions.view_as(state.positions))


class AdjointResult(NamedTuple):
    """What driving a loop gives.

    Attributes:
        end: the last state; its positions carry the graph.
        backward: filled in when a gradient comes back.
        waypoints: (weight, positions (N, 3)): places on the way where a loss is to be taken too.
    """

    end: State
    backward: BackwardRecord
    waypoints: Waypoints = ()


def record_path(loop: Loop, state: State, steps: int) -> list[State]:
    """Up to ``steps`` steps from ``state``, without a graph: all states, this one included.

    A tolerance is found to be met where one is: the evaluation that says so makes no step. Only
    where none is made at all it stands for one, so that the end hangs on the weights.
    """
    with torch.no_grad():
        path = [state.detached()]
        for _ in range(steps):
            if loop.finished:
                break
            after = loop.advance(path[-1], 1)
            stands = len(path) > 1 and torch.equal(after.positions, path[-1].positions)
            if stands and loop.finished:
                path[-1] = after  # the same place, where the loop now is
                break
            path.append(after)
    return path


def differentiable_path(
    loop: Loop, path: list[State], start: State, segment_length: int, backward: BackwardRecord
) -> State:
    """The recorded path's end as a differentiable function of ``start`` and the parameters.

    Args:
        loop: which has made these steps.
        path: all states from `record_path`.
        start: the first of them, with the graph it is to hang on.
        segment_length: steps that the backward pass replays at a time.
        backward: notes the gradient at each segment's ends.
    """
    parameters = [
        p for module in (loop.potential, loop.rule) for p in module.parameters() if p.requires_grad
    ]
    state = backward.attach_hook(start)
    for first in range(0, len(path) - 1, segment_length):
        after = path[min(first + segment_length, len(path) - 1)]
        tensors = _Segment.apply(loop, state, after, *state.tensors, *parameters)
        state = backward.attach_hook(after.with_tensors(tensors))
    return state


def replayed_gradient(
    loop: Loop,
    state: State,
    steps: int,
    incoming: Sequence[Tensor | None],
    parameters: Sequence[Tensor],
) -> tuple[Tensor | None, ...]:
    """Replay recorded steps with a graph, and take a gradient back through them.

    Args:
        loop: which has made these steps.
        state: before them.
        steps: how many.
        incoming: gradient of the loss with respect to each of ``state.tensors`` after them.
        parameters: what else a gradient is wanted for.

    Returns:
        The gradient with respect to each of ``state.tensors`` before, then to each parameter; None
        where there is no dependence.
    """
    with torch.enable_grad():
        carried = [x.detach() for x in state.tensors]
        leaves = [x.requires_grad_() for x in carried if x.is_floating_point()]
        after = loop.advance(state.with_tensors(carried), steps)
        # What a rule decides without gradient (FIRE's time step) carries none.
        passed = [
            (x, g)
            for x, g in zip(after.tensors, incoming, strict=True)
            if x.requires_grad and g is not None
        ]
        outputs, cotangents = zip(*passed, strict=True)
        found = iter(
            torch.autograd.grad(outputs, [*leaves, *parameters], cotangents, allow_unused=True)
        )
    before = [next(found) if x.is_floating_point() else None for x in carried]
    return (*before, *found)


class _Segment(torch.autograd.Function):
    """Some recorded steps of a loop, replayed with a graph in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, loop: Loop, before: State, after: State, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.loop, ctx.before, ctx.steps = loop, before.detached(), after.step - before.step
        # The parameters too: PyTorch then notices if they change before the replay.
        ctx.save_for_backward(*tensors)
        ends = tuple(x.clone() for x in after.tensors)
        ctx.mark_non_differentiable(*(x for x in ends if not x.is_floating_point()))
        return ends

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        tensors, size = ctx.saved_tensors, len(ctx.before.tensors)
        before = ctx.before.with_tensors(tensors[:size])
        gradients = replayed_gradient(ctx.loop, before, ctx.steps, incoming, tensors[size:])
        return (None, None, None, *gradients)
