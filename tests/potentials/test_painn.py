"""Our own equivariant potential. (What every potential must keep is in test_potentials.py.)"""

import subprocess
import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from models import rattled_silicon, require_exact_gradients

import bpttviz as bv
from bpttviz.experiments.pretrain_frames import components, force_mae
from bpttviz.potentials.small import painn
from bpttviz.potentials.small.elements import ElementEmbedding, row_and_column
from bpttviz.potentials.small.painn import radial_basis


def random_painn(seed=0, **arguments):
    torch.manual_seed(seed)
    return bv.PaiNN(**{"features": 16, "dtype": torch.float64} | arguments)


def test_gradients_through_three_steps_are_exact():
    require_exact_gradients(random_painn(), rattled_silicon())
    require_exact_gradients(bv.PaiNN.pretrained(dtype=torch.float64), rattled_silicon())


def test_the_pretrained_one_knows_the_forces_it_was_fitted_to():
    reference = bv.load_dataset("si-defects").all["005_tet_Si"]
    frames = reference.to_ase()
    potential = bv.PaiNN.pretrained()
    assert force_mae(potential, frames[::5]) < 0.5 * np.abs(components(frames[::5])).mean()
    energies = [f.get_potential_energy() for f in frames]
    with torch.no_grad():
        found = potential(bv.Structures.from_ase(frames)).energy.numpy()
    assert abs(found - energies).max() / len(frames[0]) < 0.05


def test_pretrained_in_either_precision_is_one_potential():
    single, double = (bv.PaiNN.pretrained(dtype=t) for t in (torch.float32, torch.float64))
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    structures = rattled_silicon()
    with torch.no_grad():
        forces = [p(structures).forces for p in (single, double)]
    assert forces[0].abs().max() > 0.1
    assert torch.allclose(*forces, atol=1e-4)


def test_a_perfect_crystal_pulls_at_no_atom():
    """Also where symmetry makes every vector zero, second derivatives exist."""
    crystal = bv.Structures.from_ase(bulk("Si", cubic=True))
    potential = bv.PaiNN.pretrained(dtype=torch.float64)
    positions = crystal.positions.clone().requires_grad_()
    forces = potential(crystal.with_positions(positions * 1.0)).forces
    assert forces.abs().max() < 1e-9
    (stiffness,) = torch.autograd.grad(forces[0, 0], positions)
    assert -30 < float(stiffness[0, 0]) < -3  # eV/Å², an atom in a stiff cage
    assert stiffness.isfinite().all()


def test_forces_and_their_slope_fade_out_at_the_cutoff():
    potential = random_painn(cutoff=4.0)

    def pull(distance):
        atoms = Atoms("Si2", positions=[[0, 0, 0], [distance, 0, 0]])
        structures = bv.Structures.from_ase(atoms)
        positions = structures.positions.requires_grad_()
        force = potential(structures.with_positions(positions * 1.0)).forces[1, 0]
        slope = 0.0
        if force.requires_grad:
            (gradient,) = torch.autograd.grad(force, positions, allow_unused=True)
            slope = 0.0 if gradient is None else float(gradient[1, 0])
        return abs(float(force.detach())), abs(slope)

    assert pull(2.5)[0] > 1e-4
    inside, outside = pull(4.0 - 1e-4), pull(4.0 + 1e-4)
    assert outside == (0.0, 0.0)
    assert inside[0] < 1e-6 * pull(2.5)[0]
    assert inside[1] < 1e-2 * pull(2.5)[1]


def test_radial_functions_have_nodes_at_the_cutoff():
    distance = torch.linspace(0.5, 5.0, 10, dtype=torch.float64)[:, None]
    rbf, envelope = radial_basis(distance, 5.0, 4)
    assert rbf.shape == (10, 4)
    assert rbf[-1].abs().max() < 1e-12
    assert float(envelope[-1]) == pytest.approx(0, abs=1e-12)
    assert float(envelope[0]) == pytest.approx(1, abs=1e-4)
    assert (envelope.diff(dim=0) < 0).all()


def test_atoms_in_one_place_give_numbers():
    """They are refused as a start, but a relaxation may pass through anything."""
    atoms = Atoms("Si3", positions=[[0, 0, 0], [0, 0, 0], [2.3, 0, 0]])
    energy, forces = random_painn()(bv.Structures.from_ase(atoms, check=False))
    assert energy.isfinite().all()
    assert forces.isfinite().all()


def test_it_is_saved_and_rebuilt_with_a_run(tmp_path):
    references = bv.load_dataset("si-defects").all[["001_sub_P"]]
    objective = bv.EndpointLoss(bv.GradientDescent(0.06), bv.StoppingCriterion(2))
    potential = bv.PaiNN(features=8, layers=1, cutoff=4.0, radial=5, elements=["Si", "P"])
    run = bv.finetune(potential, references, objective, epochs=1, out=tmp_path, progress=False)
    again = bv.load_run(tmp_path).potential
    assert again.config() == potential.config()
    assert again.known_elements == (14, 15)
    for name, weight in run.potential.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


PLACES = {
    "H": (0, 0),
    "He": (0, 17),
    "B": (1, 12),
    "Si": (2, 13),
    "Ti": (3, 3),
    "Sb": (4, 14),
    "La": (5, 18),
    "Yb": (5, 31),
    "Lu": (5, 2),
    "Hf": (5, 3),
    "Rn": (5, 17),
    "Pu": (6, 23),
}


def test_elements_have_their_place_in_the_table():
    assert {symbol: row_and_column(atomic_numbers[symbol]) for symbol in PLACES} == PLACES
    assert len({row_and_column(number) for number in range(1, 95)}) == 94  # all told apart


def test_an_element_beyond_the_table_is_named():
    strange = bv.Structures.from_ase([bulk("Si"), Atoms("Am2", [[0, 0, 0], [3, 0, 0]])])
    with pytest.raises(
        bv.StructureError, match=r"structure 1 \(Am2\): has element Am, .*H to Pu \("
    ):
        ElementEmbedding(4)(strange)


def test_gradients_do_not_depend_on_what_threads_do_first():
    atoms = bulk("Si", cubic=True) * (2, 2, 2)
    atoms.rattle(0.1, seed=0)
    structures = bv.Structures.from_ase(atoms)
    potential = bv.PaiNN.pretrained()
    weights = [p for p in potential.parameters() if p.requires_grad]

    def gradient():
        loss = potential(structures).forces.abs().mean()
        found = torch.autograd.grad(loss, weights, allow_unused=True)
        return torch.cat([g.reshape(-1) for g in found if g is not None])

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first = gradient()
        assert all(torch.equal(gradient(), first) for _ in range(5))
    finally:
        torch.set_num_threads(threads)


def test_edges_passed_along_in_pieces_change_nothing(monkeypatch):
    potential = random_painn()
    data = bv.Structures.from_ase(rattled_silicon())
    results = []
    for most in (10**9, 7):
        monkeypatch.setattr(painn, "MOST_EDGES", most)
        final = bv.relax(
            potential, data, bv.GradientDescent(0.01), bv.StoppingCriterion(2), bv.FullBPTT()
        ).final.positions
        weights = list(potential.parameters())
        slopes = torch.autograd.grad((final**2).sum(), weights, allow_unused=True)
        results.append((final.detach(), slopes))
    (one, slopes), (two, others) = results
    assert torch.allclose(one, two, rtol=0, atol=1e-12)
    for mine, theirs in zip(slopes, others, strict=True):
        assert (mine is None) == (theirs is None)
        assert mine is None or torch.allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def test_five_thousand_atoms_are_relaxed_within_a_gigabyte():
    program = """
import resource
import torch
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = used()  # 0.2 GB, and 0.5 GB with CUDA in it
from ase.build import bulk
import bpttviz as bv
atoms = bulk("Si", cubic=True) * (9, 9, 8)
atoms.rattle(0.05, seed=1)
start = bv.Structures.from_ase(atoms)
reference = bv.ReferenceRelaxation.from_ase("a", [atoms, bulk("Si", cubic=True) * (9, 9, 8)])
potential = bv.PaiNN.pretrained()
bv.AroundEnd().one(potential, reference, bv.Draw(0, 0))
end = bv.relax(potential, start, bv.FIRE(), bv.StoppingCriterion(2))
print(len(atoms), float(end.fmax[-1]), used() - before)
"""
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    count, fmax, peak = (float(word) for word in printed.split())
    assert count == 5184
    assert fmax > 0
    assert peak < 0.775e6  # kB; a gigabyte in all


def test_a_cutoff_without_a_limit_would_fill_the_memory():
    with pytest.raises(ValueError, match="cutoff must be .* at most 20"):
        bv.PaiNN(cutoff=200.0)
