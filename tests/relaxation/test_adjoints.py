"""Gradients through relaxations, against finite differences and against each other."""

import pytest
import torch
from ase import Atoms
from springs import central_difference, network, starts, targets

import bpttviz as bv


def problem(adjoint, steps=7, learnable=True):
    potential, start = network(), starts(2)
    target = targets(start)
    sizes = torch.linspace(0.05, 0.11, steps).tolist() if learnable == "each" else 0.08
    rule = bv.GradientDescent(sizes, max_step=0.4, learnable=True)

    def loss(x):
        result = bv.relax(
            potential, start.with_positions(x), rule, bv.StoppingCriterion(steps), adjoint
        )
        return bv.delta_q(target, result.final).sum()

    x = start.positions.clone().requires_grad_()
    leaves = {
        "start": x,
        "stiffness": potential.stiffness,
        "rest": potential.rest,
        "step size": rule.log_step_size,
    }
    return loss, leaves


@pytest.mark.parametrize("learnable", [True, "each"])
@pytest.mark.parametrize(
    "adjoint", [bv.FullBPTT(), bv.CheckpointedBPTT(), bv.CheckpointedBPTT(3)], ids=repr
)
def test_gradients_equal_central_differences(adjoint, learnable):
    loss, leaves = problem(adjoint, learnable=learnable)
    gradients = torch.autograd.grad(loss(leaves["start"]), list(leaves.values()))

    def value():
        with torch.no_grad():
            return float(loss(leaves["start"]))

    for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        expected = central_difference(value, leaf)
        assert expected.norm() > 1e-3, f"d(loss)/d({name}) is zero; this would prove nothing"
        assert (gradient - expected).norm() / expected.norm() < 1e-7, name


@pytest.mark.parametrize(
    ("segment_length", "kept_steps"), [(1, 0), (2, 0), (5, 3), (7, 0), (1, 6), (1, 7), (100, 100)]
)
def test_checkpointed_equals_full(segment_length, kept_steps):
    loss, leaves = problem(bv.FullBPTT(), learnable="each")
    full = torch.autograd.grad(loss(leaves["start"]), list(leaves.values()))
    loss, leaves = problem(bv.CheckpointedBPTT(segment_length, kept_steps), learnable="each")
    checkpointed = torch.autograd.grad(loss(leaves["start"]), list(leaves.values()))
    for one, two in zip(full, checkpointed, strict=True):
        assert (one - two).norm() / one.norm() < 1e-12


@pytest.mark.parametrize(
    "adjoint",
    [bv.FullBPTT(), bv.CheckpointedBPTT(2), bv.CheckpointedBPTT(2, kept_steps=5)],
    ids=repr,
)
def test_gradient_with_members_that_stop_early(adjoint):
    potential, start = network(), starts(2)
    target = targets(start)
    x = start.positions.clone()
    x[4:8] = potential.rest_positions(start[1].positions).detach() + 0.01 * x[:4]
    start = start.with_positions(x)
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(12, fmax=0.02)

    def loss():
        result = bv.relax(potential, start, rule, stop, adjoint)
        assert result.steps[1] < result.steps[0] == 12
        return bv.delta_q(target, result.final).sum()

    (gradient,) = torch.autograd.grad(loss(), potential.stiffness)

    def value():
        with torch.no_grad():
            return float(loss())

    expected = central_difference(value, potential.stiffness)
    assert (gradient - expected).norm() / expected.norm() < 1e-7


def test_no_graph_without_gradients():
    with torch.no_grad():
        for adjoint in (bv.FullBPTT(), bv.CheckpointedBPTT(), bv.CheckpointedBPTT(1, 3)):
            result = bv.relax(network(), starts(1), adjoint=adjoint)
            assert not result.final.positions.requires_grad


def test_senseless_checkpointing_is_refused():
    with pytest.raises(ValueError, match="segment_length"):
        bv.CheckpointedBPTT(0)
    with pytest.raises(ValueError, match="kept_steps"):
        bv.CheckpointedBPTT(1, -1)


def test_a_kept_step_is_evaluated_once_and_a_recomputed_one_twice():
    for kept, evaluations in ((0, 14), (3, 11), (7, 7), (9, 7)):
        potential, count = network(), []
        potential.register_forward_pre_hook(lambda *_, count=count: count.append(1))
        adjoint = bv.CheckpointedBPTT(kept_steps=kept)
        result = bv.relax(potential, starts(1), stop=bv.StoppingCriterion(7), adjoint=adjoint)
        result.final.positions.sum().backward()
        assert len(count) == evaluations + 1  # and one at the end, to measure


def test_weights_changed_before_the_replay_are_noticed():
    potential = network()
    result = bv.relax(potential, starts(1), adjoint=bv.CheckpointedBPTT())
    with torch.no_grad():
        potential.stiffness.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.final.positions.sum().backward()


# --- each step by itself -------------------------------------------------------------------------


class Spring(bv.Potential):
    """An atom on a spring along x: everything is known in closed form."""

    net_force_free = equivariant = False

    def __init__(self, rest=1.0, stiffness=2.0):
        super().__init__()
        self.rest = torch.nn.Parameter(torch.tensor(rest).double())
        self.stiffness = stiffness

    def energy(self, structures):
        return 0.5 * self.stiffness * (structures.positions - self.rest).pow(2).sum()[None]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_what_the_gradient_through_time_adds_is_known_for_a_spring(steps):
    """dX_K/dx*: each step alone gives eta k, and time makes of their sum 1 - (1 - eta k)^K."""
    start = bv.Structures.from_ase(Atoms("H"))
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(steps)
    expected = {
        bv.FullBPTT(): 1 - (1 - 0.2) ** steps,
        bv.CheckpointedBPTT(): 1 - (1 - 0.2) ** steps,
        bv.TruncatedBPTT(2): 1 - (1 - 0.2) ** min(steps, 2),
        bv.DetachedBPTT(): 0.2 * steps,
    }
    for adjoint, slope in expected.items():
        potential = Spring()
        end = bv.relax(potential, start, rule, stop, adjoint).final.positions[0, 0]
        (found,) = torch.autograd.grad(end, [potential.rest])
        assert float(found) == pytest.approx(slope, rel=1e-12)
        assert float(end.detach()) == pytest.approx(1 - 0.8**steps, rel=1e-12)


@pytest.mark.parametrize(
    "rule", [bv.GradientDescent(0.08), bv.HeavyBall(0.05), bv.FIRE()], ids=repr
)
def test_detached_steps_go_where_all_go_and_agree_over_one_step(rule):
    potential, start = network(), starts(2)
    for steps in (1, 6):
        ends, slopes = [], []
        for adjoint in (bv.DetachedBPTT(), bv.FullBPTT()):
            final = bv.relax(potential, start, rule, bv.StoppingCriterion(steps), adjoint).final
            ends.append(final.positions.detach())
            loss = bv.delta_q(final, targets(start)).sum()
            slopes.append(torch.autograd.grad(loss, list(potential.parameters())))
        assert torch.allclose(*ends, rtol=0, atol=1e-12)
        alike = [torch.allclose(x, y, atol=1e-10) for x, y in zip(*slopes, strict=True)]
        assert all(alike) if steps == 1 else not any(alike)


def test_detached_steps_without_gradients_are_a_plain_relaxation():
    potential, start = network(), starts(2)
    with torch.no_grad():
        one, other = (
            bv.relax(
                potential, start, stop=bv.StoppingCriterion(4), adjoint=adjoint
            ).final.positions
            for adjoint in (bv.DetachedBPTT(), bv.FullBPTT())
        )
    assert torch.equal(one, other)
