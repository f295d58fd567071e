"""Update rules: how forces become the next positions.

`UpdateRule` says what a rule has to define; the rules here are the usual ones.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from bpttviz._checks import flag, number, positive, positive_or_none
from bpttviz.geometry import safe_norm, safe_sqrt, segment_sum
from bpttviz.relaxation.state import State
from bpttviz.structures import Structures


class UpdateRule(nn.Module, ABC):
    """Base of all update rules: how forces become the next positions.

    A rule sees no potential and no stopping criterion. Both methods have to be differentiable in
    tensors and parameters; what a rule decides (a branch, a time step) may be taken without
    gradient. Parameters of the module can be trained along with the potential. All of it works on
    batches: sums over a structure are ``segment_sum(values, state.structure_index, B)``.

    To write one, derive from this class::

        class Nesterov(bv.UpdateRule):
            def __init__(self, step_size=0.04, momentum=0.5):
                super().__init__()
                self.step_size, self.momentum = step_size, momentum

            def init(self, structures):
                return State.first(structures, {"last": structures.positions})

            def step(self, state, forces):
                ahead = state.positions + self.momentum * (state.positions - state.per_atom["last"])
                return state.after(ahead + self.step_size * forces, {"last": state.positions})

            def config(self):
                return {"step_size": self.step_size, "momentum": self.momentum}

    with ``from bpttviz.relaxation.state import State``. The loop keeps fixed atoms and structures
    that have stopped where they are: a rule need not know of them.
    """

    @abstractmethod
    def init(self, structures: Structures) -> State:
        """The state before the first step, with every part that `step` will ask for."""

    @abstractmethod
    def step(self, state: State, forces: Tensor) -> State:
        """The next state (see `State.after`); ``forces`` (N, 3) eV/Å are zero on fixed atoms."""

    def config(self) -> dict:
        """JSON-able constructor arguments: what a saved run needs to rebuild the rule.

        Raises:
            TypeError: a rule that does not define it.
        """
        raise TypeError(
            f"{type(self).__name__} defines no config(), so it cannot be rebuilt from a file"
        )


class GradientDescent(UpdateRule):
    """X(t+1) = X(t) + eta F(X(t)), the iterated map of arXiv 2512.01067.

    Args:
        step_size: eta in Å²/eV: one number for all steps, or a sequence with one for each. By
            default that of `Recipe`, so that what `finetune` trains is what `evaluate` measures.
        max_step: no atom moves further than this in one step, in Å; None for no limit. A longer
            step is shortened, its direction kept, so that a start with atoms too close together
            does not throw them across the cell.
        learnable: train eta along with the potential (as its logarithm, so that it stays positive).

    Raises:
        ValueError: a step size or ``max_step`` that is not positive and finite; from `step`, more
            steps than the sequence has sizes.
    """

    def __init__(
        self,
        step_size: float | Sequence[float] | Tensor = 0.06,
        max_step: float | None = 0.2,
        learnable: bool = False,
    ):
        super().__init__()
        sizes = torch.tensor(_step_sizes(step_size), dtype=torch.float64)
        self.max_step, self.learnable = (
            positive_or_none("max_step", max_step),
            flag("learnable", learnable),
        )
        self.log_step_size = nn.Parameter(sizes.log(), requires_grad=self.learnable)

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
        """Nothing but the positions is carried along."""
        return State.first(structures)

    def step(self, state: State, forces: Tensor) -> State:
        """The next state; ``forces`` (N, 3) eV/Å."""
        eta = self.step_size
        if eta.ndim == 1:
            if state.step >= len(eta):
                raise ValueError(
                    f"step {state.step + 1} was asked for, but step_size lists {len(eta)} sizes; "
                    "give one per step or a single number"
                )
            eta = eta[state.step]
        move = eta.to(forces) * forces
        return state.after(state.positions + shortened(move, self.max_step))


class HeavyBall(UpdateRule):
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
        size = torch.tensor(positive("step_size", step_size), dtype=torch.float64)
        mu = torch.tensor(number("momentum", momentum, least=0, below=1), dtype=torch.float64)
        if learnable and mu == 0:
            raise ValueError("a momentum of exactly 0 cannot be learned; start from a small one")
        self.max_step, self.learnable = (
            positive_or_none("max_step", max_step),
            flag("learnable", learnable),
        )
        self.log_step_size = nn.Parameter(size.log(), requires_grad=self.learnable)
        self.logit_momentum = nn.Parameter(torch.logit(mu), requires_grad=self.learnable)

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
        """Carried along: the last move of each atom, ``velocity`` (N, 3) Å."""
        return State.first(structures, {"velocity": torch.zeros_like(structures.positions)})

    def step(self, state: State, forces: Tensor) -> State:
        """The next state; ``forces`` (N, 3) eV/Å."""
        velocity = state.per_atom["velocity"]
        move = self.momentum.to(forces) * velocity + self.step_size.to(forces) * forces
        move = shortened(move, self.max_step)
        return state.after(state.positions + move, {"velocity": move})


class FIRE(UpdateRule):
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
        self.time_step = positive("time_step", time_step)
        self.longest_time_step = positive("longest_time_step", longest_time_step)
        self.max_step = positive("max_step", max_step)

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
        """Carried along: velocities, and each structure's clock.

        ``velocity`` (N, 3); ``time_step`` and ``mixing`` (B,); ``downhill`` (B,) int64, steps
        since the velocities last pointed uphill, -1 before the first step.
        """
        like = structures.positions.new_ones(len(structures))
        return State.first(
            structures,
            per_atom={"velocity": torch.zeros_like(structures.positions)},
            per_structure={
                "time_step": self.time_step * like,
                "mixing": self.mixing * like,
                "downhill": -like.long(),
            },
        )

    def step(self, state: State, forces: Tensor) -> State:
        """The next state; ``forces`` (N, 3) eV/Å."""
        velocity, mixing = state.per_atom["velocity"], state.per_structure["mixing"]
        index, count = state.structure_index, len(mixing)

        def total(values: Tensor) -> Tensor:
            """The sum over each structure's components (B,)."""
            return segment_sum(values.sum(1), index, count)

        def by_atom(values: Tensor) -> Tensor:
            """Each structure's value repeated on its atoms (N, 1)."""
            return values[index][:, None]

        speed, strength = safe_sqrt(total(velocity**2)), safe_sqrt(total(forces**2))
        with torch.no_grad():
            clock, down = self._next_clock(state, total(velocity * forces))
        a, dt = by_atom(mixing), by_atom(clock["time_step"])
        direction = forces / by_atom(torch.where(strength > 0, strength, 1.0))
        turned = (1 - a) * velocity + a * by_atom(speed) * direction
        velocity = torch.where(by_atom(down), turned, 0.0) + dt * forces
        move = dt * velocity
        length = safe_sqrt(total(move**2))
        long = length > self.max_step
        move = move * by_atom(
            torch.where(long, self.max_step / torch.where(long, length, 1.0), 1.0)
        )
        return state.after(state.positions + move, {"velocity": velocity}, clock)

    def _next_clock(self, state: State, power: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """What each structure's clock says next, and whether (B,) it goes downhill.

        Args:
            state: before the step.
            power: (B,) the forces along the velocities.
        """
        dt, mixing, downhill = (
            state.per_structure[name] for name in ("time_step", "mixing", "downhill")
        )
        first = downhill < 0
        down, up = (power > 0) & ~first, ~(power > 0) & ~first
        faster = down & (downhill > self.patience)
        longer = (dt * self.growth).clamp(max=self.longest_time_step)
        slower = torch.where(up, dt * self.decay, dt)
        fresh = torch.where(up, torch.full_like(mixing, self.mixing), mixing)
        clock = {
            "time_step": torch.where(faster, longer, slower),
            "mixing": torch.where(faster, mixing * self.unmixing, fresh),
            "downhill": torch.where(down, downhill + 1, torch.zeros_like(downhill)),
        }
        return clock, down


def shortened(move: Tensor, limit: float | None) -> Tensor:
    """Displacements (N, 3) Å with those longer than ``limit`` Å cut to it, direction kept."""
    if limit is None:
        return move
    length = safe_norm(move)
    # Scaling by 1 where the step is short keeps its gradient exactly that of the step itself.
    long = length > limit
    return move * torch.where(long, limit / torch.where(long, length, 1.0), 1.0)[:, None]


def _step_sizes(step_size: float | Sequence[float] | Tensor) -> float | list[float]:
    """One number or a list of them, each positive and finite."""
    several = isinstance(step_size, Sequence) and not isinstance(step_size, (str, bytes))
    if not several and not (isinstance(step_size, (Tensor, np.ndarray)) and step_size.ndim):
        return positive("step_size", step_size)
    sizes = [
        positive(f"step_size[{place}]", size)
        for place, size in enumerate(cast(Sequence[float], step_size))
    ]
    if not sizes:
        raise ValueError("step_size must be a positive number or a sequence of them, got none")
    return sizes
