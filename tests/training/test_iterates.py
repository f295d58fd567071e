"""A loss after every step."""

import json

import pytest
import torch
from springs import check_gradient, network
from taught import references

import bpttviz as bv
from bpttviz.provenance import specification

RULE, STOP = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(6)
DRAW = bv.Draw(7, 2)


@pytest.mark.parametrize("rise", [0.0, 1.0, 2.5])
def test_iterates_count_with_rising_weights(rise):
    data, potential = references(2), network()
    with torch.no_grad():
        path = bv.relax(potential, data.starts(), RULE, STOP).trajectory[1:]
    counts = torch.tensor([(t / 6) ** rise for t in range(1, 7)], dtype=torch.float64)
    places = [bv.delta_q(data.starts().with_positions(x), data.ends()) for x in path]
    by_hand = (counts[:, None] * torch.stack(places)).sum(0) / counts.sum()
    objective = bv.IterateLoss(RULE, STOP, rise)
    assert torch.allclose(objective.loss(potential, data), by_hand, rtol=1e-12)
    with torch.no_grad():
        assert torch.allclose(objective.loss(potential, data), by_hand, rtol=1e-12)
    assert bv.count_evaluations(objective, potential, data) == 2 * 6


@pytest.mark.parametrize("rule", [RULE, bv.HeavyBall(0.05, 0.7, max_step=None)], ids=repr)
def test_the_gradient_through_iterates_is_that_of_central_differences(rule):
    objective = bv.IterateLoss(rule, STOP, starts=bv.AroundEnd(), resolution=0.2)
    check_gradient(objective, network(), references(2), DRAW)
    objective.loss(network(), references(2), DRAW).sum().backward()
    assert sorted(objective.backward.sensitivity) == list(range(1, 7))


def test_with_a_steep_rise_only_the_end_counts():
    data, potential = references(2), network()
    ends = bv.EndpointLoss(RULE, STOP)
    steep = bv.IterateLoss(RULE, STOP, rise=1e4)
    found = [
        torch.autograd.grad(o.loss(potential, data).sum(), list(potential.parameters()))
        for o in (ends, steep)
    ]
    for one, two in zip(*found, strict=True):
        assert torch.allclose(one, two, rtol=1e-12)


def test_a_path_that_ends_early_counts_its_end_once():
    data, potential = references(1), network()
    stop = bv.StoppingCriterion(60, fmax=0.02)
    with torch.no_grad():
        made = bv.relax(potential, data.starts(), RULE, stop)
        steps = int(made.steps)
        assert 2 < steps < 60
        start = data.starts()
        places = [bv.delta_q(start.with_positions(x), data.ends()) for x in made.trajectory[1:]]
    counts = torch.tensor([t / steps for t in range(1, steps + 1)], dtype=torch.float64)
    by_hand = (counts[:, None] * torch.stack(places[:steps])).sum(0) / counts.sum()
    assert torch.allclose(bv.IterateLoss(RULE, stop).loss(potential, data), by_hand, rtol=1e-10)


def test_iterates_are_filed_under_their_rise():
    made = [bv.IterateLoss(RULE, STOP, rise) for rise in (1.0, 2.0)] + [bv.EndpointLoss(RULE, STOP)]
    assert len({json.dumps(specification(one)) for one in made}) == 3
    again = bv.IterateLoss(**bv.IterateLoss(RULE, STOP, 2.0, bv.AroundEnd()).config())
    assert (again.rise, again.starts) == (2.0, bv.AroundEnd())
    with pytest.raises(ValueError, match="rise must be"):
        bv.IterateLoss(rise=-1)
