"""What `diagnose_gradient` says, where the answer is known."""

import pytest
import torch
from springs import network, starts, targets

import bpttviz as bv
from bpttviz.potentials.landscape import walkers
from bpttviz.relaxation.arnoldi import spectral_radius


def diagnosis(eta=0.08, steps=12, rule=None, potential=None):
    potential = network() if potential is None else potential
    start = starts(1)
    rule = bv.GradientDescent(eta, max_step=None) if rule is None else rule
    return bv.diagnose_gradient(potential, start, targets(start), rule, bv.StoppingCriterion(steps))


def curvatures():
    return torch.linalg.eigvalsh(network().laplacian().detach())[1:]


def test_sensitivity_and_contributions_equal_autograd():
    potential, start, steps = network(), starts(1), 6
    rule = bv.GradientDescent(0.08, max_step=None)
    found = bv.diagnose_gradient(
        potential, start, targets(start), rule, bv.StoppingCriterion(steps)
    )
    # the same by leaves: each step's positions, and a copy of the parameters for each step
    x, stiffness, places = start.positions.clone().requires_grad_(), [], []
    places.append(x)
    for _ in range(steps):
        stiffness.append(potential.stiffness.detach().clone().requires_grad_())
        forces = torch.func.functional_call(
            potential, {"stiffness": stiffness[-1]}, (start.with_positions(places[-1]),)
        ).forces
        places.append(places[-1] + 0.08 * forces)
    loss = bv.delta_q(start.with_positions(places[-1]), targets(start)).sum()
    slopes = torch.autograd.grad(loss, places, retain_graph=True)
    torch.testing.assert_close(found.sensitivity, torch.stack([g.norm() for g in slopes]))
    assert found.loss == pytest.approx(float(loss.detach()))
    for parameter in potential.parameters():
        parameter.requires_grad_(parameter is potential.stiffness)
    alone = bv.diagnose_gradient(
        potential, start, targets(start), rule, bv.StoppingCriterion(steps)
    )
    slopes = torch.autograd.grad(loss, stiffness)
    torch.testing.assert_close(alone.contribution, torch.stack([g.norm() for g in slopes]))
    assert (alone.contribution < found.contribution).all()


@pytest.mark.parametrize("eta", [0.02, 0.2])
def test_the_spectral_radius_of_gradient_descent(eta):
    """Translations are projected out: with them it would be 1."""
    expected = float((1 - eta * curvatures()).abs().max())
    assert expected < 1
    assert diagnosis(eta).spectral_radius == pytest.approx(expected, rel=1e-8)


def test_the_spectral_radius_of_heavy_ball():
    eta, mu = 0.15, 0.7
    # x' = x + mu v - eta λ x, v' = mu v - eta λ x for each mode; complex pairs of size sqrt(mu)
    blocks = [
        torch.tensor([[1 - eta * c, mu], [-eta * c, mu]], dtype=torch.float64)
        for c in curvatures().tolist()
    ]
    expected = max(float(torch.linalg.eigvals(b).abs().max()) for b in blocks)
    found = diagnosis(rule=bv.HeavyBall(eta, mu, max_step=None)).spectral_radius
    assert found == pytest.approx(expected, rel=1e-6)


def test_spectral_radii_of_dense_matrices_side_by_side():
    draw = torch.Generator().manual_seed(0)
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor([20, 7, 12]))
    blocks = [torch.randn(n, n, generator=draw, dtype=torch.float64) for n in (20, 7, 12)]
    whole = torch.block_diag(*blocks)
    start = torch.randn(39, 1, generator=draw, dtype=torch.float64)
    start[27:] = 0  # nothing to start from
    found = spectral_radius(lambda u: whole @ u, start, owner, 3, 20)
    expected = [float(torch.linalg.eigvals(a).abs().max()) for a in blocks[:2]]
    assert found.tolist() == pytest.approx([*expected, 0], rel=1e-8)
    nothing = spectral_radius(lambda u: 0 * u, start, owner, 3, 5)
    assert nothing.tolist() == [0, 0, 0]
    spoiled = spectral_radius(
        lambda u: u * torch.where(owner == 1, torch.nan, 1)[:, None], start, owner, 3, 5
    )
    assert spoiled[0] == pytest.approx(1)
    assert spoiled[1].isnan()


def test_verdicts():
    stiff, soft = float(curvatures()[-1]), float(curvatures()[0])
    few, many = diagnosis(0.3 / stiff, 8), diagnosis(1 / stiff, 400)
    assert few.verdict == "healthy"
    assert many.verdict == "vanishing"
    assert "TruncatedBPTT(steps=" in many.describe()
    assert many.effective_horizon < 0.2 * many.steps
    wild = diagnosis(2.6 / stiff, 12)
    assert wild.verdict == "exploding"
    assert wild.spectral_radius == pytest.approx(1.6, rel=1e-6)
    assert "smaller step size" in wild.describe()
    assert 1 - 0.3 * soft / stiff > few.contraction > 1 - 0.3


class Saddle(bv.Potential):
    """(4 x² - y²) / 2 eV/Å² of each atom."""

    places_matter = True

    def energy(self, structures):
        x = structures.positions
        each = (4 * x[:, 0].square() - x[:, 1].square()) / 2 + x[:, 2].square()
        return torch.zeros(len(structures), dtype=x.dtype).index_add(
            0, structures.structure_index, each
        )

    @property
    def config(self):
        return {}


def test_a_gradient_that_shrinks_near_a_saddle_is_not_called_exploding():
    start = walkers([1.0, 0.01])
    over, beside = walkers([0.2, 0.0]), walkers([0.2, 2.0])
    few = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(4)
    away = bv.diagnose_gradient(Saddle(), start, over, *few)
    assert away.negative_curvature
    assert away.spectral_radius == pytest.approx(1.1, rel=1e-6)
    assert away.verdict == "curved away"
    assert "curved away: near a saddle. Back through 4 steps" in away.describe()
    # It grows where the loss looks along the negative curvature, or the step is too long.
    assert bv.diagnose_gradient(Saddle(), start, beside, *few).verdict == "exploding"
    long = bv.GradientDescent(0.9, max_step=None)
    jumping = bv.diagnose_gradient(Saddle(), start, beside, long, few[1])
    assert not jumping.negative_curvature


def test_a_relaxation_that_ends_at_the_reference_has_nothing_to_teach():
    potential, start = network(), starts(1)
    rest = start.with_positions(potential.rest_positions(start.positions).detach())
    with torch.no_grad():
        end = bv.relax(potential, rest, bv.GradientDescent(0.1), bv.StoppingCriterion(1)).final
    found = bv.diagnose_gradient(
        potential, rest, end, bv.GradientDescent(0.1), bv.StoppingCriterion(1)
    )
    assert found.verdict == "nothing to learn"
    assert "nothing to learn" in repr(found)


def test_held_atoms_are_no_variables_of_the_map():
    """A walk that settles forgets its start, however much its end depends on what holds it."""
    start = starts(1)
    fixed = start.fixed.clone()
    fixed[:3] = True
    start = bv.Structures(**{**vars(start), "fixed": fixed})
    end = start.with_positions(
        torch.where(fixed[:, None], start.positions, targets(start).positions)
    )
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(100)
    found = bv.diagnose_gradient(network(), start, end, rule, stop)
    assert found.verdict == "vanishing"
    for adjoint in (bv.FullBPTT(), bv.CheckpointedBPTT()):
        leaf = start.with_positions(start.positions.clone().requires_grad_())
        result = bv.relax(network(), leaf, rule, stop, adjoint)
        bv.delta_q(end, result.final).sum().backward()
        noted = result.backward.sensitivity
        assert [noted[t] for t in sorted(noted)] == pytest.approx(found.sensitivity.tolist())
        assert float(leaf.positions.grad[fixed].norm()) > 0.1  # though it is there


def test_fire_and_a_list_of_step_sizes_can_be_diagnosed():
    assert diagnosis(rule=bv.FIRE(), steps=30).sensitivity.isfinite().all()
    listed = bv.GradientDescent([0.05] * 4, max_step=None)
    assert diagnosis(rule=listed, steps=4).spectral_radius < 1


def test_one_structure_that_does_not_diverge_is_asked_for():
    start = starts(2)
    with pytest.raises(ValueError, match="one structure"):
        bv.diagnose_gradient(network(), start, targets(start))
    with pytest.raises(RuntimeError, match="diverged at step"):
        diagnosis(eta=1e200, steps=30)
