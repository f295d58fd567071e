"""Starts that are drawn, and what they reward: springs know the answer in closed form."""

import json
from dataclasses import replace

import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from springs import check_gradient, network
from taught import references

import bpttviz as bv
from bpttviz.provenance import specification
from bpttviz.training.starts import distance_from_moved

ALL = [
    bv.ReferenceStarts(),
    bv.JitteredStarts(0.05),
    bv.AroundEnd(),
    bv.MixedStarts({bv.JitteredStarts(0.05): 1, bv.AroundEnd(): 1}),
]


def vacancy(held=()):
    """Silicon without an atom; one neighbour relaxes by 0.3 Å, the others by less."""
    start = bulk("Si", cubic=True) * (3, 3, 3)
    del start[0]
    start.set_constraint(FixAtoms(list(held)))
    end = start.copy()
    distances = start.get_distances(0, range(len(start)), mic=True)
    end.positions[0] += [0.3, 0, 0]
    end.positions[distances.argsort()[1]] += [0, 0.1, 0] if not held else [0, 0, 0]
    return bv.ReferenceRelaxation.from_ase("vacancy", [start, end], "g")


# --- what is drawn -------------------------------------------------------------------------------


@pytest.mark.parametrize("starts", ALL, ids=repr)
def test_without_a_draw_a_start_is_the_references_own(starts):
    data = references(3)
    batch = starts.batch(network(), data, None)
    assert torch.equal(batch.positions, data.starts().positions)


@pytest.mark.parametrize("starts", ALL[1:], ids=repr)
def test_the_same_draw_gives_the_same_start_alone_and_in_a_batch(starts):
    data, draw = references(3), bv.Draw(1, 2)
    batch = starts.batch(network(), data, draw)
    alone = [starts.batch(network(), data[[i]], bv.Draw(1, 2)).positions for i in (2, 0, 1)]
    assert torch.equal(batch.positions, torch.cat([alone[1], alone[2], alone[0]]))
    later = starts.batch(network(), data, bv.Draw(1, 3))
    assert not torch.equal(later.positions, batch.positions)
    assert batch.names == tuple(data.names)


def test_nothing_rigid_is_drawn():
    """Springs know directions, a periodic crystal too: only translations are free."""
    for starts in (bv.JitteredStarts(0.3), bv.AroundEnd(0.3, 0.3)):
        for reference in (*references(2), vacancy()):
            origin = reference.start if isinstance(starts, bv.JitteredStarts) else reference.end
            moved = starts.one(network(), reference, bv.Draw(0, 1)).positions - origin.positions
            assert float(moved.norm()) > 0.1
            assert float(moved.mean(0).norm()) < 1e-12


def test_a_molecule_is_not_turned():
    (reference,) = references(1)
    moved = (
        bv.JitteredStarts(0.01)
        .one(bv.PaiNN(features=4, layers=1, radial=3), reference, bv.Draw(0, 1))
        .positions
    )
    x = reference.start.positions
    arm, moved = x - x.mean(0), moved - x
    assert float(torch.linalg.cross(arm, moved).sum(0).norm()) < 1e-12
    springs = bv.JitteredStarts(0.01).one(network(), reference, bv.Draw(0, 1)).positions - x
    assert float(torch.linalg.cross(arm, springs).sum(0).norm()) > 1e-4


@pytest.mark.parametrize("starts", [bv.JitteredStarts(0.05), bv.AroundEnd(0.08, 0.02)], ids=repr)
def test_held_atoms_are_never_displaced(starts):
    reference = vacancy(held=[5, 17])
    drawn = starts.one(network(), reference, bv.Draw(0, 0))
    held = reference.start.fixed
    assert int(held.sum()) == 2
    assert torch.equal(drawn.positions[held], reference.start.positions[held])
    assert bool((drawn.positions[~held] != reference.end.positions[~held]).any(1).all())


def test_widths_are_those_asked_for_and_larger_where_the_relaxation_happened():
    reference = vacancy()
    near = distance_from_moved(reference) <= 5
    assert 10 < int(near.sum()) < len(near) / 2
    assert float(distance_from_moved(reference)[0]) == 0
    widths = []
    for epoch in range(300):
        drawn = bv.AroundEnd(0.08, 0.02).one(network(), reference, bv.Draw(0, epoch))
        moved = drawn.positions - reference.end.positions
        widths.append([float(moved[near].std()), float(moved[~near].std())])
    inside, outside = torch.tensor(widths).T
    assert 0.2 * 0.08 * 0.8 < inside.min() < 0.25 * 0.08
    assert 0.9 * 0.08 < inside.max() < 0.08 * 1.25
    assert (inside / outside).median() == pytest.approx(4, rel=0.05)
    jitter = bv.JitteredStarts(0.05).one(network(), reference, bv.Draw(0, 0))
    assert float((jitter.positions - reference.start.positions).std()) == pytest.approx(
        0.05, rel=0.1
    )


def test_where_nothing_moved_all_is_near():
    reference = vacancy()
    same = replace(reference, start=reference.end)
    assert float(distance_from_moved(same).max()) == 0


def test_shares_are_those_asked_for():
    (reference,) = references(1)
    mixed = bv.MixedStarts({bv.ReferenceStarts(): 3, bv.AroundEnd(): 1})
    drawn = [mixed.one(network(), reference, bv.Draw(0, epoch)) for epoch in range(2000)]
    own = sum(torch.equal(d.positions, reference.start.positions) for d in drawn)
    assert own / 2000 == pytest.approx(0.75, abs=0.03)  # three standard deviations
    nested = bv.MixedStarts({mixed: 1, bv.JitteredStarts(0.05): 1})
    assert [share for _, share in nested.shares] == [0.375, 0.125, 0.5]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bv.JitteredStarts(0), "sigma must be a number above 0 and at most 1, got 0"),
        (lambda: bv.JitteredStarts(float("nan")), "sigma must be"),
        (lambda: bv.AroundEnd(2.0), "sigma_near must be"),
        (lambda: bv.AroundEnd(0.1, -0.1), "sigma_far must be"),
        (lambda: bv.AroundEnd(near=-1), "near must be a finite number that is not negative"),
        (lambda: bv.MixedStarts({}), "must name one kind"),
        (lambda: bv.MixedStarts([bv.AroundEnd()]), "shares must be a mapping"),
        (lambda: bv.MixedStarts({bv.AroundEnd(): 0}), "the share of AroundEnd.* positive"),
        (lambda: bv.MixedStarts({"end": 1}), "a kind of starts must be a Starts"),
        (lambda: bv.EndpointLoss(starts=bv.AroundEnd), r"write AroundEnd\(\.\.\.\)"),
        (lambda: bv.EndpointLoss(resolution=-0.1), "resolution must be"),
        (lambda: bv.EndpointLoss().loss(network(), references(1), 3), "draw must be a Draw"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_an_objective_is_filed_under_its_starts_and_its_resolution():
    mixed = bv.MixedStarts({bv.AroundEnd(): 1, bv.ReferenceStarts(): 1})
    others = [
        bv.EndpointLoss(),
        bv.EndpointLoss(starts=bv.AroundEnd()),
        bv.EndpointLoss(starts=bv.AroundEnd(0.0800001)),
        bv.EndpointLoss(starts=mixed),
        bv.EndpointLoss(starts=bv.MixedStarts({bv.AroundEnd(): 2, bv.ReferenceStarts(): 1})),
        bv.EndpointLoss(resolution=0.1),
    ]
    said = [json.dumps(specification(one)) for one in others]
    assert len(set(said)) == len(said)
    # what is not asked for leaves a run of before what it was
    assert set(specification(bv.EndpointLoss())["config"]) == {"rule", "stop", "adjoint"}
    again = bv.EndpointLoss(**others[3].config())
    assert again.starts is mixed
    assert "starts=MixedStarts({AroundEnd(" in repr(again)
    assert repr(others[-1]).endswith("resolution=0.1)")


# --- what is rewarded: two atoms, one held, one spring -------------------------------------------

ETA, STEPS, MASS = 0.1, 6, 28.085


def spring(stiffness, length=2.0):
    return bv.Springs([[0, 1]], [stiffness], [[length, 0.0, 0.0]])


def pair(start=3.0, end=2.0):
    """Atom 0 is held, atom 1 goes along x; in a large cell, so that nothing is free to turn."""
    first, last = (
        Atoms("Si2", [[0, 0, 0], [x, 0, 0]], cell=[30] * 3, pbc=True, constraint=FixAtoms([0]))
        for x in (start, end)
    )
    return bv.RelaxationDataset([bv.ReferenceRelaxation.from_ase("pair", [first, last], "g")])


def endpoint(starts=None, **more):
    rule = bv.GradientDescent(ETA, max_step=None)
    return bv.EndpointLoss(rule, bv.StoppingCriterion(STEPS), starts=starts, **more)


def slope(objective, potential, data, draw=None):
    """dL/dk."""
    loss = objective.loss(potential, data, draw).mean()
    return float(torch.autograd.grad(loss, potential.stiffness)[0])


@pytest.mark.parametrize("stiffness", [0.5, 2.0, 5.0, 9.0, 10.0, 12.0])
def test_few_steps_from_afar_reward_speed_whatever_the_true_stiffness(stiffness):
    """x_K - x* = (1 - ηk)^K (x_0 - x*): with the right x* the best k is 1/η, not the true one."""
    data, found = pair(), endpoint().loss(spring(stiffness), pair())
    left = abs(1 - ETA * stiffness) ** STEPS
    assert found.item() == pytest.approx(MASS**0.5 * left, rel=1e-10, abs=1e-12)
    gradient = slope(endpoint(), spring(stiffness), data)
    expected = MASS**0.5 * -STEPS * ETA * (1 - ETA * stiffness) ** (STEPS - 1)
    assert gradient == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert stiffness == 1 / ETA or (gradient < 0) == (stiffness < 1 / ETA)


def test_so_training_to_the_end_bends_right_forces():
    potential = spring(2.0)
    potential.rest.requires_grad_(False)  # its resting place is right and stays so
    run = bv.finetune(potential, pair(), endpoint(), epochs=60, learning_rate=0.1, progress=False)
    assert float(run.potential.stiffness.detach()) > 4  # of 2, in spite of perfect labels


@pytest.mark.parametrize("stiffness", [0.5, 2.0, 5.0])
def test_few_steps_from_the_end_reward_slowness(stiffness):
    """x_K - x_ref = (1 - q) δ + q s, q = (1 - ηk)^K, for a resting place wrong by δ, a start by s.

    From the end itself (s ≪ δ) the loss falls with k: who does not move is not wrong.
    """
    wrong, starts, data, draw = 0.3, bv.AroundEnd(1e-4, 0), pair(), bv.Draw(0, 3)
    potential = spring(stiffness, 2.0 + wrong)
    begun = starts.one(potential, data[0], draw).positions[1] - data[0].end.positions[1]
    assert 0 < float(begun.norm()) < 1e-3
    q = (1 - ETA * stiffness) ** STEPS
    offset = (1 - q) * torch.tensor([wrong, 0, 0], dtype=torch.float64) + q * begun
    found = endpoint(starts).loss(potential, data, draw)
    assert found.item() == pytest.approx(MASS**0.5 * float(offset.norm()), rel=1e-10)
    assert slope(endpoint(starts), potential, data, draw) > 0
    # With a right resting place it is speed again, at any distance.
    assert slope(endpoint(starts), spring(stiffness), data, draw) < 0


def test_starts_about_as_wide_as_the_error_fix_the_pace_between_the_two():
    """E|x_K - x_ref|² = (1 - q)² δ² + 3 q² s²: neither q = 0 nor q = 1, but δ² / (δ² + 3 s²)."""
    wrong, width = 0.2, 0.2
    best = wrong**2 / (wrong**2 + 3 * width**2)
    q = torch.linspace(0, 1, 2001, dtype=torch.float64)
    noise = torch.stack(
        [bv.Draw(0, e).normal("pair", "x", torch.zeros(3).double()) for e in range(4000)]
    )
    aim = torch.tensor([wrong, 0, 0], dtype=torch.float64)
    squares = [float((((1 - p) * aim + p * width * noise) ** 2).sum(1).mean()) for p in q]
    assert float(q[int(torch.tensor(squares).argmin())]) == pytest.approx(best, abs=0.02)


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("starts", ALL, ids=repr)
@pytest.mark.parametrize("resolution", [0.0, 0.4])
def test_the_gradient_is_that_of_central_differences(starts, resolution):
    objective = endpoint(starts, resolution=resolution)
    check_gradient(objective, network(), references(2), bv.Draw(5, 1))


def test_a_resolution_flattens_the_loss_below_it_alone():
    potential, data = network(), references(3)
    plain = endpoint().loss(potential, data)
    assert torch.allclose(
        endpoint(resolution=0.3).loss(potential, data), (plain**2 + 0.09).sqrt() - 0.3, atol=1e-14
    )
    near, far = pair(start=2.0001), pair(start=6.0)
    still = bv.EndpointLoss(bv.GradientDescent(1e-12), bv.StoppingCriterion(1), resolution=0.1)
    assert still.loss(spring(1.0), near).item() < 1e-5
    assert still.loss(spring(1.0), far).item() == pytest.approx(4 * MASS**0.5 - 0.1, abs=1e-3)


def test_a_window_of_a_guided_adjoint_has_the_resolution_too():
    adjoint = bv.GuidedAdjoint(3, 0.5)
    rest = bv.StoppingCriterion(3)
    rule = bv.GradientDescent(ETA, max_step=None)
    potential, data = network(), references(1)
    with torch.no_grad():
        relaxed = bv.relax(potential, data.starts(), rule, rest, adjoint)
    (_, window), ends = relaxed.waypoints[0], data.ends()
    distances = [bv.delta_q(place, ends) for place in (relaxed.final, window)]
    by_hand = [(d**2 + 0.04).sqrt() - 0.2 for d in distances]
    found = bv.EndpointLoss(rule, rest, adjoint, resolution=0.2).loss(potential, data)
    assert torch.allclose(found, by_hand[0] + 0.5 * by_hand[1])
