"""Landscapes as grids: what is handed over, where it drains to, and how it follows a training."""

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

import bpttviz as bv
from bpttviz.potentials.landscape import Window, places, walkers
from bpttviz.teaching.surface import (
    MARGIN,
    NOWHERE,
    basins_of_attraction,
    descent_paths,
    spline_surface,
)

TWO_WELLS = bv.Wells([[-1.0, 0.0], [1.0, 0.0]], [1.0, 1.2], [0.5, 0.5])
MULLER_BROWN = Window((-1.7, 1.2), (-0.4, 2.1))


class Slope(bv.Landscape):
    """No resting place anywhere."""

    def surface(self, points):
        return points[:, 0]


def spline(surface, points):
    """Energy and slope of the exported spline, by scipy's own B-splines."""
    rows, columns = surface.coefficients.shape

    def basis(origin, count, place, order):
        knots = origin + surface.pitch * (np.arange(count + 6) - 3)
        one = BSpline(knots, np.eye(count), 5, extrapolate=False)
        return one.derivative(order)(place) if order else one(place)

    x, y = ((basis(o, n, p, 0), basis(o, n, p, 1)) for o, n, p in
            zip(surface.origin, (columns, rows), points.T, strict=True))  # fmt: skip
    c = surface.coefficients.astype(float)
    value = np.einsum("pr,rc,pc->p", y[0], c, x[0])
    slope = np.einsum("pr,rc,pc->p", y[0], c, x[1]), np.einsum("pr,rc,pc->p", y[1], c, x[0])
    return value, np.stack(slope, axis=1)


@pytest.mark.parametrize(
    ("landscape", "window"),
    [(TWO_WELLS, Window()), (bv.MullerBrown(), MULLER_BROWN), (bv.NeuralLandscape(), Window())],
    ids=["wells", "Müller-Brown", "neural"],
)
def test_the_spline_has_the_landscapes_energies_and_forces(landscape, window):
    surface = spline_surface(landscape, window)
    draw = np.random.default_rng(0)
    low, high = np.array([window.x, window.y]).T
    points = draw.uniform(low, high, (300, 2))
    energy, force = landscape.energy_and_force(torch.from_numpy(points))
    value, slope = spline(surface, points)
    seen = energy.numpy() < surface.lowest + 1.5
    assert seen.sum() > 50
    np.testing.assert_allclose(value[seen], energy[seen], atol=5e-6)
    np.testing.assert_allclose(-slope[seen], force[seen], atol=3e-4)


def test_the_margin_can_be_walked_on_too():
    surface = spline_surface(TWO_WELLS)
    corners = np.array([[x, y] for x in surface.window.x for y in surface.window.y])
    outside = corners + 0.99 * MARGIN * np.sign(corners - [0, 0.2])
    assert surface.holds(outside).all()
    assert not surface.holds(corners + 1.01 * MARGIN * np.sign(corners - [0, 0.2])).any()
    assert not surface.holds(np.full((1, 2), np.nan)).any()
    energy, force = TWO_WELLS.energy_and_force(torch.from_numpy(outside))
    value, slope = spline(surface, outside)
    np.testing.assert_allclose(value, energy, atol=5e-6)
    np.testing.assert_allclose(-slope, force, atol=1e-4)


def test_walkers_go_where_relax_takes_them():
    points = [[0.3, 1.0], [-0.4, -0.9], [1.4, 1.4]]
    rules = (
        bv.GradientDescent(0.1, max_step=None),
        bv.GradientDescent(0.3, max_step=0.05),
        bv.HeavyBall(0.1, momentum=0.5, max_step=None),
        bv.FIRE(),
    )
    for rule in rules:
        with torch.no_grad():
            path = bv.relax(TWO_WELLS, walkers(points), rule, bv.StoppingCriterion(25)).trajectory
        assert torch.allclose(
            descent_paths(TWO_WELLS, points, rule, bv.StoppingCriterion(25)),
            places(path),
            atol=1e-12,
        )


def test_a_place_drains_to_the_minimum_below_it():
    basins, minima = basins_of_attraction(TWO_WELLS, Window(), columns=16)
    assert basins.shape == (14, 16)
    assert set(np.unique(basins)) == {0, 1}
    assert minima[:, 1] == pytest.approx([0, 0], abs=0.02)
    assert minima[0, 0] > 0.8 > -0.8 > minima[1, 0]  # the deeper one first
    # Relaxed one by one, with steps so short that they cannot cross a ridge.
    x, y = np.linspace(-1.6, 1.6, 33)[1::2], np.linspace(-1.2, 1.6, 29)[1::2]
    starts = [[x[i], y[j]] for j in (0, 7, 13) for i in (0, 5, 9, 15)]
    with torch.no_grad():
        rest = bv.relax(
            TWO_WELLS,
            walkers(starts),
            bv.GradientDescent(0.02, max_step=0.02),
            bv.StoppingCriterion(800),
        ).final
    expected = (places(rest.positions)[:, 0] < 0).long().tolist()
    assert [int(basins[j, i]) for j in (0, 7, 13) for i in (0, 5, 9, 15)] == expected


def test_where_nothing_rests_nothing_is_a_basin():
    basins, minima = basins_of_attraction(Slope(), Window(), columns=8)
    assert (basins == NOWHERE).all()
    assert len(minima) == 0


def test_a_minimum_that_moved_keeps_its_number_and_one_that_vanished_leaves_a_gap():
    surface = spline_surface(TWO_WELLS)
    # The other one is now the deeper.
    moved = bv.Wells([[-0.9, 0.2], [1.0, -0.1]], [1.4, 1.0], [0.5, 0.5])
    after = surface.updated(moved)
    assert np.linalg.norm(after.minima - surface.minima, axis=1).max() < 0.3
    alone = surface.updated(bv.Wells([[-1.0, 0.0]], [1.0], [0.8]))
    assert set(np.unique(alone.basins)) == {1}
    assert alone.payload()["minima"][0] is None
    quick = surface.updated(moved, basins=False)
    assert np.array_equal(quick.coefficients, after.coefficients)
    assert quick.basins is surface.basins


def test_a_new_minimum_takes_a_free_number():
    surface = spline_surface(bv.Wells([[-1.0, 0.0]], [1.0], [0.5]), Window((-2, 2), (-1, 1)))
    after = surface.updated(bv.Wells([[-1.0, 0.0], [1.0, 0.0]], [1.0, 2.0], [0.4, 0.4]))
    assert after.minima[0] == pytest.approx(surface.minima[0], abs=0.1)
    assert after.minima[1, 0] > 0.8
