"""The SevenNet adapter against the sevenn package itself."""

import pytest
import torch
from ase import Atoms
from ase.build import bulk
from models import awkward_cells, worst_deviation

import bpttviz as bv

pytest.importorskip("sevenn", reason="sevenn is not installed: pip install 'bpttviz[sevennet]'")
# The names that sevenn has for its own files, and the functional of one that knows several.
THEIRS = {
    ("7net-0", None): "7net-0",
    ("7net-0-may", None): "7net-0_22May2024",
    ("7net-l3i5", None): "7net-l3i5",
    ("7net-mf-0", "PBE"): "7net-mf-0",
    ("7net-mf-0", "R2SCAN"): "7net-mf-0",
}


def cells():
    """Those, and two of one atom and of three."""
    more = [bulk("Cu"), bulk("CaF2", "fluorite", a=5.46)]
    for seed, atoms in enumerate(more):
        atoms.rattle(0.1, seed=seed)
    return [*awkward_cells(), *more]


def worst(potential, model):
    from sevenn.calculator import SevenNetCalculator

    calculator = SevenNetCalculator(model, device="cpu", modal=potential.modality)
    return worst_deviation(potential, calculator, cells())


@pytest.mark.parametrize(("checkpoint", "modality"), THEIRS)
def test_energies_and_forces_equal_the_packages_own(checkpoint, modality):
    potential = bv.SevenNet(checkpoint, modality=modality)
    energy, force = worst(potential, THEIRS[checkpoint, modality])
    assert energy < 1e-5
    assert force < 1e-5


def test_one_network_of_two_functionals_is_asked_for_one(tmp_path):
    with pytest.raises(ValueError, match="needs modality .*one of PBE, R2SCAN; got None"):
        bv.SevenNet("7net-mf-0")
    with pytest.raises(ValueError, match="needs modality .*one of PBE, R2SCAN; got 'LDA'"):
        bv.SevenNet("7net-mf-0", modality="LDA")
    with pytest.raises(ValueError, match="SevenNet 7net-0 has one functional: leave modality out"):
        bv.SevenNet("7net-0", modality="PBE")
    structures = bv.Structures.from_ase(cells())
    pbe = bv.SevenNet("7net-mf-0", modality="PBE")
    r2scan = bv.SevenNet("7net-mf-0", modality="R2SCAN")
    assert (pbe(structures).forces - r2scan(structures).forces).abs().max() > 1e-2
    r2scan.export(tmp_path / "mf.pth")
    again = bv.SevenNet(tmp_path / "mf.pth", modality="R2SCAN")
    assert torch.equal(again(structures).forces, r2scan(structures).forces)
    assert bv.SevenNet.from_config(again.config()).modality == "R2SCAN"


def test_a_fine_tuned_model_goes_back_to_sevenns_own_loader(tmp_path):
    potential = bv.SevenNet()
    structures = bv.Structures.from_ase(cells()[1])
    end = bv.relax(potential, structures, bv.GradientDescent(0.02), bv.StoppingCriterion(2)).final
    (end.positions**2).sum().backward()
    torch.optim.Adam([p for p in potential.parameters() if p.grad is not None], 1e-4).step()
    file = tmp_path / "tuned.pth"
    potential.export(file)
    energy, force = worst(potential, str(file))
    assert energy < 1e-5
    assert force < 1e-5
    assert worst(potential, "7net-0")[1] > 1e-3  # there was something to export
    again = bv.SevenNet(file)
    assert torch.equal(again(structures).forces, potential(structures).forces)
    rebuilt = bv.SevenNet.from_config(again.config())
    assert torch.equal(rebuilt(structures).forces, potential(structures).forces)


def test_full_and_checkpointed_agree():
    structures = bv.Structures.from_ase(cells()[1])
    potential = bv.SevenNet(dtype=torch.float64)
    weights = [p for p in potential.parameters() if p.requires_grad]
    gradients = []
    for adjoint in (bv.FullBPTT(), bv.CheckpointedBPTT()):
        end = bv.relax(
            potential, structures, bv.GradientDescent(0.03), bv.StoppingCriterion(3), adjoint
        ).final
        found = torch.autograd.grad((end.positions**2).sum(), weights, allow_unused=True)
        gradients.append(torch.cat([g.reshape(-1) for g in found if g is not None]))
    assert gradients[0].norm() > 1e-3
    assert (gradients[0] - gradients[1]).norm() / gradients[0].norm() < 1e-9


def test_checkpoints_are_read_without_running_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("run",))

    file = tmp_path / "bad.pth"
    torch.save({"config": Harmful(), "model_state_dict": {}}, file)
    with pytest.raises(ValueError, match="holds more than tensors and plain values"):
        bv.SevenNet(file)


def test_what_it_does_not_know_is_named():
    with pytest.raises(ValueError, match="'8net' is neither a SevenNet checkpoint file nor one of"):
        bv.SevenNet("8net")
    strange = bv.Structures.from_ase([bulk("Si"), Atoms("Am2", [[0, 0, 0], [3, 0, 0]])])
    with pytest.raises(bv.StructureError, match=r"structure 1 \(Am2\): has element Am, which this"):
        bv.SevenNet()(strange)
