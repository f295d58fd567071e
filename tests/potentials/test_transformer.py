"""Our own Transformer. (What every potential must keep is in test_potentials.py.)"""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from models import rattled_silicon, require_exact_gradients

import bpttviz as bv
from bpttviz.experiments.pretrain_frames import components, force_mae
from bpttviz.potentials.small.transformer import pair_coordinates


def random_transformer(seed=0, **arguments):
    torch.manual_seed(seed)
    return bv.CoordinateTransformer(**{"features": 16, "dtype": torch.float64} | arguments)


def test_gradients_through_three_steps_are_exact():
    require_exact_gradients(random_transformer(), rattled_silicon())
    pretrained = bv.CoordinateTransformer.pretrained(dtype=torch.float64)
    require_exact_gradients(pretrained, rattled_silicon())


def test_the_pretrained_one_knows_the_forces_it_was_fitted_to():
    frames = bv.load_dataset("si-defects").all["005_tet_Si"].to_ase()[::5]
    potential = bv.CoordinateTransformer.pretrained()
    assert force_mae(potential, frames) < 0.8 * np.abs(components(frames)).mean()


def test_it_has_learned_how_forces_turn_though_nothing_makes_it():
    """A quarter turn of a crystal in its cube: better than random weights, but not exact."""
    start = bv.load_dataset("si-defects").all["001_sub_P"].start.to_ase()[0]
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    turned = Atoms(start.numbers, start.positions @ turn, cell=start.cell.array @ turn, pbc=True)
    off = []
    for potential in (bv.CoordinateTransformer.pretrained(), random_transformer()):
        with torch.no_grad():
            one, other = (
                potential(bv.Structures.from_ase(a)).forces.numpy() for a in (start, turned)
            )
        off.append(np.abs(one @ turn - other).mean() / np.abs(one).mean())
    assert 1e-3 < off[0] < 0.5
    assert off[0] < 0.5 * off[1]


def test_pairs_see_each_other_in_periodic_coordinates():
    cell = torch.tensor([[8.0, 0, 0], [0, 9, 0], [0, 0, 10]], dtype=torch.float64)
    near = torch.tensor([[1.0, 1, 1], [1.05, 0.9, 1.02]], dtype=torch.float64)
    seen = pair_coordinates(near, cell, 16)
    assert seen.shape == (2, 2, 64)
    # The first Gaussian, at zero, is nearly 1: its directed ones are half the displacement.
    directed = seen[0, 1, 16:19] / seen[0, 1, 0] * 2
    assert torch.allclose(directed, near[1] - near[0], atol=1e-3)
    assert torch.allclose(seen[1, 0, 16:], -seen[0, 1, 16:])
    # Around the corner of the cell it is the same pair.
    elsewhere = near + torch.tensor([[-8.0, 18, 0], [0, 0, 30]], dtype=torch.float64)
    assert torch.allclose(pair_coordinates(elsewhere, cell, 16), seen, atol=1e-12)


def test_every_atom_feels_every_other():
    """No cutoff: the far side of the cell matters, if little."""
    start = bulk("Si", cubic=True) * (2, 2, 2)
    start.rattle(0.05, seed=0)
    structures = bv.Structures.from_ase(start)
    positions = structures.positions.requires_grad_()
    forces = random_transformer()(structures.with_positions(positions * 1.0)).forces
    (felt,) = torch.autograd.grad(forces[0, 0], positions)
    assert (felt.abs().sum(1) > 0).all()


def test_it_says_what_it_is():
    potential = random_transformer()
    claims = (potential.conservative, potential.equivariant)
    assert claims == (False, False)
    assert potential.net_force_free
    assert potential.exchangeable
    energy, forces = potential(rattled_silicon())
    assert energy.tolist() == [0.0]
    assert forces.sum(0).abs().max() < 1e-12
    slab = bulk("Si", cubic=True)
    slab.pbc = (True, True, False)
    batch = bv.Structures.from_ase([bulk("Si"), slab])
    with pytest.raises(bv.StructureError, match=r"structure 1 \(Si8\): is not periodic in all"):
        potential(batch)


def test_it_is_saved_and_rebuilt_with_a_run(tmp_path):
    references = bv.load_dataset("si-defects").all[["001_sub_P"]]
    objective = bv.EndpointLoss(bv.GradientDescent(0.06), bv.StoppingCriterion(2))
    potential = bv.CoordinateTransformer(
        features=8, layers=1, heads=2, pair=6, radial=5, elements=["Si", "P"]
    )
    run = bv.finetune(potential, references, objective, epochs=1, out=tmp_path, progress=False)
    again = bv.load_run(tmp_path).potential
    assert again.config() == potential.config()
    assert again.known_elements == (14, 15)
    for name, weight in run.potential.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
