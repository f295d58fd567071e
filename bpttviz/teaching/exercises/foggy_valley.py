"""Exercises of notebook 01: what the step size does near rest."""

from __future__ import annotations

import math

from bpttviz.teaching.exercise import Exercise, Mistake


def largest_step_size(softest: float, stiffest: float) -> Exercise:
    """The step size at which the first mode no longer settles; curvatures in eV/Å²."""
    return Exercise(
        "largest step size",
        2 / stiffest,
        [
            Mistake(
                "only to the far side",
                "There one step goes straight to the bottom of the stiff direction. A larger step "
                "size overshoots, and still settles.",
                1 / stiffest,
            ),
            Mistake(
                "the soft direction",
                "The soft direction bears that. Which of the two gives way first?",
                2 / softest,
            ),
            Mistake("upside down", "Check the unit: η is Å²/eV, λ is eV/Å².", stiffest / 2),
        ],
        within=1e-3,
        praise="The stiffest direction sets the limit.",
        unit="Å²/eV",
    )


def steps_needed() -> Exercise:
    """How many steps until a hundredth of a distance is left, by η and λ."""

    def whole(eta: float, curvature: float) -> int:
        return math.ceil(math.log(0.01) / math.log(abs(1 - eta * curvature)))

    return Exercise(
        "steps needed",
        whole,
        [
            Mistake(
                "one step short",
                "Rounded down, a little more than a hundredth is left.",
                lambda eta, curvature: whole(eta, curvature) - 1,
            ),
            Mistake(
                "rounded to the nearest",
                "Rounded down, a little more than a hundredth is left: always round up.",
                lambda eta, curvature: round(math.log(0.01) / math.log(abs(1 - eta * curvature))),
            ),
            Mistake(
                "infinitely short steps",
                "exp(-ηλ) is what infinitely many tiny steps leave. One step of size η leaves "
                "1 - ηλ.",
                lambda eta, curvature: math.ceil(-math.log(0.01) / (eta * curvature)),
            ),
            Mistake(
                "not rounded",
                "Steps are whole: round up.",
                lambda eta, curvature: math.log(0.01) / math.log(abs(1 - eta * curvature)),
            ),
        ],
        # Of the last one 28.3 steps; in the others rounding to the nearest rounds up.
        trials=[(0.1, 2.0), (0.3, 1.0), (0.5, 3.0), (0.05, 3.0)],
        praise="The soft direction takes longest; it sets K.",
    )
