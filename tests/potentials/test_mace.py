"""The MACE adapter against mace-torch itself."""

import json
import logging

import pytest
import torch
from ase import Atoms
from ase.build import bulk
from models import awkward_cells, small_mace, worst_deviation

import bpttviz as bv

pytest.importorskip("mace", reason="mace-torch is not installed: pip install 'bpttviz[mace]'")


def cells():
    """Those, unwrapped, a slab and a molecule; all displaced."""
    slab = bulk("Si", cubic=True)
    slab.center(vacuum=6.0, axis=2)
    slab.pbc = (True, True, False)
    molecule = Atoms("SiCl4", [[0, 0, 0], [1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]])
    for seed, atoms in enumerate((slab, molecule)):
        atoms.rattle(0.1, seed=seed)
    several = [*awkward_cells(), slab, molecule]
    several[0].positions += [40.0, -30.0, 0.0]
    return several


def theirs(**arguments):
    from mace.calculators import MACECalculator

    logging.disable(logging.WARNING)
    try:
        return MACECalculator(device="cpu", **arguments)
    finally:
        logging.disable(logging.NOTSET)


def worst(potential, calculator):
    return worst_deviation(potential, calculator, cells())


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_energies_and_forces_equal_maces_own(dtype, limit):
    model = small_mace(dtype)
    energy, force = worst(bv.MACE(model), theirs(models=[model]))
    assert bv.MACE(model)(bv.Structures.from_ase(cells())).forces.abs().max() > 0.1
    assert energy < limit
    assert force < limit


def test_the_network_is_plain_pytorch_and_the_model_given_is_left_alone():
    model = small_mace()
    assert any(isinstance(m, torch.jit.ScriptModule) for m in model.modules())
    potential = bv.MACE(model)
    assert not any(isinstance(m, torch.jit.ScriptModule) for m in potential.modules())
    with torch.no_grad():
        for weight in potential.parameters():
            weight.zero_()
    assert sum(float(p.abs().sum()) for p in model.parameters()) > 1


def tuned():
    """A small MACE after one update through a relaxation."""
    potential = bv.MACE(small_mace())
    structures = bv.Structures.from_ase(cells()[:2])
    end = bv.relax(potential, structures, bv.GradientDescent(0.02), bv.StoppingCriterion(3)).final
    (end.positions**2).sum().backward()
    torch.optim.Adam([p for p in potential.parameters() if p.grad is not None], 1e-2).step()
    return potential


def test_a_fine_tuned_model_goes_back_to_maces_own_loader(tmp_path):
    potential = tuned()
    file = tmp_path / "tuned.model"
    potential.export(file)
    calculator = theirs(model_paths=str(file))
    energy, force = worst(potential, calculator)
    assert energy < 1e-5
    assert force < 1e-5
    _, changed = worst(potential, theirs(models=[small_mace()]))
    assert changed > 1e-3  # there was something to export
    again = bv.MACE(file, trusted=True)
    assert worst(again, calculator)[1] < 1e-10
    assert worst(bv.MACE(file, trusted=True, dtype=torch.float32), calculator)[1] < 1e-4


def test_a_description_and_weights_rebuild_it_without_a_pickle():
    potential = tuned()
    again = bv.MACE.from_config(json.loads(json.dumps(potential.config())))
    again.load_state_dict(potential.state_dict())
    structures = bv.Structures.from_ase(cells())
    assert torch.equal(again(structures).forces, potential(structures).forces)


def test_a_head_is_chosen_as_mace_does():
    model = small_mace(heads=("pt", "Default"))
    assert bv.MACE(model).head == "Default"
    for head in ("pt", "Default"):
        energy, force = worst(bv.MACE(model, head=head), theirs(models=[model], head=head))
        assert max(energy, force) < 1e-10
    with pytest.raises(ValueError, match="no head .* called 'x'; choose one of pt, Default"):
        bv.MACE(model, head="x")


def test_several_heads_none_of_which_is_the_natural_one_are_asked_about():
    model = small_mace(heads=("omat_pbe", "oc20_usemppbe"))
    sentence = r"has 2 heads and none is called default; choose one of omat_pbe, oc20_.*head='omat_"
    with pytest.raises(ValueError, match=sentence):
        bv.MACE(model)
    assert bv.MACE(model, head="oc20_usemppbe").head == "oc20_usemppbe"


def test_a_file_is_opened_only_when_it_is_trusted(tmp_path):
    file = tmp_path / "a.model"
    torch.save(small_mace(), file)
    with pytest.raises(ValueError, match=r"a Python pickle.*any program.*trusted=True"):
        bv.MACE(file)
    with pytest.raises(ValueError, match=r"there is no file .*MACE\.foundation"):
        bv.MACE(tmp_path / "missing.model")
    torch.save({"model": {}}, file)
    with pytest.raises(ValueError, match=r"holds a dict, not a model; give the file .*\(\.model"):
        bv.MACE(file, trusted=True)
    with pytest.raises(ValueError, match="a Linear was given; this adapter takes ScaleShiftMACE"):
        bv.MACE(torch.nn.Linear(1, 1))
    with pytest.raises(TypeError, match="must be a mace.modules.ScaleShiftMACE or the path of a f"):
        bv.MACE(3)


def test_an_unknown_element_is_named():
    strange = bv.Structures.from_ase([bulk("Si"), bulk("Ge")])
    with pytest.raises(bv.StructureError, match=r"structure 1 \(Ge2\): has element Ge, which this"):
        bv.MACE(small_mace())(strange)


def test_a_foundation_model_comes_by_maces_own_way(tmp_path, monkeypatch):
    from mace.calculators import foundations_models

    file = tmp_path / "small.model"
    torch.save(small_mace(torch.float32), file)
    asked = []

    def download(name):
        asked.append(name)
        return str(file)

    monkeypatch.setattr(foundations_models, "download_mace_mp_checkpoint", download)
    assert bv.MACE.foundation("small").dtype == torch.float32
    assert asked == ["small"]

    def unreachable(name):
        raise OSError("no route to host")

    monkeypatch.setattr(foundations_models, "download_mace_mp_checkpoint", unreachable)
    with pytest.raises(RuntimeError, match=r"'small' could not be downloaded \(no route.*copy the"):
        bv.MACE.foundation("small")
    with pytest.raises(ValueError, match="no MACE foundation model 'tiny'; choose one of small"):
        bv.MACE.foundation("tiny")


def test_forces_in_single_precision_are_the_same_far_from_the_origin():
    potential, atoms = bv.MACE(small_mace(torch.float32)), cells()[-3:]
    start = bv.Structures.from_ase(atoms)
    moved = start.with_positions(start.positions + 1e4)
    with torch.no_grad():
        forces, found = potential(start).forces, potential(moved).forces
    torch.testing.assert_close(found, forces, rtol=0, atol=5e-6)
