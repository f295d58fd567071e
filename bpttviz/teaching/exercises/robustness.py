"""Exercises of notebook 09: which steps settle, and how many arrive."""

from __future__ import annotations

import math

from bpttviz.teaching.exercise import Exercise, Mistake


def stable_step(stiffest: float, momentum: float = 0.9) -> Exercise:
    """The largest η with which a heavy ball settles where the curvature is ``stiffest``, eV/Å²."""
    right = 2 * (1 + momentum) / stiffest
    return Exercise(
        "the stable step",
        right,
        [
            Mistake(
                "without memory",
                "That is gradient descent's limit; the ball's memory damps what overshoots.",
                2 / stiffest,
            ),
            Mistake(
                "one minus",
                "1 - μ is by how much a steady slide is faster; in the limit stands 1 + μ.",
                2 * (1 - momentum) / stiffest,
            ),
            Mistake(
                "upside down",
                "Stiffer landscapes need shorter steps: λ belongs below the line.",
                right * stiffest**2,
            ),
            Mistake("half of it", "A factor of two is missing.", right / 2),
        ],
        within=0.02,
        praise="Near that limit it settles very slowly, though.",
        unit="Å²/eV",
    )


def steps_that_arrive(step_size: float, softest: float, left: float) -> Exercise:
    """How many steps leave less than ``left`` of the way in a mode, by gradient descent."""
    factor = 1 - step_size * softest
    right = math.ceil(math.log(left) / math.log(factor))
    return Exercise(
        "steps that arrive",
        right,
        [
            Mistake(
                "gone, not left",
                "That many steps *go* so small a part, and leave the rest.",
                math.ceil(math.log(1 - left) / math.log(factor)),
            ),
            Mistake(
                "added up",
                "Each step takes a part of what is left, not of all of it.",
                math.ceil((1 - left) / (step_size * softest)),
            ),
            Mistake("one short", "Close: so many leave a little too much.", right - 1),
        ],
        within=0.4 / max(right, 1),  # whole numbers: no other one counts, however many steps
        praise="In the first table's lowest row, then, no K is large enough.",
    )
