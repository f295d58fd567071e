"""Exercises of notebook 05: the distance between two structures."""

from __future__ import annotations

import numpy as np

from bpttviz.teaching.exercise import Exercise, Mistake


def _distance(moved: np.ndarray, drift: object, weights: np.ndarray) -> float:
    return float(np.sqrt((weights[:, None] * (moved - drift) ** 2).sum()))


def _drift(moved: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Of the centre of mass, (3,) Å."""
    return (masses[:, None] * moved).sum(0) / masses.sum()


def mass_weighted_distance() -> Exercise:
    """ΔQ of displacements (N, 3) Å and masses (N,) amu, drift removed."""
    draw = np.random.default_rng(0)
    moved, masses = draw.normal(size=(5, 3)) + 0.4, np.array([28.0, 28.0, 31.0, 12.0, 119.0])
    return Exercise(
        "ΔQ",
        lambda moved, masses: _distance(moved, _drift(moved, masses), masses),
        [
            Mistake(
                "drift left in",
                "The crystal as a whole has moved a little: take the motion of its centre of mass "
                "out first.",
                lambda moved, masses: _distance(moved, 0, masses),
            ),
            Mistake(
                "centre without masses",
                "The drift is the centre of *mass*'s: heavy atoms count for more.",
                lambda moved, masses: _distance(moved, moved.mean(0), masses),
            ),
            Mistake(
                "no root",
                "That is its square.",
                lambda moved, masses: _distance(moved, _drift(moved, masses), masses) ** 2,
            ),
            Mistake(
                "no masses",
                "That is a distance in Å. Each atom's square has to be multiplied by its mass.",
                lambda moved, masses: _distance(moved, _drift(moved, masses), np.ones_like(masses)),
            ),
            Mistake(
                "masses squared",
                "The mass belongs to the square of the displacement, not under the square.",
                lambda moved, masses: _distance(moved, _drift(moved, masses), masses**2),
            ),
        ],
        trials=[(moved, masses), (0.1 * moved[:3], masses[:3])],
        within=1e-9,
        praise="Nearest images are the only thing missing, and they are done for you here.",
    )


def atoms_that_hold_half() -> Exercise:
    """How many atoms hold half of a sum of shares (N,), counted from the largest."""

    def count(share: np.ndarray) -> int:
        reached = np.cumsum(np.sort(share)[::-1])
        return int((reached < 0.5 * reached[-1]).sum()) + 1

    return Exercise(
        "atoms that hold half",
        count,
        [
            Mistake(
                "from the smallest",
                "np.sort begins with the smallest share; begin with the largest.",
                lambda share: int((np.cumsum(np.sort(share)) < 0.5 * share.sum()).sum()) + 1,
            ),
            Mistake(
                "one too few",
                "Count the atom with which half is reached, too.",
                lambda share: count(share) - 1,
            ),
            Mistake(
                "unsorted",
                "In the order of the file the large shares may come late: sort first.",
                lambda share: int((np.cumsum(share) < 0.5 * share.sum()).sum()) + 1,
            ),
            Mistake(
                "above the mean",
                "Those have more than the mean share, and may hold more than half together: add up "
                "from the largest until half is reached.",
                lambda share: int((share > share.mean()).sum()),
            ),
            Mistake(
                "half of the largest",
                "Half of the *sum* is meant, not of the largest share.",
                lambda share: int((share >= 0.5 * share.max()).sum()),
            ),
        ],
        trials=[
            (np.array([1.0, 2.0, 30.0, 3.0, 25.0, 1.5, 2.5]),),
            (np.array([4.0, 1.0, 2.0, 9.0]),),
            (np.array([3.0, 10.0, 4.0, 8.0, 5.0, 9.0, 6.0, 7.0]),),  # even: many hold half
        ],
        praise="A defect's error sits on few atoms: a mean over all of them hides it.",
    )
