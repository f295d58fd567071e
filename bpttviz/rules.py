"""Update rules: how forces become the next positions.

A rule is an ``nn.Module`` with two more methods: ``init(structures)`` makes the first `State` and
``step(state, forces)`` the next one. Both are differentiable and see no potential. With a
``config()`` of JSON-able constructor arguments, `load_run` can rebuild it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bpttviz.geometry import safe_norm
from bpttviz.structures import Structures


class State(NamedTuple):
    """What one step of a relaxation hands to the next.

    Attributes:
        positions: (N, 3) Å.
        memory: per-atom tensors (N, ...) that a rule carries along, such as velocities.
        t: number of steps made.
    """

    positions: Tensor
    memory: tuple[Tensor, ...]
    t: int


class GradientDescent(nn.Module):
    """X(t+1) = X(t) + eta F(X(t)), the iterated map of arXiv 2512.01067.

    Args:
        step_size: eta in Å²/eV: one number for all steps, or a sequence with one for each.
        max_step: no atom moves further than this in one step, in Å; None for no limit. A longer
            step is shortened, its direction kept, so that a start with atoms too close together
            does not throw them across the cell.
        learnable: train eta along with the potential (as its logarithm, so that it stays positive).

    Raises:
        ValueError: a step size or ``max_step`` that is not positive; from `step`, more steps than
            the sequence has sizes.
    """

    def __init__(
        self,
        step_size: float | list[float] = 0.04,
        max_step: float | None = 0.2,
        learnable: bool = False,
    ):
        super().__init__()
        sizes = torch.as_tensor(step_size, dtype=torch.float64)
        if sizes.ndim > 1 or sizes.numel() == 0 or not (sizes > 0).all():
            raise ValueError(
                f"step_size must be one positive number or a sequence of them, got {step_size}"
            )
        if max_step is not None and not max_step > 0:
            raise ValueError(f"max_step must be positive or None, got {max_step}")
        self.max_step, self.learnable = max_step, learnable
        self.log_step_size = nn.Parameter(sizes.log(), requires_grad=learnable)

    @property
    def step_size(self) -> Tensor:
        """eta: a scalar, or (K,) with one size a step; Å²/eV."""
        return self.log_step_size.exp()

    def config(self) -> dict:
        """JSON-able constructor arguments."""
        return {
            "step_size": self.step_size.tolist(),
            "max_step": self.max_step,
            "learnable": self.learnable,
        }

    def extra_repr(self) -> str:
        sizes = ", ".join(f"{size:.4g}" for size in self.step_size.reshape(-1).tolist())
        limit = math.inf if self.max_step is None else self.max_step
        return f"step_size={sizes} Å²/eV, max_step={limit} Å, learnable={self.learnable}"

    def init(self, structures: Structures) -> State:
        return State(structures.positions, (), 0)

    def step(self, state: State, forces: Tensor) -> State:
        """The next state; ``forces`` (N, 3) eV/Å."""
        eta = self.step_size
        if eta.ndim == 1:
            if state.t >= len(eta):
                raise ValueError(
                    f"step {state.t + 1} was asked for, but step_size lists {len(eta)} sizes; "
                    "give one per step or a single number"
                )
            eta = eta[state.t]
        move = eta.to(forces) * forces
        if self.max_step is not None:
            length = safe_norm(move)
            # Scaling by 1 where the step is short keeps its gradient exactly that of eta F.
            long = length > self.max_step
            shorten = torch.where(long, self.max_step / torch.where(long, length, 1.0), 1.0)
            move = move * shorten[:, None]
        return State(state.positions + move, state.memory, state.t + 1)
