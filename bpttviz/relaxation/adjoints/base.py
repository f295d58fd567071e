"""How the gradient goes back through a relaxation.

An adjoint drives a `Loop`: it decides which steps keep their graph and what happens in the backward
pass.

- `FullBPTT`, `CheckpointedBPTT`: through every step, exactly.
- `TruncatedBPTT`: through the last few steps.
- `ImplicitAdjoint`: at the resting place itself, through no step at all.
- `GuidedAdjoint`: through the first few steps, and then at the resting place.

The first three do not change where a relaxation goes; the last two carry it on to rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bpttviz.relaxation.linear_solvers import Solution
from bpttviz.relaxation.loop import Loop
from bpttviz.relaxation.rules import State


@dataclass(eq=False)
class BackwardRecord:
    """What a backward pass left behind; empty until there has been one.

    Attributes:
        sensitivity: step t → norm of dL/dX_t over the batch, where the gradient passed through
            (L in amu^½ Å makes this amu^½).
        solutions: what the linear solver of an implicit gradient reports.
    """

    sensitivity: dict[int, float] = field(default_factory=dict)
    solutions: list[Solution] = field(default_factory=list)

    def watch(self, state: State) -> State:
        """Note the gradient that will come back to these positions."""
        if state.positions.requires_grad:

            def note(gradient: Tensor) -> None:
                self.sensitivity[state.t] = float(gradient.norm())

            state.positions.register_hook(note)
        return state


class AdjointResult(NamedTuple):
    """What driving a loop gives.

    Attributes:
        end: the last state; its positions carry the graph.
        backward: filled in when a gradient comes back.
        waypoints: (weight, positions (N, 3)): places on the way where a loss is to be taken too.
    """

    end: State
    backward: BackwardRecord
    waypoints: tuple[tuple[float, Tensor], ...] = ()


def record(loop: Loop, state: State, steps: int) -> list[State]:
    """Up to ``steps`` steps from ``state``, without a graph: all states, this one included."""
    with torch.no_grad():
        path = [State(*(_detached(None, x) for x in state[:2]), state.t)]
        for _ in range(steps):
            if loop.finished:
                break
            path.append(loop.advance(path[-1], 1))
    return path


def _through(
    loop: Loop, path: list[State], start: State, every: int, backward: BackwardRecord
) -> State:
    """The recorded path's end as a differentiable function of ``start`` and the parameters."""
    parameters = [
        p for module in (loop.potential, loop.rule) for p in module.parameters() if p.requires_grad
    ]
    state = backward.watch(start)
    for first in range(0, len(path) - 1, every):
        after = path[min(first + every, len(path) - 1)]
        carried = _Segment.apply(
            loop, state.t, after, 1 + len(state.memory), state.positions, *state.memory, *parameters
        )
        state = backward.watch(State(carried[0], tuple(carried[1:]), after.t))
    return state


def replayed_gradient(
    loop: Loop, state: State, steps: int, incoming: Sequence[Tensor], parameters: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Replay recorded steps with a graph, and take a gradient back through them.

    Args:
        loop: which has made these steps.
        state: before them.
        steps: how many.
        incoming: gradient of the loss with respect to positions and memory after them.
        parameters: what else a gradient is wanted for.

    Returns:
        The gradient with respect to the positions and memory before, then to each parameter; None
        where there is no dependence.
    """
    with torch.enable_grad():
        carried = [x.detach().requires_grad_() for x in (state.positions, *state.memory)]
        after = loop.advance(State(carried[0], tuple(carried[1:]), state.t), steps)
        # What a rule decides without gradient (FIRE's time step) carries none.
        outputs, cotangents = zip(
            *(
                (x, g)
                for x, g in zip((after.positions, *after.memory), incoming, strict=True)
                if x.requires_grad
            ),
            strict=True,
        )
        return torch.autograd.grad(outputs, [*carried, *parameters], cotangents, allow_unused=True)


class _Segment(torch.autograd.Function):
    """Some recorded steps of a loop, replayed with a graph in the backward pass."""

    @staticmethod
    def forward(ctx, loop, first, after, n_state, *tensors):
        ctx.loop, ctx.first, ctx.made, ctx.n_state = loop, first, after.t - first, n_state
        # The parameters too: PyTorch then notices if they change before the replay.
        ctx.save_for_backward(*tensors)
        return tuple(x.clone() for x in (after.positions, *after.memory))

    @staticmethod
    @once_differentiable
    def backward(ctx, *incoming):
        tensors = ctx.saved_tensors
        state = State(tensors[0], tuple(tensors[1 : ctx.n_state]), ctx.first)
        gradients = replayed_gradient(ctx.loop, state, ctx.made, incoming, tensors[ctx.n_state :])
        return (None, None, None, None, *gradients)


def _detached(where: Tensor | None, values):
    """``values`` (tensor or tuple of them) without a graph, for atoms (N,) in ``where`` or all."""
    if isinstance(values, tuple):
        return tuple(_detached(where, x) for x in values)
    if where is None:
        return values.detach()
    return torch.where(where.reshape(-1, *[1] * (values.ndim - 1)), values.detach(), values)


def _require_whole(name: str, value: int) -> None:
    if int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
