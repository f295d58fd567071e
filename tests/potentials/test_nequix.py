"""Nequix against its own package, whose numbers stand here, as it needs JAX.

`small.nqx` has random weights. The numbers are of nequix 0.4.5 in JAX (0.10.2, float32, on a CPU):
``NequixCalculator(model_path="small.nqx", use_kernel=False)``.
"""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from models import SMALL_NEQUIX, nequix

import bpttviz as bv
from bpttviz.experiments.registry import load_potential


def salt():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.rattle(0.1, seed=0)
    return atoms


def doped_silicon():
    atoms = bulk("Si", cubic=True)
    atoms.symbols[0] = "P"
    atoms.rattle(0.1, seed=1)
    return atoms


THEIRS = {  # eV, and eV/Å on the first two atoms
    salt: (-27.363846, [[0.10618, 0.32095, -0.42071], [-0.10618, -0.32095, 0.42071]]),
    doped_silicon: (81.209084, [[0.38992, -0.10475, -0.5161], [-0.19812, -0.46221, -0.15422]]),
}


@pytest.mark.parametrize("atoms", THEIRS)
def test_energies_and_forces_equal_the_packages_own(atoms):
    energy, forces = THEIRS[atoms]
    found = nequix()(bv.Structures.from_ase(atoms()))
    assert found.energy.item() == pytest.approx(energy, abs=3e-5 * len(atoms()))
    assert found.forces[:2].tolist() == [pytest.approx(force, abs=2e-5) for force in forces]


def test_the_network_is_smooth_where_neighbours_come_and_go():
    def energy(distance):
        pair = Atoms("Si2", [[0, 0, 0], [distance, 0, 0]])
        return float(nequix(torch.float64).energy(bv.Structures.from_ase(pair)).detach())

    alone = 2 * energy(4.6) / 2
    assert energy(4.4999) == pytest.approx(alone, abs=1e-9)
    assert abs(energy(4.0) - alone) > 1e-4


def test_what_is_exported_is_read_again(tmp_path):
    potential = nequix()
    structures = bv.Structures.from_ase(doped_silicon())
    before = potential(structures).forces.detach()
    with torch.no_grad():
        for weights in potential.parameters():
            weights *= 1.01
    potential.export(tmp_path / "tuned.nqx")
    again = bv.Nequix(tmp_path / "tuned.nqx")
    assert torch.equal(again(structures).forces, potential(structures).forces)
    assert (again(structures).forces - before).abs().max() > 1e-3
    entry = load_potential(f"nequix:{tmp_path / 'tuned.nqx'}").potential
    assert torch.equal(entry(structures).forces, again(structures).forces)


def test_a_run_brings_its_own_network(tmp_path):
    pair = bv.Structures.from_ase(salt()), bv.Structures.from_ase(bulk("NaCl", "rocksalt", a=5.6))
    data = bv.RelaxationDataset([bv.ReferenceRelaxation("salt", "NaCl", *pair)])
    loss = bv.EndpointLoss(bv.GradientDescent(0.01), bv.StoppingCriterion(2))
    run = bv.finetune(nequix(), data, loss, epochs=2, out=tmp_path, progress=False)
    again = bv.load_run(tmp_path).potential
    assert torch.equal(again(pair[0]).forces, run.potential(pair[0]).forces)
    assert again.known_elements == (11, 14, 15, 17)


def head_with(**changes):
    head, _, rest = SMALL_NEQUIX.read_bytes().partition(b"\n")
    found = {key: value for key, value in (json.loads(head) | changes).items() if value is not None}
    return json.dumps(found).encode() + b"\n" + rest


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "does not begin as a Nequix does"),
        (b"PK\x03\x04\n", "does not begin as a Nequix does"),
        (b"[1, 2]\n", "does not begin as a Nequix does"),
        (head_with(cutoff=None), "does not begin as a Nequix does"),
        (head_with(cutoff="far"), "does not begin as a Nequix does"),
        (head_with(hidden_irreps="six scalars"), "does not begin as a Nequix does"),
        (head_with(atomic_numbers=[14, 11, 15, 17]), "does not list its elements in their order"),
        (head_with(index_weights=True), "skip connections of its own for every element"),
        (head_with(n_layers=2), "holds other weights than its head says"),
        (SMALL_NEQUIX.read_bytes()[:-100], "is damaged or cannot be read"),
        (SMALL_NEQUIX.read_bytes() + b"more", "is damaged or cannot be read"),
    ],
)
def test_a_file_that_is_none_is_told_apart(content, complaint, tmp_path):
    file = tmp_path / "x.nqx"
    file.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"x\.nqx {complaint}|x\.nqx is a Nequix with {complaint}"
    ):
        bv.Nequix(file)


def test_arrays_that_are_pickles_are_not_opened(tmp_path):
    head, _, _ = SMALL_NEQUIX.read_bytes().partition(b"\n")
    with open(tmp_path / "x.nqx", "wb") as file:
        file.write(head + b"\n")
        np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="damaged or cannot be read"):
        bv.Nequix(tmp_path / "x.nqx")


def test_where_files_come_from_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*no\.nqx; give .*nequix"):
        bv.Nequix(tmp_path / "no.nqx")
    with pytest.raises(ValueError, match="there is no file"):
        bv.Nequix(tmp_path)
    with pytest.raises(TypeError, match="got a int"):
        bv.Nequix(3)
    with pytest.raises(ValueError, match="nequix is given as nequix:FILE"):
        load_potential("nequix")
