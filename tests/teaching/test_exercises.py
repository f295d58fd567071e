"""Every exercise: the solution is right, each known mistake is called by its name."""

import math

import numpy as np
import pytest
import torch
from springs import network, starts

from bpttviz.teaching.exercises import (
    bring_your_own,
    foggy_valley,
    gradient_through_time,
    memory_and_implicit,
    paradox,
    pretrained_potential,
    quickstart,
    silicon_defects,
    wrong_force,
)

EXERCISES = [
    quickstart.one_atom(),
    quickstart.one_step(),
    foggy_valley.largest_step_size(1.1, 4.3),
    foggy_valley.steps_needed(),
    gradient_through_time.one_step_back(network(), starts()[0]),
    gradient_through_time.share_of_last_steps(),
    gradient_through_time.fastest_step_size(torch.tensor([0.3, 1.0, 5.0])),
    wrong_force.what_is_left(),
    wrong_force.preferred_stiffness(0.8, 0.3),
    pretrained_potential.one_sided_force(),
    pretrained_potential.slope_of_forces(),
    silicon_defects.mass_weighted_distance(),
    silicon_defects.atoms_that_hold_half(),
    memory_and_implicit.gradient_at_rest(),
    memory_and_implicit.steps_that_fit(),
    paradox.sign_test(),
    paradox.mean_ratio(),
    bring_your_own.same_order(),
    bring_your_own.energy_of_each(),
]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.key)
def test_each_mistake_is_named_and_the_solution_is_right(exercise):
    assert exercise.judge(exercise.right).outcome == "right"
    for mistake in exercise.mistakes:
        verdict = exercise.judge(mistake.gives)
        assert (verdict.outcome, verdict.mistake) == ("mistake", mistake.name)
        assert verdict.sentence == mistake.sentence
    assert exercise.judge(...).outcome == "untried"
    assert exercise.judge("nonsense").outcome in ("wrong", "error")


def test_a_step_back_that_stops_at_an_idle_weight_is_told_so_at_once():
    def step_back(potential, before, eta, later):
        x = before.positions.clone().requires_grad_()
        theta = list(potential.parameters())
        forces = potential(before.with_positions(x)).forces
        to_x, *to_theta = torch.autograd.grad(forces, [x, *theta], later)
        return later + eta * to_x, [eta * g for g in to_theta]

    verdict = gradient_through_time.one_step_back(network(), starts()[0]).judge(step_back)
    assert verdict.outcome == "error"
    assert "allow_unused=True" in verdict.sentence


def test_gradients_that_add_up_are_found_every_time():
    springs, start = network(), starts()[0]
    exercise = gradient_through_time.one_step_back(springs, start)

    def added_up(potential, before, eta, later):
        x = before.positions.requires_grad_()
        potential(before.with_positions(x)).forces.backward(later)
        return later.add_(eta * x.grad), [eta * p.grad for p in potential.parameters()]

    def afresh(potential, before, eta, later):
        for p in potential.parameters():
            p.grad = torch.zeros_like(p)
        return added_up(potential, before, eta, later)

    for _ in range(2):
        assert exercise.judge(added_up).mistake == "gradients that add up"
        assert exercise.judge(afresh).outcome == "right"
    assert not start.positions.requires_grad
    assert all(weight.grad is None for weight in springs.parameters())


WRONG = [
    (foggy_valley.steps_needed(), "rounded to the nearest",
     lambda eta, curvature: round(math.log(0.01) / math.log(abs(1 - eta * curvature)))),
    (paradox.sign_test(), "more than certain",
     lambda worse, n: 2 * sum(math.comb(n, k) for k in range(min(worse, n - worse) + 1)) / 2**n),
    (silicon_defects.atoms_that_hold_half(), "above the mean",
     lambda share: (share > share.mean()).sum()),
    (silicon_defects.atoms_that_hold_half(), "half of the largest",
     lambda share: (share >= share.max() / 2).sum()),
    (bring_your_own.energy_of_each(), "counted by the atoms",
     lambda energies, index, count: torch.zeros(
         int(index.max()) + 1, dtype=energies.dtype).index_add(0, index, energies)),
    (bring_your_own.energy_of_each(), "a mean over atoms",
     lambda energies, index, count: (
         torch.zeros(count, dtype=energies.dtype).index_add(0, index, energies)
         / torch.bincount(index, minlength=count))),
    (silicon_defects.mass_weighted_distance(), "centre without masses",
     lambda moved, masses: (
         masses[:, None] * np.subtract(moved, moved.mean(0), out=moved) ** 2).sum() ** 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("exercise", "mistake", "answer"), WRONG, ids=[w[1] for w in WRONG])
def test_what_is_wrong_only_now_and_then_is_found(exercise, mistake, answer):
    assert exercise.judge(answer).mistake == mistake
