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

from bpttviz.geometry import safe_norm, safe_sqrt, segment_sum
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
        _require_limit(max_step)
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
        return State(state.positions + shortened(move, self.max_step), (), state.t + 1)


class HeavyBall(nn.Module):
    """V(t+1) = mu V(t) + eta F(X(t)), X(t+1) = X(t) + V(t+1): gradient descent with momentum.

    B. T. Polyak, USSR Comput. Math. Math. Phys. 4, 1 (1964). It rests where the forces vanish, like
    gradient descent, but gets through long valleys in far fewer steps.

    Args:
        step_size: eta in Å²/eV.
        momentum: mu, from 0 (gradient descent) to below 1: the part of a step that is repeated.
        max_step: as in `GradientDescent`; what is remembered is the shortened step.
        learnable: train eta (as its logarithm) and mu (as its logit) along with the potential.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(
        self,
        step_size: float = 0.04,
        momentum: float = 0.5,
        max_step: float | None = 0.2,
        learnable: bool = False,
    ):
        super().__init__()
        if not step_size > 0:
            raise ValueError(f"step_size must be positive, got {step_size}")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, got {momentum}")
        if learnable and momentum == 0:
            raise ValueError("a momentum of exactly 0 cannot be learned; start from a small one")
        _require_limit(max_step)
        self.max_step, self.learnable = max_step, learnable
        size, mu = (torch.tensor(float(x), dtype=torch.float64) for x in (step_size, momentum))
        self.log_step_size = nn.Parameter(size.log(), requires_grad=learnable)
        self.logit_momentum = nn.Parameter(torch.logit(mu), requires_grad=learnable)

    @property
    def step_size(self) -> Tensor:
        """eta: a scalar, Å²/eV."""
        return self.log_step_size.exp()

    @property
    def momentum(self) -> Tensor:
        """mu: a scalar."""
        return torch.sigmoid(self.logit_momentum)

    def config(self) -> dict:
        """JSON-able constructor arguments."""
        return {
            "step_size": self.step_size.item(),
            "momentum": self.momentum.item(),
            "max_step": self.max_step,
            "learnable": self.learnable,
        }

    def extra_repr(self) -> str:
        limit = math.inf if self.max_step is None else self.max_step
        return (
            f"step_size={self.step_size.item():.4g} Å²/eV, momentum={self.momentum.item():.4g}, "
            f"max_step={limit} Å, learnable={self.learnable}"
        )

    def init(self, structures: Structures) -> State:
        return State(structures.positions, (torch.zeros_like(structures.positions),), 0)

    def step(self, state: State, forces: Tensor) -> State:
        """The next state; ``forces`` (N, 3) eV/Å."""
        (velocity,) = state.memory
        move = self.momentum.to(forces) * velocity + self.step_size.to(forces) * forces
        move = shortened(move, self.max_step)
        return State(state.positions + move, (move,), state.t + 1)


class FIRE(nn.Module):
    """The fast inertial relaxation engine, each structure of a batch with its own clock.

    E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), in the form that ASE gives it: the same
    steps as ``ase.optimize.FIRE``. Differentiable along the path it takes: *which* branch it takes
    (uphill or downhill, step shortened or not) and the time step are decided without gradient.

    Args:
        time_step, longest_time_step: initial and largest dt, in units in which masses are 1.
        max_step: the whole structure's displacement vector is at most this long, Å.

    Raises:
        ValueError: a number that is not positive.
    """

    # The published constants: steps downhill before dt may grow, its growth and decay, and how fast
    # velocities are turned towards the forces.
    patience, growth, decay, mixing, unmixing = 5, 1.1, 0.5, 0.1, 0.99

    def __init__(
        self, time_step: float = 0.1, longest_time_step: float = 1.0, max_step: float = 0.2
    ):
        super().__init__()
        for name, value in {
            "time_step": time_step,
            "longest_time_step": longest_time_step,
            "max_step": max_step,
        }.items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        self.time_step, self.longest_time_step = time_step, longest_time_step
        self.max_step = max_step

    def config(self) -> dict:
        """JSON-able constructor arguments."""
        return {
            "time_step": self.time_step,
            "longest_time_step": self.longest_time_step,
            "max_step": self.max_step,
        }

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.config().items())

    def init(self, structures: Structures) -> State:
        x = structures.positions
        structure_index = structures.structure_index.to(x.dtype)
        column = torch.ones_like(x[:, 0])
        # velocity, dt, mixing, steps downhill, owner: what belongs to a structure is repeated on
        # its atoms, as memory is kept by atom. -1 steps: it has not moved yet.
        memory = (
            torch.zeros_like(x),
            self.time_step * column,
            self.mixing * column,
            -column,
            structure_index,
        )
        return State(x, memory, 0)

    def step(self, state: State, forces: Tensor) -> State:
        """The next state; ``forces`` (N, 3) eV/Å."""
        velocity, dt, mixing, downhill, owner_column = state.memory
        structure_index = owner_column.long()
        count = int(structure_index.max()) + 1

        def total(values: Tensor) -> Tensor:
            """The sum over a structure's components, repeated on its atoms (N, 1)."""
            return segment_sum(values.sum(1), structure_index, count)[structure_index, None]

        speed, strength = safe_sqrt(total(velocity**2)), safe_sqrt(total(forces**2))
        with torch.no_grad():
            first = downhill < 0
            down = (total(velocity * forces).squeeze(1) > 0) & ~first
            up = ~down & ~first
            faster = down & (downhill > self.patience)
            longer = (dt * self.growth).clamp(max=self.longest_time_step)
            new_dt = torch.where(faster, longer, torch.where(up, dt * self.decay, dt))
            new_mixing = torch.where(
                faster,
                mixing * self.unmixing,
                torch.where(up, torch.full_like(mixing, self.mixing), mixing),
            )
            downhill = torch.where(down, downhill + 1, torch.zeros_like(downhill))
        a = mixing[:, None]
        direction = forces / torch.where(strength > 0, strength, 1.0)
        velocity = torch.where(down[:, None], (1 - a) * velocity + a * speed * direction, 0.0)
        velocity = velocity + new_dt[:, None] * forces
        move = new_dt[:, None] * velocity
        length = safe_sqrt(total(move**2))
        long = length > self.max_step
        move = move * torch.where(long, self.max_step / torch.where(long, length, 1.0), 1.0)
        memory = (velocity, new_dt, new_mixing, downhill, owner_column)
        return State(state.positions + move, memory, state.t + 1)


def shortened(move: Tensor, limit: float | None) -> Tensor:
    """Displacements (N, 3) Å with those longer than ``limit`` Å cut to it, direction kept."""
    if limit is None:
        return move
    length = safe_norm(move)
    # Scaling by 1 where the step is short keeps its gradient exactly that of the step itself.
    long = length > limit
    return move * torch.where(long, limit / torch.where(long, length, 1.0), 1.0)[:, None]


def _require_limit(max_step: float | None) -> None:
    if max_step is not None and not max_step > 0:
        raise ValueError(f"max_step must be positive or None, got {max_step}")
