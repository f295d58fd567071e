"""A loss at the reference's end alone: forces as displacements, and the softest curvature."""

from dataclasses import replace

import pytest
import torch
from springs import check_gradient, network
from taught import references

import bpttviz as bv
from bpttviz.training.equilibrium import softest_direction


def test_equilibrium_is_the_forces_as_displacements():
    data, potential = references(3), network()
    ends = data.ends()
    forces = potential(ends).forces
    squares = (ends.masses[:, None] * (forces / 5.0) ** 2).reshape(3, -1).sum(1)
    found = bv.EquilibriumLoss(stiffness=5.0).loss(potential, data)
    assert torch.allclose(found, squares.sqrt(), rtol=1e-12)
    flat = bv.EquilibriumLoss(stiffness=5.0, resolution=0.3).loss(potential, data)
    assert torch.allclose(flat, (squares + 0.09).sqrt() - 0.3, rtol=1e-12)
    teacher = network(seed=2)  # whose ends they are
    assert float(bv.EquilibriumLoss().loss(teacher, data).detach().max()) < 1e-10


def softest(potential):
    return torch.linalg.eigvalsh(potential.laplacian())[1]  # the first is a translation's


def test_the_softest_curvature_is_found_and_kept_above_its_bound():
    data, potential = references(2), network()
    value = softest(potential)
    plain = bv.EquilibriumLoss().loss(potential, data)
    bound = float(value.detach()) + 0.5
    found = bv.EquilibriumLoss(least_curvature=bound, hinge=2.0).loss(potential, data)
    assert torch.allclose(found - plain, torch.full((2,), 1.0).double(), rtol=1e-8)
    below = bv.EquilibriumLoss(least_curvature=bound - 0.6).loss(potential, data)
    assert torch.equal(below, plain)
    direction = softest_direction(potential, data.ends(), 1)
    assert torch.allclose(direction.reshape(2, 4, 3).sum(1), torch.zeros(2, 3).double(), atol=1e-12)


@pytest.mark.parametrize("bound", [None, 50.0])
def test_the_gradient_at_equilibrium_is_that_of_central_differences(bound):
    """The direction is not differentiated, and need not be: it is an eigenvector."""
    objective = bv.EquilibriumLoss(stiffness=2.0, resolution=0.1, least_curvature=bound)
    check_gradient(objective, network(), references(2))
    evaluations = 1 if bound is None else 4
    assert bv.count_evaluations(objective, network(), references(2)) == 2 * evaluations


def test_held_atoms_count_neither_in_forces_nor_in_curvatures():
    (reference,) = references(1)
    held = torch.tensor([True, False, False, False])
    start = replace(reference.start, fixed=held)
    places = torch.where(held[:, None], start.positions, reference.end.positions)
    end = start.with_positions(places)
    data = bv.RelaxationDataset([replace(reference, start=start, end=end)])
    potential = network()
    ends = data.ends()
    squares = (ends.masses[:, None] * (potential(ends).forces / 10) ** 2)[1:].sum()
    assert torch.allclose(bv.EquilibriumLoss().loss(potential, data), squares.sqrt())
    lowest = torch.linalg.eigvalsh(potential.laplacian()[1:, 1:])[0]
    found = bv.EquilibriumLoss(least_curvature=60.0).loss(potential, data) - squares.sqrt()
    assert torch.allclose(60 - found, lowest, rtol=1e-8)


@pytest.mark.parametrize(
    "wrong",
    [{"stiffness": 0}, {"resolution": -1}, {"least_curvature": float("nan")}, {"hinge": 0},
     {"products": 0}, {"stiffness": "hard"}],
)  # fmt: skip
def test_an_equilibrium_that_makes_no_sense_is_refused(wrong):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(wrong))} must be"):
        bv.EquilibriumLoss(**wrong)
