"""Exercises of notebook 03: what a loss on the end of K steps asks for."""

from __future__ import annotations

import math

from bpttviz.teaching.exercise import Exercise, Mistake


def what_is_left() -> Exercise:
    """Of a spring's distance after K steps, by k, η, K."""
    return Exercise(
        "what is left",
        lambda k, eta, steps: (1 - eta * k) ** steps,
        [
            Mistake(
                "uphill",
                "With this sign the walker goes away: the force is -k (x - x*).",
                lambda k, eta, steps: (1 + eta * k) ** steps,
            ),
            Mistake(
                "once only",
                "That is after one step. Every further one multiplies again.",
                lambda k, eta, steps: 1 - eta * k,
            ),
            Mistake(
                "added up",
                "Steps shrink with the distance, so they multiply; they do not add up.",
                lambda k, eta, steps: 1 - steps * eta * k,
            ),
            Mistake(
                "infinitely short steps",
                "exp is for infinitely many tiny steps.",
                lambda k, eta, steps: math.exp(-eta * k * steps),
            ),
        ],
        trials=[(0.8, 0.3, 6), (2.0, 0.1, 3), (4.0, 0.3, 3)],
        praise="Everything else in this section follows from it.",
    )


def preferred_stiffness(true: float, eta: float) -> Exercise:
    """The stiffness that the loss of K steps prefers, where the resting place is right."""
    return Exercise(
        "preferred stiffness",
        1 / eta,
        [
            Mistake(
                "the truth",
                "So one would wish. But is the distance after K steps zero there?",
                true,
            ),
            Mistake(
                "the limit",
                "There a step jumps to the other side and stays as far: 1 - ηk = -1.",
                2 / eta,
            ),
            Mistake("upside down", "Check the unit: k is eV/Å², η is Å²/eV.", eta),
        ],
        within=1e-3,
        praise="It depends on the step size alone; the truth does not come into it.",
        unit="eV/Å²",
    )
