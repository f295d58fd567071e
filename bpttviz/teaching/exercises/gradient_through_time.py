"""Exercises of notebook 02: the gradient's way back through a relaxation."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from bpttviz.potentials.base import Potential, Prediction
from bpttviz.structures import Structures
from bpttviz.teaching.exercise import Exercise, Mistake


def step_back(
    potential: Potential, before: Structures, eta: float, later: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Take the gradient one step back.

    Args:
        potential: its parameters are θ.
        before: the structure before the step, N atoms.
        eta: step size.
        later: dL/dX (N, 3) after the step.

    Returns:
        dL/dX (N, 3) before the step, and what the step adds to dL/dθ.
    """
    to_x, to_theta = _products(potential, before, later)
    return later + eta * to_x, [eta * g for g in to_theta]


def one_step_back(potential: Potential, before: Structures, eta: float = 0.1) -> Exercise:
    """Write `step_back`; it is tried on this potential, with a gradient of no symmetry."""
    draw = torch.Generator().manual_seed(0)
    # Not the same for every atom: the springs do not feel that, and no sign would be seen.
    later = torch.randn(before.positions.shape, generator=draw, dtype=torch.float64)

    def made(combine: Callable) -> Callable:
        """The mistake that puts the parts together like this."""

        def wrong(
            potential: Potential, before: Structures, eta: float, later: Tensor
        ) -> tuple[Tensor, list[Tensor]]:
            return combine(later, eta, *_products(potential, before, later))

        return wrong

    return Exercise(
        "one step back",
        step_back,
        [
            Mistake(
                "flipped sign",
                "The sign before η ∂F/∂X is flipped: the step adds the force, so its derivative is "
                "added too. (That F is minus a slope is in F already.)",
                made(lambda g, eta, x, theta: (g - eta * x, [eta * t for t in theta])),
            ),
            Mistake(
                "the old place forgotten",
                "X stands on the right side twice: under F, and alone. What does the lone one add?",
                made(lambda g, eta, x, theta: (eta * x, [eta * t for t in theta])),
            ),
            Mistake(
                "no step size",
                "Both products have to be multiplied by η.",
                made(lambda g, eta, x, theta: (g + x, list(theta))),
            ),
            Mistake(
                "no step size for θ",
                "The way back is right. What the step adds to dL/dθ has an η too.",
                made(lambda g, eta, x, theta: (g + eta * x, list(theta))),
            ),
            Mistake(
                "flipped sign for θ",
                "The way back is right. The sign of what the step adds to dL/dθ is flipped.",
                made(lambda g, eta, x, theta: (g + eta * x, [-eta * t for t in theta])),
            ),
            Mistake(
                "gradients that add up",
                "The way back is right. For θ, backward() adds to what .grad held before; "
                "torch.autograd.grad gives what this step adds alone.",
                made(lambda g, eta, x, theta: (g + eta * x, [eta * (t + 1) for t in theta])),
            ),
        ],
        trials=[(_WithIdleWeight(potential), before, eta, later)],
        within=1e-9,
        praise="The notebook goes on with your lines.",
    )


class _WithIdleWeight(torch.nn.Module):
    """A potential with a weight that moves no atom, as CHGNet has some: no step may stop at it.

    A copy has ones in every ``.grad``: the notebook takes many steps back with one potential, so
    that something may have been left there, and no verdict is to depend on what.
    """

    def __init__(self, potential: Potential):
        super().__init__()
        self.potential = potential
        self.idle = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, structures: Structures) -> Prediction:
        return self.potential(structures)

    def __deepcopy__(self, memo: dict) -> _WithIdleWeight:
        made = _WithIdleWeight(copy.deepcopy(self.potential, memo))
        for weight in made.parameters():
            weight.grad = torch.ones_like(weight)
        return made


def share_of_last_steps() -> Exercise:
    """Which share of a mode's gradient the last n steps hold, by ηλ and n."""
    return Exercise(
        "share of the last steps",
        lambda factor, n: 1 - (1 - factor) ** n,
        [
            Mistake(
                "what is missing",
                "That is the share which is cut off.",
                lambda factor, n: (1 - factor) ** n,
            ),
            Mistake(
                "equal steps",
                "Not every step holds ηλ: the one k steps from the end holds ηλ (1 - ηλ)^k.",
                lambda factor, n: factor * n,
            ),
            Mistake(
                "one step too many",
                "Count again: with n = 1 the share is ηλ.",
                lambda factor, n: 1 - (1 - factor) ** (n + 1),
            ),
        ],
        trials=[(0.1, 1), (0.1, 5), (0.3, 20)],
        within=1e-6,
        praise="Soft modes, small ηλ, lose most.",
    )


def fastest_step_size(curvatures: Tensor) -> Exercise:
    """The step size with which the slowest of several modes is as fast as possible."""
    soft, stiff = float(curvatures.min()), float(curvatures.max())
    return Exercise(
        "fastest step size",
        2 / (soft + stiff),
        [
            Mistake(
                "the stiff one alone",
                "The stiffest mode is gone after one step, but the softest creeps. May the stiff "
                "one overshoot a little?",
                1 / stiff,
            ),
            Mistake("the limit", "There the stiffest mode never settles: 1 - ηλ is -1.", 2 / stiff),
            Mistake(
                "the soft one alone", "The stiffest mode explodes with this step size.", 1 / soft
            ),
        ],
        within=2e-2,
        praise="The softest and the stiffest mode then shrink alike, with opposite signs.",
        unit="Å²/eV",
    )


def _products(potential: Potential, before: Structures, later: Tensor) -> tuple[Tensor, list]:
    """Both vector-Jacobian products of the force with ``later``: by positions, by θ."""
    x = before.positions.clone().requires_grad_()
    theta = [p for p in potential.parameters() if p.requires_grad]
    forces = potential(before.with_positions(x)).forces
    to_x, *to_theta = torch.autograd.grad(
        forces, [x, *theta], later.to(forces.dtype), allow_unused=True, materialize_grads=True
    )
    return to_x, to_theta
