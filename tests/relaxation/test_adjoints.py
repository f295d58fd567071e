"""Gradients through relaxations, against finite differences and against each other."""

import pytest
import torch
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


@pytest.mark.parametrize("segment_length", [1, 2, 5, 7, 100])
def test_checkpointed_equals_full(segment_length):
    loss, leaves = problem(bv.FullBPTT(), learnable="each")
    full = torch.autograd.grad(loss(leaves["start"]), list(leaves.values()))
    loss, leaves = problem(bv.CheckpointedBPTT(segment_length), learnable="each")
    checkpointed = torch.autograd.grad(loss(leaves["start"]), list(leaves.values()))
    for one, two in zip(full, checkpointed, strict=True):
        assert (one - two).norm() / one.norm() < 1e-12


@pytest.mark.parametrize("adjoint", [bv.FullBPTT(), bv.CheckpointedBPTT(2)], ids=repr)
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
        for adjoint in (bv.FullBPTT(), bv.CheckpointedBPTT()):
            result = bv.relax(network(), starts(1), adjoint=adjoint)
            assert not result.final.positions.requires_grad


def test_senseless_checkpointing_is_refused():
    with pytest.raises(ValueError, match="segment_length"):
        bv.CheckpointedBPTT(0)


def test_weights_changed_before_the_replay_are_noticed():
    potential = network()
    result = bv.relax(potential, starts(1), adjoint=bv.CheckpointedBPTT())
    with torch.no_grad():
        potential.stiffness.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.final.positions.sum().backward()
