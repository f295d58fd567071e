"""The recipe that a user should take, and `finetune` takes where nobody says otherwise."""

from dataclasses import replace

import pytest
import torch
from springs import network, starts
from taught import references, weights

import bpttviz as bv
from bpttviz.experiments.unlabelled import DISPLACED_BY, starts_among, unlabelled_frames
from bpttviz.provenance import specification


def test_without_arguments_the_recipe_is_taken():
    data = references(3)
    recipe = bv.Recipe()
    run = bv.finetune(network(), data, progress=False)
    told = bv.finetune(
        network(), data, recipe.objective(network()), recipe.config(3), progress=False
    )
    assert torch.equal(weights(run.potential), weights(told.potential))
    assert run.settings == told.settings
    assert len(run.history) == 3 * recipe.epochs


def test_single_settings_change_the_recipe_with_all_that_follows_from_them():
    data = references(4)
    run = bv.finetune(network(), data, epochs=2, batch_size=3, seed=5, progress=False)
    recipe = bv.Recipe(epochs=2, batch_size=3, seed=5)
    assert run.settings["schedule"] == specification(recipe.config(4).schedule)
    assert recipe.config(4).schedule.updates == 2 * len(run.history) == 8
    assert run.settings["seed"] == 5


def test_a_run_of_the_recipe_cannot_be_prolonged_and_that_names_its_epochs(tmp_path):
    call = {"out": tmp_path, "progress": False}
    bv.finetune(network(), references(4), epochs=1, **call)
    refused = (
        r"schedule.config.updates: saved 8, now 16.* comes from its epochs.*cannot be prolonged"
    )
    with pytest.raises(bv.RunError, match=refused):
        bv.finetune(network(), references(4), epochs=2, **call)
    with pytest.raises(bv.RunError) as told:
        bv.finetune(network(), references(4), epochs=1, learning_rate=0.1, **call)
    assert "prolonged" not in str(told.value)


def test_an_objective_of_ones_own_keeps_the_plain_settings():
    data, goal = references(2), bv.EndpointLoss(stop=bv.StoppingCriterion(3))
    run = bv.finetune(network(), data, goal, progress=False)
    assert run.settings["learning_rate"] == bv.TrainingConfig().learning_rate
    assert "average" not in run.settings


def test_the_cosine_is_left_half_way_down_and_a_short_training_warms_up_shortly():
    for structures in (1, 2, 48):
        config = bv.Recipe().config(structures)
        updates = 5 * structures
        assert config.schedule.updates == 2 * updates
        factors = [config.schedule.factor(i, updates) for i in range(updates)]
        assert 0.4 < factors[-1] < 0.75
        assert max(factors) > 0.9
    assert bv.Recipe(epochs=1).config(1).schedule.warm_up == 0


def test_unlabelled_structures_add_the_pretrained_forces():
    potential, data = network(), references(2)
    recipe = bv.Recipe(starts(3), rehearsal=2.0, steps=4)
    objective = recipe.objective(potential)
    (_, endpoint), (weight, rehearsal) = objective.terms
    assert weight == 2.0
    assert float(rehearsal.loss(potential, data).detach().sum()) == 0
    assert float(rehearsal.loss(network(seed=3), data).detach().sum()) > 0
    assert isinstance(endpoint, bv.EndpointLoss)
    assert endpoint.stop.max_steps == 4
    assert "3 structures" in repr(recipe)


def test_pressure_is_kept_on_the_unlabelled_structures():
    potential, unlabelled = bv.PaiNN.pretrained(), bv.load_dataset("si-defects").unlabelled[[0, 4]]
    objective = bv.Recipe(unlabelled, pressure=0.5).objective(potential)
    *_, (weight, kept) = objective.terms
    assert weight == 0.5
    assert isinstance(kept, bv.PressureRehearsal)
    assert len(kept.structures) == 2


def test_a_schedule_of_ones_own_takes_the_cosines_place():
    config = bv.Recipe(schedule=bv.ConstantSchedule(), average=None).config(4)
    assert config.schedule == bv.ConstantSchedule()
    assert config.average is None


def test_a_short_training_leaves_little_of_the_pretrained_weights_in_the_average():
    averages = {count: bv.Recipe(epochs=1).config(count).average for count in (4, 5, 40, 200, 240)}
    assert averages == {4: None, 5: pytest.approx(0.2), 40: 0.9, 200: 0.98, 240: 0.98}
    assert bv.Recipe(average=0.5).config(48).average == 0.5
    assert bv.Recipe(epochs=5, batch_size=8).config(8).average == pytest.approx(0.2)
    data, after = references(1), []
    run = bv.finetune(
        network(), data, epochs=5, progress=False,
        on_update=lambda run: after.append(weights(run.potential).clone()),
    )  # fmt: skip
    assert len(after) == 5
    moved = (weights(run.potential) - weights(network())).norm()
    assert moved > 0.7 * (after[-1] - weights(network())).norm()


def test_minima_are_replayed_from_around_their_ends():
    potential, data, minima = network(), references(2), references(3, seed=4)
    objective = bv.Recipe(starts(3), minima=minima, replay=0.5, steps=4).objective(potential)
    (_, endpoint), (_, rehearsal), (weight, replay) = objective.terms
    assert weight == 0.5
    assert isinstance(endpoint, bv.EndpointLoss)
    assert isinstance(rehearsal, bv.RehearsalLoss)
    assert isinstance(replay, bv.Replay)
    assert replay.references is minima
    back = replay.objective
    assert repr(back.rule) == repr(bv.HeavyBall(0.06, 0.8))
    assert (back.stop.max_steps, back.resolution) == (12, 1.0)
    assert isinstance(back.starts, bv.AroundEnd)
    assert "minima='3 relaxations'" in repr(bv.Recipe(minima=minima))
    run = bv.finetune(potential, data, objective, epochs=1, progress=False)
    assert len(run.history) == 2


def test_the_starts_are_found_again_among_unlabelled_frames():
    given = starts(2)
    frames = unlabelled_frames(network(), given)
    found = starts_among(frames)
    assert torch.equal(found.positions, given.positions)
    assert list(found.names) == [f"{name}-start" for name in given.names]
    with pytest.raises(ValueError, match="not from unlabelled_frames"):
        starts_among(given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"minima": "own"}, {"replay": 0}, {"pressure": -1}, {"pressure": 1}, {"schedule": "cosine"},
        {"steps": 0}, {"step_size": -1}, {"rehearsal": 0}, {"resolution": -1}, {"epochs": 0},
        {"average": 1}, {"learning_rate": 0}, {"batch_size": 0}, {"starts": "ends"},
        {"adjoint": "full"}, {"unlabelled": [1]}, {"max_step": 0}, {"seed": -1},
    ],
    ids=str,
)  # fmt: skip
def test_a_recipe_that_makes_no_sense(wrong):
    (name,) = wrong
    with pytest.raises((TypeError, ValueError), match=name):
        bv.Recipe(**wrong)


def test_unlabelled_frames_of_a_start_are_it_its_rest_and_two_from_there():
    potential, given = network(), starts(2)
    frames = unlabelled_frames(potential, given, bv.Relaxer(fmax=1e-4, max_steps=2000))
    assert frames.names[:4] == ("s0-start", "s0-rest", "s0-moved-0.05", "s0-moved-0.12")
    assert len(frames) == 8
    assert torch.equal(frames[0].positions, given[0].positions)
    with torch.no_grad():
        assert float(potential(frames[[1, 5]]).forces.abs().max()) < 1e-4
    again = unlabelled_frames(potential, given, bv.Relaxer(fmax=1e-4, max_steps=2000))
    assert torch.equal(frames.positions, again.positions)
    for place, sigma in zip((2, 3), DISPLACED_BY, strict=True):
        moved = frames[place].positions - frames[1].positions
        assert 0.3 * sigma < float(moved.std()) < 2 * sigma


def test_held_atoms_are_not_displaced():
    given = starts(1)
    held = replace(given, fixed=torch.tensor([True, False, False, False]))
    frames = unlabelled_frames(network(), held, bv.Relaxer(max_steps=2))
    assert all(torch.equal(frames[i].positions[0], given.positions[0]) for i in range(4))
    assert not torch.equal(frames[3].positions[1], frames[1].positions[1])
