"""A world of springs, where both errors of a relaxation are known exactly.

Six atoms, all joined by springs that cannot all have their way: the truth. A model has the same
springs, a little wrong. Its resting place and its forces can be compared with the truth's in closed
form, so that what an objective does to either is seen without noise.
"""

from __future__ import annotations

import torch
from ase import Atoms

from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q
from bpttviz.evaluation.forces import force_measures
from bpttviz.potentials.base import Potential
from bpttviz.potentials.springs import Springs
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion

ATOMS, SEED = 6, 1
SPREAD = 3.0  # times longer rest vectors than `Springs.frustrated` draws: no atoms overlap
FAR = 0.4  # Å, standard deviation of a start's coordinates about the end
STEPS, EVERY = 120, 10  # of the true relaxation, and which of them are kept as frames


def true_springs() -> Springs:
    """The truth."""
    made = Springs.frustrated(ATOMS, SEED)
    with torch.no_grad():
        made.rest.mul_(SPREAD)
    return made


def mistaken(truth: Springs, stiffness: float = 0.1, rest: float = 0.05, seed: int = 3) -> Springs:
    """A model of the truth with small errors, as pretraining leaves them.

    Args:
        truth: left as it is.
        stiffness: standard deviation of the logarithm of each stiffness.
        rest: Å, of each coordinate of the rest vectors.
        seed: of the errors.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        noise = torch.randn(truth.stiffness.shape, generator=draw, dtype=torch.float64)
        stiff = truth.stiffness * torch.exp(stiffness * noise)
        shift = rest * torch.randn(truth.rest.shape, generator=draw, dtype=torch.float64)
        return Springs(truth.pairs, stiff, truth.rest + shift)


def relaxations_of(truth: Springs, count: int, seed: int = 0) -> RelaxationDataset:
    """Relaxations under the truth, with the forces on their way."""
    draw = torch.Generator().manual_seed(seed)
    end = truth.rest_positions(torch.zeros(ATOMS, 3, dtype=torch.float64)).detach()
    made = []
    for number in range(count):
        start = end + FAR * torch.randn(end.shape, generator=draw, dtype=torch.float64)
        atoms = Atoms(f"Si{ATOMS}", positions=start.numpy())
        with torch.no_grad():
            rule, stop = GradientDescent(0.02, max_step=None), StoppingCriterion(STEPS)
            frames = relax(truth, atoms, rule, stop).frames()[::EVERY]
        name = f"springs {number}"
        made.append(ReferenceRelaxation.from_ase(name, frames, name))
    return RelaxationDataset(made)


def error_at_rest(potential: Potential, references: RelaxationDataset) -> float:
    """Mean ΔQ (amu^½ Å) between where springs rest, exactly, and the reference ends."""
    assert isinstance(potential, Springs)
    errors = []
    for reference in references:
        rest = potential.rest_positions(reference.start.positions).detach()
        found = reference.start.with_positions(rest)
        errors.append(delta_q(found, reference.end, potential.places_matter))
    return float(torch.cat(errors).mean())


def error_of_forces(potential: Potential, references: RelaxationDataset) -> float:
    """Mean absolute component error, eV/Å, on the references' frames."""
    errors = [force_measures(potential, reference).force_mae for reference in references]
    return sum(errors) / len(errors)


def slope_of_forces(potential: Potential, references: RelaxationDataset) -> float:
    """Mean least-squares slope of predicted against true forces: above 1 they are too strong."""
    slopes = [force_measures(potential, reference).force_slope for reference in references]
    return sum(slopes) / len(slopes)
