"""Exercises of notebook 00: one step of the map, and what a ΔQ means for an atom."""

from __future__ import annotations

import math

import numpy as np

from bpttviz.teaching.exercise import Exercise, Mistake


def one_step() -> Exercise:
    """Positions after one step, by positions (N, 3), forces (N, 3) and η."""
    return Exercise(
        "one step",
        lambda x, forces, eta: x + eta * forces,
        [
            Mistake(
                "uphill",
                "The sign: forces point downhill already, so atoms follow them.",
                lambda x, forces, eta: x - eta * forces,
            ),
            Mistake(
                "without η",
                "Forces are eV/Å, not Å: it is η that makes a way of them.",
                lambda x, forces, eta: x + forces,
            ),
            Mistake(
                "the move alone",
                "That is how far the atoms move. Where are they afterwards?",
                lambda x, forces, eta: eta * forces,
            ),
        ],
        trials=[
            (np.array([[0.0, 1.0, 2.0]]), np.array([[1.0, -1.0, 0.5]]), 0.1),
            (np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]), np.array([[0.2, 3.0, -1.0]] * 2), 0.06),
        ],
        praise="All the rest is this line, again and again.",
    )


def one_atom(mass: float = 28.0855, distance: float = 0.5) -> Exercise:
    """ΔQ of one atom of ``mass`` (amu), ``distance`` (Å) from its place, all others being right."""
    return Exercise(
        "one atom",
        math.sqrt(mass) * distance,
        [
            Mistake("no root", "The mass stands under the root: √(m d²) = √m d.", mass * distance),
            Mistake("no mass", "That is the distance in Å; ΔQ weights it by mass.", distance),
            Mistake("not rooted", "That is ΔQ²: the root is missing.", mass * distance**2),
        ],
        within=0.01,
        unit="amu^½ Å",
        praise="Or a tenth of an Å for 25 atoms: ΔQ does not tell which.",
    )
