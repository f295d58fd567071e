"""Objectives: force matching by hand, sums, what a gradient costs, and resuming."""

import json
import signal
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from springs import network
from taught import interrupt_after, labelled, references, weights

import bpttviz as bv
from bpttviz.provenance import specification

RULE, STOP = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(7)


@pytest.fixture(autouse=True)
def ctrl_c_works():
    """A shell that starts the tests in the background has told them to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def gradient(objective, potential, data):
    loss = objective.loss(potential, data).mean()
    return float(loss.detach()), torch.autograd.grad(loss, list(potential.parameters()))


def test_force_matching_by_hand():
    data, potential = labelled(2), network()
    by_hand = []
    for reference in data:
        frames = [reference.frames([place]) for place in (0, 2, 4, 6, 8)]
        errors = [(potential(frame).forces - forces).abs() for frame, forces in frames]
        by_hand.append(torch.stack(errors).mean())
    objective = bv.ForceLoss(frames=5)
    found = objective.loss(potential, data)
    assert torch.allclose(found, torch.stack(by_hand))
    expected = torch.autograd.grad(sum(by_hand), list(potential.parameters()))
    for ours, theirs in zip(
        torch.autograd.grad(found.sum(), list(potential.parameters())), expected, strict=True
    ):
        assert torch.allclose(ours, theirs)
    with torch.no_grad():
        assert not objective.loss(potential, data).requires_grad


def test_one_graph_at_a_time():
    """No frame's prediction is alive when the next one is made."""
    alive, most = weakref.WeakSet(), []

    class Watched(bv.Springs):
        def energy(self, structures):
            most.append(len(alive))
            energy = super().energy(structures)
            alive.add(energy)
            return energy

    potential = Watched(**network().config())
    loss = bv.ForceLoss(frames=6).loss(potential, labelled(1)).mean()
    torch.autograd.grad(loss, list(potential.parameters()))
    assert len(most) == 6
    assert max(most) <= 1


def test_frames_are_spread_evenly_and_never_repeated():
    (reference,) = labelled(1, frames=9)
    for frames, places in {1: [0], 3: [0, 4, 8], 9: range(9), 20: range(9)}.items():
        assert bv.ForceLoss(frames).places(reference) == list(places)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        bv.ForceLoss(0)


def test_a_reference_without_forces_is_named():
    data = bv.RelaxationDataset([*labelled(1), references(2)[1]])
    with pytest.raises(ValueError, match="r1 has no frames with forces"):
        bv.ForceLoss().loss(network(), data)


def test_training_asks_for_forces_before_it_begins(tmp_path):
    """Else it would stop in the middle of an epoch."""
    some = [*labelled(2), *(replace(one, name=f"bare-{one.name}") for one in references(2))]
    data, begun = bv.RelaxationDataset(some), []
    call = {"epochs": 1, "progress": False, "out": tmp_path / "run", "on_update": begun.append}
    bare = r"bare-r0, bare-r1 \(2 of 4\) have no frames with forces"
    replayed = bv.EndpointLoss(RULE, STOP) + bv.Replay(bv.ForceLoss(2), data)
    for objective in (bv.ForceLoss(2), bv.EndpointLoss(RULE, STOP) + bv.ForceLoss(2), replayed):
        with pytest.raises(ValueError, match=bare):
            bv.finetune(network(), data, objective, **call)
    with pytest.raises(ValueError, match=r"bare-r1 has no frames with forces"):
        bv.finetune(network(), data[:2], bv.ForceLoss(2), validation=data[3:], **call)
    assert not begun
    assert not (tmp_path / "run").exists()


def test_a_weighted_sum_is_what_it_says():
    data, potential = labelled(2), network()
    endpoint, forces = bv.EndpointLoss(RULE, STOP), bv.ForceLoss(4)
    both = endpoint + 0.1 * forces
    assert repr(both) == f"{endpoint!r} + 0.1 * ForceLoss(frames=4)"
    assert repr(3 * (both + forces)) == (
        f"3 * {endpoint!r} + 0.3 * ForceLoss(frames=4) + 3 * ForceLoss(frames=4)"
    )
    assert both.rule is endpoint.rule
    assert forces.rule is None
    three = [gradient(o, potential, data) for o in (endpoint, forces, both)]
    values, slopes = zip(*three, strict=True)
    assert values[2] == pytest.approx(values[0] + 0.1 * values[1])
    for a, b, c in zip(*slopes, strict=True):
        assert torch.allclose(c, a + 0.1 * b)
    assert both.backward is endpoint.backward
    assert len(both.backward.sensitivity) == STOP.max_steps


def test_forces_on_held_atoms_are_no_labels():
    """A file says zero for them; a potential that says something else is not wrong."""
    (reference,) = labelled(1)
    held = torch.tensor([True, True, False, False])
    start = replace(reference.start, fixed=held)
    places = torch.where(held[:, None], start.positions, reference.end.positions)
    end = start.with_positions(places)
    zeroed = replace(
        reference.trajectory, forces=torch.where(held[:, None], 0.0, reference.trajectory.forces)
    )
    objective, learner = bv.ForceLoss(4), network()
    found = objective.loss(
        learner,
        bv.RelaxationDataset([replace(reference, start=start, end=end, trajectory=zeroed)]),
    )
    by_hand = [
        (learner(frame).forces - forces)[2:].abs().mean()
        for frame, forces in (reference.frames([place]) for place in objective.places(reference))
    ]
    assert torch.allclose(found, torch.stack(by_hand).mean())
    all_held = replace(start, fixed=torch.ones_like(held))
    nothing = bv.RelaxationDataset([replace(reference, start=all_held, end=all_held)])
    assert objective.loss(learner, nothing).isnan().all()


def test_a_structure_that_cannot_be_evaluated_is_named_and_left_out():
    data = labelled(2)

    class Picky(bv.Springs):
        def energy(self, structures):
            if structures.names[0].startswith("r1"):
                raise bv.StructureError("has an atom without neighbours", 0, structures.names[0])
            return super().energy(structures)

    with pytest.warns(UserWarning, match="r1, frame 0.*without neighbours; r1 is left out"):
        loss = bv.ForceLoss(3).loss(Picky(**network().config()), data)
    assert loss.isnan().tolist() == [False, True]


def test_an_objective_says_all_that_it_depends_on():
    """Exactly: the fifth digit of a step size makes another objective."""
    base = bv.EndpointLoss(RULE, STOP) + 0.1 * bv.ForceLoss(5)

    def rule(step_size=0.1, **other):
        return bv.GradientDescent(step_size, **({"max_step": None} | other))

    others = [
        bv.EndpointLoss(rule(0.10000001), STOP) + 0.1 * bv.ForceLoss(5),
        bv.EndpointLoss(rule(max_step=0.2), STOP) + 0.1 * bv.ForceLoss(5),
        bv.EndpointLoss(rule(), bv.StoppingCriterion(8)) + 0.1 * bv.ForceLoss(5),
        bv.EndpointLoss(rule(), STOP, bv.TruncatedBPTT(3)) + 0.1 * bv.ForceLoss(5),
        bv.EndpointLoss(rule(), STOP, bv.TruncatedBPTT(4)) + 0.1 * bv.ForceLoss(5),
        bv.EndpointLoss(rule(), STOP) + 0.1000001 * bv.ForceLoss(5),
        bv.EndpointLoss(rule(), STOP) + 0.1 * bv.ForceLoss(6),
        bv.EndpointLoss(rule(), STOP),
    ]
    said = [json.dumps(specification(one)) for one in (base, *others)]
    assert len(set(said)) == len(said)
    assert (
        json.dumps(specification(bv.EndpointLoss(rule(), STOP) + 0.1 * bv.ForceLoss(5))) == said[0]
    )
    again = bv.EndpointLoss(**bv.EndpointLoss(RULE, STOP).config())
    assert again.rule is RULE


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"stop": 20}, "stop must be a StoppingCriterion, such as"),
        ({"rule": "fire"}, "rule must be an UpdateRule, such as"),
        (
            {"adjoint": bv.FullBPTT},
            r"the class FullBPTT itself was given: write FullBPTT\(\.\.\.\)",
        ),
        ({"rule": bv.StoppingCriterion()}, "rule must be an UpdateRule"),
    ],
)
def test_parts_of_another_class_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(TypeError, match=sentence):
        bv.EndpointLoss(**arguments)


def test_an_objective_without_a_loss_cannot_be_made():
    class Empty(bv.Objective):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Empty()


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.int64(2), 2])
def test_numpys_numbers_are_weights(number):
    for both in (number * bv.ForceLoss(3), bv.ForceLoss(3) * number):
        ((weight, _),) = both.terms
        assert weight == number
        assert type(weight) is float
    assert bv.ForceLoss(np.int64(7)).config() == {"frames": 7}


@pytest.mark.parametrize("frames", [0, -1, 2.5, float("nan"), float("inf"), True, "5", None])
def test_a_number_of_frames_that_makes_no_sense_is_refused(frames):
    with pytest.raises(
        (TypeError, ValueError), match="frames must be a whole number of at least 1"
    ):
        bv.ForceLoss(frames)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_that_makes_no_sense_is_refused(weight):
    with pytest.raises(ValueError, match="weight of ForceLoss"):
        bv.EndpointLoss() + weight * bv.ForceLoss()


def test_terms_must_share_a_learnable_rule():
    one, other = (bv.EndpointLoss(bv.GradientDescent(0.1, learnable=True)) for _ in range(2))
    with pytest.raises(ValueError, match="different rules with learnable step sizes"):
        one + other
    fixed = bv.EndpointLoss(bv.HeavyBall(0.1))
    assert (fixed + one).rule is one.rule  # the one that is trained
    assert (fixed + bv.EndpointLoss(bv.GradientDescent(0.1))).rule is fixed.rule
    rule = bv.GradientDescent(0.1)
    assert (
        bv.EndpointLoss(rule, bv.StoppingCriterion(3))
        + bv.EndpointLoss(rule, bv.StoppingCriterion(9))
    ).rule is rule
    with pytest.raises(TypeError):
        bv.EndpointLoss() + 1
    with pytest.raises(TypeError):
        "2" * bv.EndpointLoss()


def test_a_sum_trains_the_step_size_of_its_rule(tmp_path):
    rule = bv.GradientDescent(0.1, max_step=None, learnable=True)
    run = bv.finetune(
        network(), labelled(2), bv.EndpointLoss(rule, STOP) + 0.1 * bv.ForceLoss(3), epochs=2,
        learning_rate=0.02, out=tmp_path, progress=False,
    )  # fmt: skip
    assert float(run.rule.step_size.detach()) != pytest.approx(0.1, rel=1e-3)
    assert float(rule.step_size.detach()) == pytest.approx(0.1)
    assert torch.equal(bv.load_run(tmp_path).rule.step_size, run.rule.step_size)


@pytest.mark.parametrize(
    ("objective", "evaluations"),
    [
        (bv.EndpointLoss(RULE, STOP), 7),
        (bv.EndpointLoss(RULE, STOP, bv.FullBPTT()), 7),
        (bv.EndpointLoss(RULE, STOP, bv.TruncatedBPTT(3)), 3),
        (bv.ForceLoss(5), 5),
        (bv.ForceLoss(20), 9),
        (bv.EndpointLoss(RULE, STOP) + 0.1 * bv.ForceLoss(5), 12),
    ],
    ids=repr,
)
def test_evaluations_are_counted(objective, evaluations):
    data = labelled(2)
    assert bv.count_evaluations(objective, network(), data) == 2 * evaluations


def test_matching_forces_teaches_and_resumes_bit_by_bit(tmp_path):
    data, objective = labelled(), bv.EndpointLoss(RULE, STOP) + 5 * bv.ForceLoss(5)
    call = {"epochs": 6, "learning_rate": 0.02, "progress": False}
    whole = bv.finetune(network(), data, objective, **call)
    part = bv.finetune(
        network(), data, objective, **call, out=tmp_path, on_update=interrupt_after(5)
    )
    assert part.status == "interrupted"
    rest = bv.finetune(network(), data, objective, **call, out=tmp_path)
    assert torch.equal(weights(rest.potential), weights(whole.potential))
    with torch.no_grad():
        before, after = (bv.ForceLoss().loss(p, data).mean() for p in (network(), whole.potential))
    assert after < 0.95 * before  # the ends are learned up to a rotation, which forces are not
    alone = bv.finetune(network(), data, bv.ForceLoss(), **{**call, "epochs": 40})
    assert alone.rule is None
    with torch.no_grad():
        assert bv.ForceLoss().loss(alone.potential, data).mean() < 0.6 * before
