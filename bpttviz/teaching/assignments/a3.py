"""Public checks of A3: how much an end depends on the way of relaxing, and the challenge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.potentials.landscape import Wells, walkers
from bpttviz.potentials.small.painn import PaiNN
from bpttviz.teaching.assignments.challenge import load_challenge, ratio_at_rest
from bpttviz.teaching.assignments.checks import Question, compare, numbers

Function = Callable[..., Any]

STEP_SIZES, COUNTS = (0.05, 0.1, 0.2), (1, 4)


def walked(
    centre: tuple[float, float], starts: np.ndarray
) -> tuple[Wells, RelaxationDataset, Function]:
    """One well, relaxations from ``starts`` (n, 2) Å to its bottom, and where walks are by hand.

    The third is a function of a step size and a number of steps: distances (n,) from the bottom.
    """
    well = Wells([list(centre)], [0.0], [1.0], bowl=1.0)  # only the bowl: E = ½ (x² + y²) eV
    references = RelaxationDataset(
        ReferenceRelaxation(f"w{i}", f"w{i}", walkers(place[None]), walkers(np.zeros((1, 2))))
        for i, place in enumerate(starts)
    )

    def distances(step_size: float, count: int) -> np.ndarray:
        """Of walkers on ½ |x|²: what gradient descent leaves of the way."""
        slope = _slope(well)
        return np.linalg.norm(starts, axis=1) * abs(1 - step_size * slope) ** count

    return well, references, distances


def _slope(well: Wells) -> float:
    """Curvature of the bowl, eV/Å²."""
    _, force = well.energy_and_force(torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    return -float(force[0, 0])


def check_sweep(sweep: Function) -> str:
    """1: ``sweep(potential, references, step_sizes, counts)``: mean ΔQ (step sizes, counts)."""
    starts = np.array([[0.9, 0.2], [-0.5, 0.7], [0.3, -0.8]])
    well, references, distances = walked((0.0, 0.0), starts)
    right = np.array([[distances(eta, n).mean() for n in COUNTS] for eta in STEP_SIZES])
    worst = np.array([[distances(eta, n).max() for n in COUNTS] for eta in STEP_SIZES])
    later = np.array([[distances(eta, n + 1).mean() for n in COUNTS] for eta in STEP_SIZES])
    return compare(
        "sweep",
        sweep(well, references, STEP_SIZES, COUNTS),
        right,
        {
            "rows and columns are exchanged: a row for each step size": right.T,
            "that is the largest ΔQ; the mean is asked for": worst,
            "one step too many": later,
        },
        tolerance=1e-6,
    )


def check_growth(growth: Function, largest_step: Function) -> str:
    """2: ``growth(step_size, momentum, curvature)``, and the step from which it is 1."""
    eta, mu, curvature = 0.3, 0.6, 4.0
    found = compare(
        "growth(0.3, 0.6, 4.0)",
        growth(eta, mu, curvature),
        radius(eta, mu, curvature),
        {
            "momentum is missing: x and v change together, by a 2 × 2 matrix": abs(
                1 - eta * curvature
            ),
            "that is a norm of the matrix; what repeats itself is its largest |eigenvalue|": float(
                np.linalg.norm(matrix(eta, mu, curvature), 2)
            ),
            "complex eigenvalues are as large as their modulus, not their real part": float(
                np.linalg.eigvals(matrix(eta, mu, curvature)).real.max()
            ),
        },
    )
    return found or compare(
        "largest_step(0.6, 4.0)",
        largest_step(mu, curvature),
        2 * (1 + mu) / curvature,
        {
            "that is gradient descent's; momentum allows longer steps": 2 / curvature,
            "momentum carries through, it does not hold back": 2 * (1 - mu) / curvature,
        },
        tolerance=1e-4,
    )


def check_same_end(same_end: Function) -> str:
    """3: ``same_end(ends_a, ends_b, within)``: the part of structures with one end."""
    cells = load_challenge().training.ends()[:4]
    other = cells.positions.clone()
    other[0] += torch.tensor([0.3, 0.0, 0.0])  # an atom of the first has moved
    moved = cells.with_positions(other)
    found = compare("same_end", same_end(cells, moved, 0.5), 0.75, _COUNTED)
    shifted = moved.with_positions(other + torch.tensor([0.5, 0.2, 0.1]))
    return found or compare(
        "same_end of crystals shifted as a whole",
        same_end(cells, shifted, 0.5),
        0.75,
        {"a shift of the whole crystal costs nothing: bv.delta_q takes it out": 0.0},
    )


_COUNTED = {
    "that counts the structures; the part of them is asked for": 3.0,
    "that is the part that differs": 0.25,
}


def check_challenge(tuned: Potential) -> str:
    """4: the potential has learned something from the training cells."""
    if not isinstance(tuned, Potential):
        return f"tuned should be a potential, and is a {type(tuned).__name__}"
    before = {name: value.clone() for name, value in PaiNN.pretrained().state_dict().items()}
    now = tuned.state_dict()
    if before.keys() == now.keys() and all(torch.equal(now[k], before[k]) for k in before):
        return "tuned is the pretrained PaiNN, unchanged"
    ratio = ratio_at_rest(tuned, load_challenge().training)
    if not ratio < 0.9:
        return (
            f"on the cells it was trained on, ΔQ at rest is {ratio:.2f} times that before: fewer "
            "updates or a smaller learning rate if above 1, more if just below"
        )
    return ""


def check_estimate(estimate: float) -> str:
    """5: a ratio that the student expects for the withheld ends."""
    value = numbers("estimate", estimate)
    if value.shape or not 0 < value < 10:
        return "estimate should be one positive number, ΔQ after divided by ΔQ before"
    return ""


QUESTIONS: dict[str, Question] = {
    "1": check_sweep,
    "2": check_growth,
    "3": check_same_end,
    "4": check_challenge,
    "5": check_estimate,
}


def earlier(question: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """No question of A3 calls the answer to an earlier one."""
    return {}


def matrix(step_size: float, momentum: float, curvature: float) -> np.ndarray:
    """One step of the heavy ball on a spring, (x, v) → (x + v', v'), v' = mu v - eta k x."""
    pull = step_size * curvature
    return np.array([[1 - pull, momentum], [-pull, momentum]])


def radius(step_size: float, momentum: float, curvature: float) -> float:
    """The factor by which it grows or shrinks a step, in the long run."""
    return float(abs(np.linalg.eigvals(matrix(step_size, momentum, curvature))).max())
