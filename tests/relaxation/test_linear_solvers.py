"""Solvers against dense linear algebra."""

import pytest
import torch

from bpttviz.relaxation.linear_solvers import GMRES, ConjugateGradient

STRUCTURE_INDEX = torch.repeat_interleave(torch.arange(3), torch.tensor([2, 5, 3]))


def matrices(symmetric, seed=0, shift=0.3):
    """A random well-conditioned matrix (3n, 3n) for each of three systems."""
    draw = torch.Generator().manual_seed(seed)
    result = []
    for atoms in (2, 5, 3):
        a = torch.randn(3 * atoms, 3 * atoms, generator=draw, dtype=torch.float64)
        eye = torch.eye(3 * atoms, dtype=torch.float64)
        result.append(a @ a.T + shift * eye if symmetric else a + 6 * eye)
    return result


def product_of(parts):
    def product(u):
        pieces = u.split([2, 5, 3])
        return torch.cat(
            [(a @ p.reshape(-1)).reshape(-1, 3) for a, p in zip(parts, pieces, strict=True)]
        )

    return product


def right_hand_side(seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(10, 3, generator=draw, dtype=torch.float64)


def dense(parts, v):
    pieces = v.split([2, 5, 3])
    return torch.cat(
        [
            torch.linalg.solve(a, p.reshape(-1)).reshape(-1, 3)
            for a, p in zip(parts, pieces, strict=True)
        ]
    )


CASES = [(ConjugateGradient, True), (GMRES, True), (GMRES, False)]


@pytest.mark.parametrize(("solver", "symmetric"), CASES)
def test_solutions_equal_dense_ones(solver, symmetric):
    parts, v = matrices(symmetric), right_hand_side()
    found = solver(1e-12)(product_of(parts), v, STRUCTURE_INDEX, 3)
    assert found.converged.all()
    assert not found.failures
    torch.testing.assert_close(found.x, dense(parts, v), rtol=1e-9, atol=1e-10)
    left = v - product_of(parts)(found.x)
    assert left.norm() < 1e-10 * v.norm()


@pytest.mark.parametrize(("solver", "symmetric"), CASES)
def test_the_size_of_the_right_hand_side_does_not_matter(solver, symmetric):
    parts, v = matrices(symmetric), right_hand_side()
    small = solver(1e-10)(product_of(parts), 1e-12 * v, STRUCTURE_INDEX, 3)
    large = solver(1e-10)(product_of(parts), v, STRUCTURE_INDEX, 3)
    assert small.converged.all()
    torch.testing.assert_close(small.x * 1e12, large.x)


@pytest.mark.parametrize("solver", [ConjugateGradient, GMRES])
def test_a_zero_right_hand_side_has_a_zero_solution_and_harms_no_one(solver):
    parts, v = matrices(True), right_hand_side()
    v[2:7] = 0
    found = solver(1e-12)(product_of(parts), v, STRUCTURE_INDEX, 3)
    assert found.converged.all()
    assert (found.x[2:7] == 0).all()
    torch.testing.assert_close(found.x, dense(parts, v), rtol=1e-9, atol=1e-10)
    nothing = solver()(product_of(parts), torch.zeros_like(v), STRUCTURE_INDEX, 3)
    assert nothing.converged.all()
    assert nothing.n_matvecs == 0


@pytest.mark.parametrize("solver", [ConjugateGradient, GMRES])
def test_a_solution_does_not_depend_on_its_company(solver):
    parts, v = matrices(True), right_hand_side()
    together = solver(1e-6)(product_of(parts), v, STRUCTURE_INDEX, 3)
    parts[0] = torch.full_like(parts[0], torch.nan)
    beside_nan = solver(1e-6)(product_of(parts), v, STRUCTURE_INDEX, 3)
    assert torch.equal(together.x[2:], beside_nan.x[2:])
    assert beside_nan.converged.tolist() == [False, True, True]
    assert "not finite" in beside_nan.failures[0]
    assert torch.isfinite(beside_nan.x).all()


def test_negative_curvature_is_named():
    parts = matrices(True)
    parts[1] = parts[1] - 5 * torch.eye(15, dtype=torch.float64)
    found = ConjugateGradient(1e-10)(product_of(parts), right_hand_side(), STRUCTURE_INDEX, 3)
    assert found.converged.tolist() == [True, False, True]
    assert "negative curvature (-" in found.failures[1]
    assert "not a minimum" in repr(found)


@pytest.mark.parametrize(("solver", "symmetric"), CASES)
def test_a_stalled_solver_says_so(solver, symmetric):
    parts, v = matrices(symmetric), right_hand_side()
    found = solver(1e-12, iterations=3)(product_of(parts), v, STRUCTURE_INDEX, 3)
    assert found.n_matvecs == 3
    assert not found.converged.any()
    assert "stalled" in found.failures[0]
    # the residual reported is the true one
    left = (v - product_of(parts)(found.x))[2:7].norm() / v[2:7].norm()
    assert float(found.residual[1]) == pytest.approx(float(left), rel=1e-6)


def test_gmres_names_a_singular_matrix():
    parts, v = matrices(True), right_hand_side()
    parts[2] = torch.zeros_like(parts[2])
    found = GMRES(1e-10)(product_of(parts), v, STRUCTURE_INDEX, 3)
    assert found.converged.tolist() == [True, True, False]
    assert "singular" in found.failures[2]


@pytest.mark.parametrize("solver", [ConjugateGradient, GMRES])
def test_senseless_settings_are_refused(solver):
    with pytest.raises(ValueError, match="tolerance"):
        solver(0.0)
    with pytest.raises(ValueError, match="iterations"):
        solver(1e-3, 0)
