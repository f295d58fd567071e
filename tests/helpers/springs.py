"""A small frustrated spring network and its starts, for tests that need exact answers."""

import numpy as np
import torch
from ase import Atoms

import bpttviz as bv


def network(atoms=4, seed=1):
    return bv.Springs.frustrated(atoms, seed)


def starts(count=2, atoms=4, seed=0):
    """Structures with mixed masses; their number of atoms fits `network`."""
    rng = np.random.default_rng(seed)
    symbols = ["Si", "Ge", "C", "O", "P", "Sn"][:atoms]
    return bv.Structures.from_ase(
        [Atoms(symbols, positions=3 * rng.normal(size=(atoms, 3))) for _ in range(count)],
        [f"s{i}" for i in range(count)],
    )


def targets(structures, seed=5):
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(structures.positions.shape, generator=draw, dtype=torch.float64)
    return structures.with_positions(structures.positions + 0.5 * noise)


def central_difference(function, tensor, step=1e-5):
    """dfunction/dtensor, one component at a time; ``tensor`` is changed in place and restored."""
    flat = tensor.detach().reshape(-1)
    slopes = torch.zeros_like(flat)
    for index in range(len(flat)):
        value = flat[index].item()
        flat[index] = value + step
        above = function()
        flat[index] = value - step
        below = function()
        flat[index] = value
        slopes[index] = (above - below) / (2 * step)
    return slopes.reshape(tensor.shape)


def check_gradient(objective, potential, data, draw=None):
    """An objective's gradient is that of central differences, to 1e-7."""
    found = torch.autograd.grad(
        objective.loss(potential, data, draw).sum(), list(potential.parameters())
    )
    for gradient, parameter in zip(found, potential.parameters(), strict=True):
        expected = central_difference(
            lambda: float(objective.loss(potential, data, draw).detach().sum()), parameter
        )
        assert float((gradient - expected).abs().max()) < 1e-7
