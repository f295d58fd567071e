"""Exercises of notebook 10: the order of atoms, and one energy a structure."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from bpttviz.geometry import segment_sum
from bpttviz.teaching.exercise import Exercise, Mistake


def same_order() -> Exercise:
    """Which atom of the end belongs to each of the start, by their distances (N, N) Å."""
    crowded = np.array(
        [[0.9, 0.1, 2.0, 3.0], [2.0, 0.3, 0.2, 3.0], [0.8, 2.0, 0.4, 3.0], [3.0, 3.0, 3.0, 0.1]]
    )
    cycled = np.ones((3, 3)) - 0.9 * np.eye(3)[[1, 2, 0]]
    return Exercise(
        "same order",
        lambda distance: linear_sum_assignment(distance**2)[1],
        [
            Mistake(
                "one atom twice",
                "Each takes the nearest, and two of them the same one. All have to be placed "
                "together.",
                lambda distance: distance.argmin(1),
            ),
            Mistake(
                "the other way round",
                "That says where each atom of the *end* goes. Which atom of the end does each atom "
                "of the start get?",
                lambda distance: linear_sum_assignment(distance.T**2)[1],
            ),
        ],
        trials=[(crowded,), (cycled,)],
        praise="It is what the notebook's repair does.",
    )


def energy_of_each() -> Exercise:
    """Energies (B,) of B structures from those of atoms (N,) and the structure of each (N,)."""
    energies = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], dtype=torch.float64)
    index = torch.tensor([0, 0, 1, 2, 2])
    return Exercise(
        "energy of each",
        segment_sum,
        [
            Mistake(
                "one sum for all",
                "Every structure gets the energy of the whole batch: sum by structure.",
                lambda energies, index, count: energies.sum().expand(count),
            ),
            Mistake(
                "a mean over the batch",
                "Divided by the number of structures: an energy must not know who else is in the "
                "batch.",
                lambda energies, index, count: segment_sum(energies, index, count) / count,
            ),
            Mistake(
                "a mean over atoms",
                "That is the energy per atom. Forces would shrink with the size of the cell.",
                lambda energies, index, count: (
                    segment_sum(energies, index, count) / torch.bincount(index, minlength=count)
                ),
            ),
            Mistake(
                "counted by the atoms",
                "A structure without atoms has an energy too, 0: `count` says how many there are, "
                "also where the last of them is empty.",
                lambda energies, index, count: segment_sum(energies, index, int(index.max()) + 1),
            ),
        ],
        trials=[(energies, index, 3), (energies[:3], index[:3], 2), (energies[:3], index[:3], 3)],
        praise="`check_potential` asks for just this: a batch equals its members.",
    )
