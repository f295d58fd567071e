import itertools

import numpy as np
import pytest
import torch
from ase.geometry import find_mic

from bpttviz.geometry import minimum_image, safe_norm, segment_mean, segment_sum

CELLS = {
    "cubic": np.eye(3) * 4.0,
    "skewed": np.array([[3.0, 0, 0], [2.7, 1.6, 0], [1.3, 1.2, 2.5]]),
    "sheared": np.array([[4.0, 0, 0], [9.0, 4.0, 0], [-7.0, 6.5, 4.0]]),
    "needle": np.array([[10.0, 0, 0], [4.9, 2.0, 0], [0.0, 0.9, 3.0]]),
}


@pytest.mark.parametrize("name", CELLS)
def test_minimum_image_equals_ase(name):
    cell = CELLS[name]
    rng = np.random.default_rng(1)
    raw = rng.normal(scale=8.0, size=(200, 3))
    expected, _ = find_mic(raw, cell, pbc=True)
    found = minimum_image(
        torch.tensor(raw),
        torch.tensor(cell)[None],
        torch.ones(1, 3, dtype=torch.bool),
        torch.zeros(200, dtype=torch.int64),
    )
    assert np.allclose(found.norm(dim=1), np.linalg.norm(expected, axis=1), atol=1e-10)


def test_minimum_image_leaves_open_directions_alone():
    raw = torch.tensor([[7.0, 7.0, 7.0]], dtype=torch.float64)
    pbc = torch.tensor([[True, False, True]])
    found = minimum_image(
        raw, torch.eye(3, dtype=torch.float64)[None] * 4, pbc, torch.zeros(1).long()
    )
    assert found.tolist() == [[-1.0, 7.0, -1.0]]


@pytest.mark.parametrize("pbc", list(itertools.product([False, True], repeat=3)), ids=str)
def test_minimum_image_equals_a_search_over_many_images(pbc):
    """Random tilted cells, each with directions that are not periodic (and must not matter)."""
    rng = np.random.default_rng(3)
    shifts = np.array(list(itertools.product(*[range(-12, 13) if on else (0,) for on in pbc])))
    cells = rng.normal(scale=0.6, size=(25, 3, 3)) + 3 * np.eye(3)
    cells[::2, 2] += 2.5 * cells[::2, 0]
    raw = rng.normal(scale=3.0, size=(25, 8, 3))
    found = minimum_image(
        torch.tensor(raw.reshape(-1, 3)),
        torch.tensor(cells),
        torch.tensor([pbc] * 25),
        torch.repeat_interleave(torch.arange(25), 8),
    ).reshape(25, 8, 3)
    for cell, moves, images in zip(cells, raw, found.numpy(), strict=True):
        many = moves[:, None] + (shifts @ cell)[None]
        expected = np.linalg.norm(many, axis=2).min(1)
        assert np.linalg.norm(images, axis=1) == pytest.approx(expected, rel=1e-9)
        turns = (images - moves) @ np.linalg.inv(cell)
        assert turns == pytest.approx(turns.round(), abs=1e-9)
        assert not turns.round()[:, ~np.array(pbc)].any()


def test_minimum_image_gradient_is_the_identity():
    raw = torch.tensor([[7.0, 1.0, -3.1]], dtype=torch.float64, requires_grad=True)
    cell = torch.eye(3, dtype=torch.float64)[None] * 4
    image = minimum_image(raw, cell, torch.ones(1, 3, dtype=torch.bool), torch.zeros(1).long())
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    (image @ weights).sum().backward()
    assert torch.equal(raw.grad[0], weights)


def test_safe_norm_has_finite_first_and_second_derivatives_at_zero():
    x = torch.zeros(2, 3, dtype=torch.float64)
    x[1] = torch.tensor([3.0, 0.0, 4.0])
    x.requires_grad_()
    (slope,) = torch.autograd.grad(safe_norm(x).sum(), x, create_graph=True)
    assert slope.detach().numpy() == pytest.approx(np.array([[0, 0, 0], [0.6, 0, 0.8]]))
    (curvature,) = torch.autograd.grad((slope**2).sum(), x)
    assert torch.isfinite(curvature).all()


def test_means_are_each_structures_own():
    structure_index = torch.tensor([0, 0, 1, 1, 1])
    weights = torch.tensor([1.0, 3.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    moved = torch.tensor(list(itertools.product([1.0], [2.0], range(5))), dtype=torch.float64)
    left = moved - segment_mean(moved, weights, structure_index, 2)[structure_index]
    assert torch.allclose(
        segment_sum(left * weights[:, None], structure_index, 2), torch.zeros(2, 3).double()
    )
    assert torch.allclose(left[1] - left[0], moved[1] - moved[0])
