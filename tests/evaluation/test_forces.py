"""Force errors by hand: near the defect and far, weak and strong, and never on held atoms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from springs import network
from taught import labelled

import bpttviz as bv
from bpttviz.evaluation.defects import distance_from_defect
from bpttviz.evaluation.forces import force_measures
from bpttviz.potentials.base import Potential, Prediction


class Nothing(Potential):
    """Knows no forces at all."""

    def forward(self, structures):
        return Prediction(torch.zeros(len(structures)), torch.zeros_like(structures.positions))


def test_force_measures_of_scaled_forces():
    """Reference forces made by the potential itself: doubling it must give slope 2, cosine 1."""
    potential = network()
    (reference,) = labelled(1, teacher=potential)
    found = force_measures(bv.ScaledForces(potential, 2.0), reference)
    assert found.force_mae == pytest.approx(float(reference.trajectory.forces.abs().mean()))
    assert (found.force_slope, found.force_cosine) == pytest.approx((2, 1))
    assert np.isnan(found.force_mae_near)  # four atoms are no crystal with a defect in it
    for size in (1, 4):
        again = force_measures(bv.ScaledForces(potential, 2.0), reference, size)
        assert again.force_mae == pytest.approx(found.force_mae)


def test_force_error_near_and_far_weak_and_strong():
    """By hand, on a shipped vacancy, of a potential that knows no forces at all."""
    reference = bv.load_dataset("si-defects").all["000_vac_Si"]
    forces = reference.trajectory.forces.numpy()
    found = force_measures(Nothing(), reference)
    near = distance_from_defect(reference.end) < 3
    assert found.force_mae_near == pytest.approx(np.abs(forces[:, near]).mean())
    assert found.force_mae_far == pytest.approx(np.abs(forces[:, ~near]).mean())
    weak = np.linalg.norm(forces, axis=2) < 0.1
    assert found.force_mae_weak == pytest.approx(np.abs(forces[weak]).mean())
    assert found.force_mae_strong == pytest.approx(np.abs(forces[~weak]).mean())
    parts = [near.mean() * found.force_mae_near, (~near).mean() * found.force_mae_far]
    assert sum(parts) == pytest.approx(found.force_mae)
    assert np.isnan(found.force_cosine)


@pytest.mark.parametrize("held", [[0, 3], list(range(8))])
def test_what_is_written_for_held_atoms_is_no_force(held):
    """VASP writes zeros for them: scored, they would flatter a potential that knows none."""
    frames = []
    for seed in range(2):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.positions[held] = bulk("Si", cubic=True).positions[held]
        atoms.set_constraint(FixAtoms(held))
        forces = np.ones((8, 3))
        forces[held] = 0
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
        frames.append(atoms)
    reference = bv.ReferenceRelaxation.from_ase("slab", frames)
    forces = reference.trajectory.forces.clone()
    forces[:, list(held)] = 0.0  # whatever reading made of them
    reference = replace(reference, trajectory=replace(reference.trajectory, forces=forces))
    found = force_measures(Nothing(), reference)
    if len(held) == 8:
        assert np.isnan(found.force_mae)
    else:
        assert found.force_mae == pytest.approx(1.0)
        assert np.isnan(found.force_mae_weak)


def test_ends_alone_have_no_force_error():
    (reference,) = labelled(1)
    assert np.isnan(force_measures(network(), replace(reference, trajectory=None)).force_mae)
