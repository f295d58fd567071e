"""The world of springs: exact ends, true labels, and what each objective does to both errors."""

import pytest
import torch

import bpttviz as bv
from bpttviz.teaching.spring_world import (
    error_at_rest,
    error_of_forces,
    mistaken,
    relaxations_of,
    slope_of_forces,
    true_springs,
)


def test_the_truth_makes_no_error():
    truth = true_springs()
    data = relaxations_of(truth, 3)
    assert error_at_rest(truth, data) < 0.05  # its relaxations stop after so many steps
    assert error_of_forces(truth, data) < 1e-12
    assert slope_of_forces(truth, data) == pytest.approx(1)
    assert len({float(r.start.positions.sum()) for r in data}) == 3


def test_a_mistaken_model_makes_both_errors_and_leaves_the_truth_alone():
    truth = true_springs()
    before = truth.stiffness.detach().clone()
    model, data = mistaken(truth), relaxations_of(truth, 3)
    assert error_at_rest(model, data) > 0.5
    assert error_of_forces(model, data) > 0.1
    assert torch.equal(truth.stiffness, before)
    twice = bv.Springs(truth.pairs, 2 * truth.stiffness.detach(), truth.rest.detach())
    assert slope_of_forces(twice, data) == pytest.approx(2)
    assert error_at_rest(twice, data) == pytest.approx(error_at_rest(truth, data))
