"""Exercises of notebook 08: the gradient at rest, and what a kept graph costs."""

from __future__ import annotations

import torch
from torch import Tensor

from bpttviz.teaching.exercise import Exercise, Mistake


def gradient_at_rest() -> Exercise:
    """dL/dθ from the Hessian (n, n), ∂F/∂θ (n, p) and ∂L/∂X* (n,)."""
    draw = torch.Generator().manual_seed(0)

    def trial(n: int, p: int) -> tuple[Tensor, Tensor, Tensor]:
        a = torch.randn(n, n, generator=draw, dtype=torch.float64)
        by_theta = torch.randn(n, p, generator=draw, dtype=torch.float64)
        return a @ a.T + torch.eye(n), by_theta, torch.randn(n, generator=draw, dtype=torch.float64)

    return Exercise(
        "gradient at rest",
        lambda hessian, by_theta, g: by_theta.T @ torch.linalg.solve(hessian, g),
        [
            Mistake(
                "flipped sign",
                "The sign is flipped: H is minus ∂F/∂X, so the two minus signs cancel.",
                lambda hessian, by_theta, g: -(by_theta.T @ torch.linalg.solve(hessian, g)),
            ),
            Mistake(
                "not solved",
                "You multiply by H. The resting place answers a push by the *inverse*: soft modes "
                "move most.",
                lambda hessian, by_theta, g: by_theta.T @ (hessian @ g),
            ),
            Mistake(
                "no Hessian",
                "That is how the force on the old place changes. How far does the place then move?",
                lambda hessian, by_theta, g: by_theta.T @ g,
            ),
        ],
        trials=[trial(3, 2), trial(5, 4)],
        within=1e-8,
        praise="One linear system, however many parameters.",
    )


def steps_that_fit() -> Exercise:
    """How many kept steps fit into a memory, by limit, base and memory of a step (GB)."""
    return Exercise(
        "steps that fit",
        lambda limit, base, step: int((limit - base) // step),
        [
            Mistake(
                "an empty process",
                "The process takes memory before the first step: subtract it.",
                lambda limit, base, step: int(limit // step),
            ),
            Mistake(
                "rounded up",
                "The last one does not fit any more: round down.",
                lambda limit, base, step: int((limit - base) // step) + 1,
            ),
            Mistake(
                "not rounded",
                "Steps are whole: round down.",
                lambda limit, base, step: (limit - base) / step,
            ),
        ],
        trials=[(2.0, 0.55, 0.19), (16.0, 0.55, 0.19), (80.0, 1.3, 0.07)],
        praise="A paper's K = 40 would need four times what Binder has.",
    )
