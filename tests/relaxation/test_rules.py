"""Rules beyond gradient descent: what they do, and their gradients through time."""

import numpy as np
import pytest
import torch
from ase.optimize import FIRE as AseFIRE
from springs import central_difference, network, starts, targets

import bpttviz as bv
from bpttviz.experiments.protocol import PaperRecipe

RULES = {
    "heavy ball": lambda: bv.HeavyBall(0.05, 0.6, max_step=0.4, learnable=True),
    "FIRE": lambda: bv.FIRE(0.15),
}


@pytest.mark.parametrize(
    "adjoint", [bv.FullBPTT(), bv.CheckpointedBPTT(), bv.CheckpointedBPTT(4)], ids=repr
)
@pytest.mark.parametrize("name", RULES)
def test_gradients_equal_central_differences(name, adjoint):
    potential, start, rule = network(), starts(2), RULES[name]()
    target = targets(start)
    x = start.positions.clone().requires_grad_()
    leaves = {"start": x, "stiffness": potential.stiffness, **dict(rule.named_parameters())}

    def loss():
        result = bv.relax(
            potential, start.with_positions(x), rule, bv.StoppingCriterion(17), adjoint
        )
        return bv.delta_q(target, result.final).sum()

    gradients = torch.autograd.grad(loss(), list(leaves.values()))

    def value():
        with torch.no_grad():
            return float(loss())

    for (leaf_name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        expected = central_difference(value, leaf, 1e-6)
        assert expected.norm() > 1e-3, leaf_name
        assert (gradient - expected).norm() / expected.norm() < 1e-7, leaf_name


@pytest.mark.parametrize("name", RULES)
def test_they_rest_where_gradient_descent_rests(name):
    potential, start = network(), starts(2)
    exact = torch.cat([potential.rest_positions(x) for x in start.split(start.positions)])
    with torch.no_grad():
        result = bv.relax(potential, start, RULES[name](), bv.StoppingCriterion(3000, fmax=1e-10))
    assert result.converged.all()
    # ΔQ, as a step shortened atom by atom moves the centre of mass
    assert bv.delta_q(result.final, start.with_positions(exact)).max() < 1e-7


@pytest.mark.parametrize("name", RULES)
def test_a_batch_equals_its_members(name):
    potential, start = network(), starts(3)
    with torch.no_grad():
        together = bv.relax(potential, start, RULES[name](), bv.StoppingCriterion(60, fmax=0.05))
        for index in range(3):
            alone = bv.relax(
                potential, start[index], RULES[name](), bv.StoppingCriterion(60, fmax=0.05)
            )
            assert alone.steps[0] == together.steps[index]
            torch.testing.assert_close(alone.final.positions, together[index].final.positions)
    assert len(set(together.steps.tolist())) > 1, "they should stop at different steps"


def test_heavy_ball_without_momentum_is_gradient_descent():
    with torch.no_grad():
        ball = bv.relax(network(), starts(2), bv.HeavyBall(0.05, 0.0), bv.StoppingCriterion(9))
        plain = bv.relax(network(), starts(2), bv.GradientDescent(0.05), bv.StoppingCriterion(9))
    torch.testing.assert_close(ball.trajectory, plain.trajectory)


def test_heavy_ball_needs_fewer_steps_in_a_long_valley():
    potential = bv.Springs.frustrated(6, seed=3)
    curvatures = torch.linalg.eigvalsh(potential.laplacian().detach())[1:]
    low, high = float(curvatures[0]), float(curvatures[-1])
    # the optimal settings of each for a quadratic bowl
    best = {
        "plain": bv.GradientDescent(2 / (low + high), max_step=None),
        "ball": bv.HeavyBall(
            4 / (low**0.5 + high**0.5) ** 2,
            ((high**0.5 - low**0.5) / (high**0.5 + low**0.5)) ** 2,
            max_step=None,
        ),
    }
    with torch.no_grad():
        made = {
            name: int(
                bv.relax(potential, starts(1, 6), rule, bv.StoppingCriterion(500, fmax=1e-8)).steps[
                    0
                ]
            )
            for name, rule in best.items()
        }
    assert made["ball"] < 0.8 * made["plain"]


@pytest.mark.parametrize("far", [0.05, 0.6])
def test_fire_makes_the_steps_that_ase_makes(far):
    """ASE's own optimiser over the same potential; a far start makes it shorten steps and turn."""
    potential = network()
    (atoms,) = starts(1).to_ase()
    exact = potential.rest_positions(starts(1).positions).detach()
    atoms.positions = exact.numpy() + far * (atoms.positions - exact.numpy())
    copy = atoms.copy()
    copy.calc = potential.calculator()
    steps = [copy.positions.copy()]
    optimizer = AseFIRE(copy, logfile=None)
    optimizer.attach(lambda: steps.append(copy.positions.copy()))
    optimizer.run(fmax=1e-9, steps=80)
    with torch.no_grad():
        ours = bv.relax(potential, atoms, bv.FIRE(), bv.StoppingCriterion(80, fmax=1e-9))
    theirs = torch.tensor(np.array(steps[-len(ours.trajectory) :]))
    torch.testing.assert_close(ours.trajectory, theirs, rtol=0, atol=1e-9)
    assert len(ours.trajectory) > 40


def test_fire_leaves_a_fixed_atom_where_it_is():
    potential, start = network(), starts(2)
    fixed = start.fixed.clone()
    fixed[[0, 6]] = True
    start = bv.Structures(**{**vars(start), "fixed": fixed})
    with torch.no_grad():
        result = bv.relax(potential, start, bv.FIRE(), bv.StoppingCriterion(3000, fmax=1e-8))
    assert result.converged.all()
    torch.testing.assert_close(result.final.positions[fixed], start.positions[fixed])


def test_rules_rebuild_themselves():
    for make in RULES.values():
        rule = make()
        again = type(rule)(**rule.config())
        assert repr(again) == repr(rule)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bv.HeavyBall(0.0), "step_size"),
        (lambda: bv.HeavyBall(momentum=1.0), "momentum"),
        (lambda: bv.HeavyBall(momentum=0.0, learnable=True), "learned"),
        (lambda: bv.HeavyBall(max_step=-1), "max_step"),
        (lambda: bv.FIRE(time_step=0), "time_step"),
        (lambda: bv.FIRE(max_step=-0.1), "max_step"),
    ],
)
def test_senseless_rules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_all_defaults_are_one_map():
    plain = bv.EndpointLoss()
    recipe, paper = bv.Recipe(), PaperRecipe()
    assert repr(plain.rule) == repr(bv.GradientDescent()) == repr(recipe.rule) == repr(paper.rule)
    assert plain.stop == recipe.stop == paper.stop
