"""Exercises of notebook 04: forces as slopes, and how soft they are."""

from __future__ import annotations

import numpy as np

from bpttviz.teaching.exercise import Exercise, Mistake


def one_sided_force() -> Exercise:
    """A force from the energies at x and x + h."""
    return Exercise(
        "one-sided force",
        lambda energy, x, h: -(energy(x + h) - energy(x)) / h,
        [
            Mistake(
                "uphill",
                "That is the slope. The force points downhill.",
                lambda energy, x, h: (energy(x + h) - energy(x)) / h,
            ),
            Mistake(
                "twice the distance",
                "The two places are h apart, not 2h.",
                lambda energy, x, h: -(energy(x + h) - energy(x)) / (2 * h),
            ),
            Mistake(
                "two-sided",
                "That is the central difference. Use x and x + h only.",
                lambda energy, x, h: -(energy(x + h) - energy(x - h)) / (2 * h),
            ),
        ],
        trials=[(lambda x: x**3, 1.0, 0.1), (lambda x: 2.0**x, 0.5, 0.01)],
        praise="Its error falls as h only, not as h².",
    )


def slope_of_forces() -> Exercise:
    """The slope of predicted against DFT's forces, by least squares through the origin."""
    p, d = (np.array(x) for x in ([0.5, -1.0, 0.3, 0.1], [0.8, -1.1, 0.6, -0.2]))
    return Exercise(
        "slope of forces",
        lambda predicted, dft: (predicted * dft).sum() / (dft**2).sum(),
        [
            Mistake(
                "the other axis",
                "That is by what predictions are best multiplied... upside down: which of the two "
                "stands on the horizontal axis?",
                lambda predicted, dft: (predicted * dft).sum() / (predicted**2).sum(),
            ),
            Mistake(
                "the cosine",
                "That is the cosine: it says whether directions agree, and knows no sizes.",
                lambda predicted, dft: (
                    (predicted * dft).sum() / np.sqrt((predicted**2).sum() * (dft**2).sum())
                ),
            ),
            Mistake(
                "a mean of ratios",
                "Ratios of forces near zero decide this mean. Let large forces count for more.",
                lambda predicted, dft: (predicted / dft).mean(),
            ),
        ],
        trials=[(p, d), (0.6 * d + 0.05, d)],
        praise="Below 1 is soft.",
    )
