"""Exercises of notebook 06: what an average remembers, and how far to go."""

from __future__ import annotations

from collections.abc import Sequence

from bpttviz.teaching.exercise import Exercise, Mistake


def memory(decay: float = 0.98) -> Exercise:
    """After how many updates an exponential average has forgotten a weight by a factor e."""
    return Exercise(
        "memory",
        1 / (1 - decay),
        [
            Mistake("the decay", "That is what one update leaves of the old average.", decay),
            Mistake(
                "the share",
                "That is the share of the newest weights; its inverse is a time.",
                1 - decay,
            ),
            Mistake("one over it", "That is hardly more than one update.", 1 / decay),
        ],
        within=0.02,
        praise="A training of 20 updates would hardly leave the pretrained weights with it.",
        unit="updates",
    )


def choose_alpha(
    alphas: Sequence[float], ends: Sequence[float], forces: Sequence[float], most: float = 1.01
) -> Exercise:
    """The α with the best end among those whose forces are worse by no more than ``most``.

    Args:
        alphas: of the blends; the first is 0.
        ends, forces: their errors on validation, relative to α = 0.
        most: ratio.
    """
    allowed = [a for a, force in zip(alphas, forces, strict=True) if force <= most]
    by_end = dict(zip(alphas, ends, strict=True))
    right = min(allowed, key=lambda a: by_end[a])
    others = [a for a in alphas if a != right]
    return Exercise(
        "choose α",
        right,
        [
            Mistake(
                "forbidden",
                "There the forces are worse by more than was allowed.",
                when=lambda a: any(abs(a - b) < 1e-9 for b in others if b not in allowed),
            ),
            Mistake(
                "not the best",
                "It is allowed, but another one that is allowed has better ends.",
                when=lambda a: any(abs(a - b) < 1e-9 for b in others if b in allowed),
            ),
            Mistake(
                "not measured",
                "None of the blends measured here has it.",
                when=lambda a: all(abs(a - b) > 1e-9 for b in alphas),
            ),
        ],
        praise="And nobody looked at the test part for it.",
    )
