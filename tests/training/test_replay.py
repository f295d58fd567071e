"""Relaxations of another set, beside those that are trained on."""

import json
import signal
from dataclasses import replace
from functools import cache

import pytest
import torch
from springs import check_gradient, network, starts, targets
from taught import SETTINGS, interrupt_after, references, weights

import bpttviz as bv
from bpttviz.provenance import specification

RULE, STOP = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(6)
DRAW = bv.Draw(7, 2)
CLOSE = bv.Relaxer(fmax=1e-3, max_steps=2000)


def back(starts=None):
    return bv.EndpointLoss(RULE, STOP, starts=starts, resolution=0.2)


@pytest.fixture(autouse=True)
def ctrl_c_works():
    """A shell that starts the tests in the background has told them to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def truth():
    return network(seed=2)


def near():
    """Five starts not far from where `truth` lets them rest."""
    rest = references(5).ends()
    return rest.with_positions(torch.lerp(rest.positions, targets(rest).positions, 0.2))


def other_ends():
    """What pulls `truth` away from its own minima."""
    return bv.RelaxationDataset(
        [replace(r, end=r.end.with_positions(targets(r.end).positions)) for r in references(4)]
    )


@cache
def own():
    return bv.own_relaxations(truth(), near(), CLOSE)


def test_replay_is_the_objectives_loss_on_the_relaxations_that_are_drawn():
    kept, data = own(), references(3)
    replay = bv.Replay(back(), kept, count=2)
    found = replay.loss(network(), data, DRAW)
    for name, value in zip(data.names, found, strict=True):
        places = replay.places(name, DRAW)
        assert len(set(places)) == 2
        by_hand = back().loss(network(), kept[places]).mean()
        assert float(value.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-12)


def test_its_work_is_that_of_what_is_drawn():
    reference = references(1)[0]
    each = back().work(own()[0])  # all have four atoms
    assert bv.Replay(back(), own(), count=2).work(reference) == 2 * each
    assert bv.Replay(back(), own(), count=9).work(reference) == 5 * each


def test_replays_gradient_is_that_of_central_differences():
    replay = bv.Replay(back(bv.AroundEnd()), own(), count=2)
    check_gradient(replay, network(), references(1), DRAW)


def test_what_is_drawn_beside_two_structures_is_displaced_differently():
    replay = bv.Replay(back(bv.AroundEnd()), own()[:1])
    first, second = replay.loss(network(), references(2), DRAW).tolist()
    assert first != second
    assert replay.loss(network(), references(2), DRAW).tolist() == [first, second]


def test_without_a_draw_it_is_always_the_same():
    replay = bv.Replay(back(bv.AroundEnd()), own())
    assert torch.equal(*(replay.loss(network(), references(3)) for _ in range(2)))


def test_own_relaxations_end_where_the_potential_lets_them_rest():
    potential, given = truth(), near()
    found = bv.own_relaxations(potential, given, CLOSE)
    assert found.names == list(given.names)
    for place, reference in enumerate(found):
        assert torch.equal(reference.start.positions, given[place].positions)
        with torch.no_grad():
            assert float(potential(reference.end).forces.norm(dim=1).max()) < 1e-3
    # The potential itself has nothing to learn from them: it comes back by itself.
    far = bv.EndpointLoss(RULE, bv.StoppingCriterion(300))
    assert float(bv.Replay(far, found, 5).loss(potential, references(1)).detach()) < 1e-2


def test_what_does_not_come_to_rest_is_named():
    potential, given = truth(), near()
    steps = bv.Relaxer(fmax=1e-2, max_steps=2000).run(potential, given).steps.tolist()
    limit = sorted(steps)[2]
    late = [name for name, n in zip(given.names, steps, strict=True) if n > limit]
    with pytest.warns(UserWarning, match=f"left out: {late[0]} .not at rest"):
        found = bv.own_relaxations(potential, given, bv.Relaxer(1e-2, limit))
    assert set(found.names) == set(given.names) - set(late)
    with pytest.raises(ValueError, match="no structure came to rest"):
        bv.own_relaxations(potential, given, bv.Relaxer(1e-9, 1))


def test_what_goes_too_far_is_named():
    given = near()
    far = given.positions.clone()
    far[0] += torch.tensor([6.0, 0.0, 0.0], dtype=torch.float64)
    with pytest.warns(UserWarning, match="left out: r0 .an atom of it went too far"):
        kept = bv.own_relaxations(truth(), given.with_positions(far), CLOSE)
    assert kept.names == ["r1", "r2", "r3", "r4"]


def test_replay_keeps_what_a_training_would_change():
    data, kept = other_ends(), own()
    goal, keep = bv.EndpointLoss(RULE, STOP), bv.Replay(back(), kept, count=5)
    call = {"epochs": 3, "learning_rate": 0.02, "progress": False}
    lost = []
    for objective in (goal, goal + 5 * keep):
        run = bv.finetune(truth(), data, objective, **call)
        with torch.no_grad():
            lost.append(float(keep.loss(run.potential, data[:1])))
    assert lost[1] < 0.7 * lost[0]


def test_a_run_with_replay_resumes_bit_for_bit(tmp_path):
    objective = bv.EndpointLoss(RULE, STOP) + bv.Replay(back(bv.AroundEnd()), own())
    data = references(4)

    whole = bv.finetune(network(), data, objective, **SETTINGS)
    call = {**SETTINGS, "out": tmp_path / "run"}
    half = bv.finetune(network(), data, objective, on_update=interrupt_after(5), **call)
    assert half.status == "interrupted"
    resumed = bv.finetune(network(), data, objective, **call)
    assert torch.equal(weights(resumed.potential), weights(whole.potential))


def test_replay_is_filed_under_objective_relaxations_and_count():
    made = [
        bv.Replay(back(), own()),
        bv.Replay(bv.EndpointLoss(), own()),
        bv.Replay(back(), own()[:3]),
        bv.Replay(back(), own(), count=2),
    ]
    said = [json.dumps(specification(one)) for one in made]
    assert len(set(said)) == len(said)
    assert json.dumps(specification(bv.Replay(back(), own()))) == said[0]
    assert "5 relaxations, count=1" in repr(made[0])


def test_what_cannot_be_replayed_is_refused():
    with pytest.raises(TypeError, match="objective must be an Objective"):
        bv.Replay("endpoint", own())
    with pytest.raises(TypeError, match="references must be a RelaxationDataset"):
        bv.Replay(back(), starts())
    with pytest.raises(ValueError, match="there are no relaxations to replay"):
        bv.Replay(back(), bv.RelaxationDataset([]))
    with pytest.raises(ValueError, match="count must be a whole number"):
        bv.Replay(back(), own(), 0)
