"""Many small losses in a row: each one's graph is freed before the next one is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bpttviz.potentials.base import Potential
from bpttviz.structures import Structures


def mean_one_by_one(potential: Potential, losses: Sequence[Callable[[], Tensor]]) -> Tensor:
    """The mean (a scalar) of several losses, differentiable in the potential's weights.

    Each one's gradient is taken at once, so memory is that of a single one.
    """
    weights = [p for p in potential.parameters() if p.requires_grad]
    return _OneByOne.apply(torch.is_grad_enabled(), losses, *weights)


def force_error_of(
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
