"""Landscapes: plain surfaces that the machinery for structures takes for structures."""

import numpy as np
import pytest
import torch
from ase import Atoms
from springs import central_difference

import bpttviz as bv
from bpttviz.potentials.landscape import Landscape, places, walkers

SURFACES = {
    "wells": lambda: bv.Wells([[-1.0, 0.0], [1.0, 0.3]], [1.0, 1.2], [0.5, 0.6]),
    "Müller-Brown": bv.MullerBrown,
    "network": lambda: bv.NeuralLandscape(8),
}
POINTS = torch.tensor([[-0.5, 1.4], [0.6, 0.1], [0.2, -0.3]], dtype=torch.float64)


@pytest.mark.parametrize("name", SURFACES)
def test_forces_and_their_derivatives_equal_central_differences(name):
    surface, start = SURFACES[name](), walkers(POINTS)
    x = start.positions.clone()
    with torch.no_grad():
        forces = surface(start.with_positions(x)).forces

    def energy():
        return float(surface.energy(start.with_positions(x)).sum().detach())

    expected = -central_difference(energy, x)
    torch.testing.assert_close(forces, expected, rtol=1e-6, atol=1e-7)
    assert forces.norm() > 0.1
    torch.testing.assert_close(forces[::2], -forces[1::2])  # on anchor and walker

    def after(points):
        moved = start.with_positions(points)
        return bv.relax(
            surface, moved, bv.GradientDescent(0.02), bv.StoppingCriterion(3)
        ).final.positions

    parameter = next(surface.parameters())
    (found,) = torch.autograd.grad((after(x) ** 2).sum(), parameter)

    def value():
        with torch.no_grad():
            return float((after(x) ** 2).sum())

    expected = central_difference(value, parameter)
    assert expected.norm() > 1e-4
    assert (found - expected).norm() / expected.norm() < 1e-6


def test_delta_q_is_the_plain_distance_between_walkers():
    a, b = walkers(POINTS), walkers(POINTS + torch.tensor([0.3, 0.4]))
    torch.testing.assert_close(bv.delta_q(a, b), torch.full((3,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(places(a.positions), POINTS)


def test_the_anchor_stays_and_the_walker_keeps_to_the_plane():
    with torch.no_grad():
        result = bv.relax(SURFACES["wells"](), walkers(POINTS), bv.GradientDescent(0.1))
    assert (result.trajectory[:, ::2] == result.trajectory[0, ::2]).all()
    assert (result.trajectory[:, 1::2, 2] == 0).all()
    assert places(result.trajectory).shape == (21, 3, 2)
    assert float(bv.delta_q(result.final, walkers(POINTS)).max()) > 0.1


@pytest.mark.parametrize("name", SURFACES)
def test_they_rebuild_themselves(name):
    surface = SURFACES[name]()
    again = type(surface)(**surface.config())
    again.load_state_dict(surface.state_dict())
    assert torch.equal(again.surface(POINTS), surface.surface(POINTS))


def test_muller_brown_has_its_published_minima():
    energy, force = bv.MullerBrown(1.0).energy_and_force(
        torch.tensor([[-0.558, 1.442], [0.623, 0.028], [-0.050, 0.467]])
    )
    assert energy.tolist() == pytest.approx([-146.7, -108.2, -80.8], abs=0.1)
    assert force.abs().max() < 2


def test_a_network_learns_a_landscape():
    truth, model = SURFACES["wells"](), bv.NeuralLandscape()
    grid = torch.cartesian_prod(*[torch.linspace(-1.5, 1.5, 12, dtype=torch.float64)] * 2)
    before = (model.energy_and_force(grid)[1] - truth.energy_and_force(grid)[1]).std()
    assert model.fit(truth, grid, steps=200) < 0.3 * before


def test_what_is_no_walker_is_refused():
    with pytest.raises(bv.StructureError, match="anchor and a walker"):
        SURFACES["wells"]()(
            bv.Structures.from_ase(Atoms("H3", positions=[[0, 0, i] for i in range(3)]))
        )
    with pytest.raises(ValueError, match=r"depths must be of shape \(1\), got \(2,\)"):
        bv.Wells([[0.0, 0.0]], [1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="positive"):
        bv.Wells([[0.0, 0.0]], [1.0], [-1.0])
    with pytest.raises(TypeError, match=r"Landscape is a base: .* that defines surface\(\)"):
        Landscape()


@pytest.mark.parametrize("points", [[0.2, 0.3], torch.tensor([0.2, 0.3]), np.array([[0.2, 0.3]])])
def test_one_point_is_one_walker(points):
    assert places(walkers(points).positions).tolist() == [[pytest.approx(0.2), pytest.approx(0.3)]]


@pytest.mark.parametrize(
    "points",
    [[0, 0, 1.0, 1.0], [[0, 0, 0.0], [1, 1, 1.0]], [[[0.0, 1.0]]], [], 1.0, torch.zeros(0, 2)],
)
def test_what_is_no_list_of_points_is_no_walker(points):
    with pytest.raises(ValueError, match=r"points must be of shape \(any, 2\)"):
        walkers(points)


def test_a_network_learns_landscapes_only():
    with pytest.raises(TypeError, match="target must be a Landscape"):
        bv.NeuralLandscape(4).fit(bv.Springs.frustrated(2), [[0.0, 0.0]], 2)
