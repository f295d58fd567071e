"""How the gradient goes back through a relaxation.

An adjoint drives a `Loop`: it decides which steps keep their graph and what happens in the backward
pass. The relaxed positions are the same for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.autograd.function import once_differentiable

from bpttviz.iterate import Loop
from bpttviz.rules import State


@dataclass(frozen=True)
class Full:
    """Keep every step's graph: fastest, and memory grows with K (CHGNet: about 0.2 GB a step)."""

    def drive(self, loop: Loop) -> State:
        return loop.advance(loop.begin(), loop.stop.steps)


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
        if int(self.every) != self.every or self.every < 1:
            raise ValueError(f"every must be a whole number of at least 1, got {self.every}")

    def drive(self, loop: Loop) -> State:
        state = loop.begin()
        if not torch.is_grad_enabled():
            return loop.advance(state, loop.stop.steps)
        parameters = [
            p
            for module in (loop.potential, loop.rule)
            for p in module.parameters()
            if p.requires_grad
        ]
        while state.t < loop.stop.steps and not loop.finished:
            count = min(self.every, loop.stop.steps - state.t)
            end = [state.t]  # the segment writes here how far it came: a number, not a tensor
            carried = _Segment.apply(
                loop, count, end, 1 + len(state.memory), state.positions, *state.memory, *parameters
            )
            state = State(carried[0], tuple(carried[1:]), end[0])
        return state


class _Segment(torch.autograd.Function):
    """Some steps of a loop, run without a graph and replayed with one in the backward pass."""

    @staticmethod
    def forward(ctx, loop, count, end, n_state, *tensors):
        state = State(tensors[0], tensors[1:n_state], end[0])
        ctx.loop, ctx.first, ctx.n_state = loop, state.t, n_state
        # The parameters too: PyTorch then notices if they change before the replay.
        ctx.save_for_backward(*tensors)
        after = loop.advance(state, count)
        ctx.made = after.t - state.t
        end[0] = after.t
        return tuple(x.clone() for x in (after.positions, *after.memory))

    @staticmethod
    @once_differentiable
    def backward(ctx, *incoming):
        with torch.enable_grad():
            saved = ctx.saved_tensors
            carried = [x.detach().requires_grad_() for x in saved[: ctx.n_state]]
            after = ctx.loop.advance(State(carried[0], tuple(carried[1:]), ctx.first), ctx.made)
            outputs = [after.positions, *after.memory]
            inputs = [*carried, *saved[ctx.n_state :]]
            gradients = torch.autograd.grad(outputs, inputs, incoming, allow_unused=True)
        return (None, None, None, None, *gradients)
