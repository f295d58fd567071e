"""DIEP and MatGL against their packages themselves, and what their folders may hold."""

import copy
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from ase.build import bulk
from models import (
    awkward_cells,
    diep,
    m3gnet,
    rattled_silicon,
    require_exact_gradients,
    small_matgl,
    tensornet,
    worst_deviation,
)
from taught import labelled

import bpttviz as bv
from bpttviz.potentials.pretrained.checkpoints import DownloadError

WEIGHTS = os.environ.get("BPTTVIZ_MATGL_WEIGHTS", "")
# Forces of a few eV/Å in float32; the packages round positions to it too, before they take vectors.
ROUNDING = 2e-4
MAKE = {"diep": diep, "m3gnet": m3gnet, "tensornet": tensornet}


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def calculator_of(potential, folder):
    """The package's own calculator over an exported potential."""
    if isinstance(potential, bv.DIEP):
        from diep.pretrained import make_calculator

        return make_calculator(folder)
    import matgl
    from matgl.ext.ase import PESCalculator

    return PESCalculator(matgl.load_model(folder))


def worst(potential, calculator):
    return worst_deviation(potential, calculator, awkward_cells())


def one_step_of_training(potential):
    start = rattled_silicon()
    end = bv.relax(potential, start, bv.GradientDescent(0.02), bv.StoppingCriterion(2)).final
    (end.positions**2).sum().backward()
    torch.optim.Adam([p for p in potential.parameters() if p.grad is not None], 1e-3).step()


@pytest.mark.parametrize("name", MAKE)
def test_energies_and_forces_equal_the_packages_own_before_and_after(name, tmp_path):
    potential = MAKE[name]()
    potential.export(tmp_path / "before")
    calculator = calculator_of(potential, tmp_path / "before")
    assert worst(potential, calculator) == pytest.approx([0, 0], abs=ROUNDING)
    one_step_of_training(potential)
    assert worst(potential, calculator)[1] > 1e-3  # there was something to export
    potential.export(tmp_path / "after")
    assert worst(potential, calculator_of(potential, tmp_path / "after")) == pytest.approx(
        [0, 0], abs=ROUNDING
    )
    again = type(potential)(tmp_path / "after")
    with torch.no_grad():
        structures = rattled_silicon()
        assert torch.equal(again(structures).forces, potential(structures).forces)


def test_the_released_weights_are_the_packages_own():
    potential = diep()
    from diep.pretrained import make_calculator

    assert sum(p.numel() for p in potential.parameters()) == 403181
    assert worst(potential, make_calculator()) == pytest.approx([0, 0], abs=ROUNDING)


@pytest.mark.parametrize("name", MAKE)
def test_gradients_through_three_steps_are_exact(name):
    atoms = bulk("Si")
    atoms.rattle(0.1, seed=1)
    require_exact_gradients(MAKE[name](dtype=torch.float64), bv.Structures.from_ase(atoms))


@pytest.mark.parametrize("name", MAKE)
def test_a_run_brings_its_network_back_without_any_folder(name, tmp_path):
    potential = MAKE[name]()
    run = bv.finetune(
        potential, labelled(1, frames=2), bv.ForceLoss(), epochs=1, learning_rate=1e-3,
        progress=False, out=tmp_path / "run",
    )  # fmt: skip
    again = bv.load_run(tmp_path / "run").potential
    structures = rattled_silicon()
    with torch.no_grad():
        tuned = run.potential(structures).forces
        assert torch.equal(again(structures).forces, tuned)
        assert not torch.equal(potential(structures).forces, tuned)


def test_no_graph_outlives_an_evaluation():
    potential = m3gnet()
    potential(rattled_silicon())
    assert potential.network.model.feature_dict == {}
    copy.deepcopy(potential)  # refused by torch where a graph is kept


def test_a_number_type_is_nobody_elses():
    potential = diep(dtype=torch.float64)
    from diep import config

    potential(rattled_silicon())
    assert config.float_th is torch.float32


# --- what is refused ---


@pytest.fixture
def folder(tmp_path):
    small_matgl("M3GNet").save(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("model.pt", None, "model.pt is no file"),
        ("state.pt", None, "state.pt is no file"),
        ("model.pt", Harmful(), "model.pt holds more than tensors and plain values"),
        ("state.pt", Harmful(), "state.pt holds more than tensors and plain values"),
        ("model.pt", {"a": 1}, "holds no potential"),
        ("state.pt", [1, 2], "state.pt holds no weights"),
        ("state.pt", {"a": torch.zeros(3)}, "holds no potential that the installed matgl can rebu"),
        ("model.pt", {"model": {"@class": "Popen", "init_args": {}}}, "holds a Popen, which"),
    ],
)
def test_a_folder_that_holds_no_potential_is_told(folder, file, content, sentence, capsys):
    (folder / file).unlink() if content is None else torch.save(content, folder / file)
    with pytest.raises(ValueError, match=sentence) as raised:
        bv.MatGL(folder)
    assert str(folder) in str(raised.value)
    assert "; give a folder that matgl wrote" in str(raised.value)
    assert "executed" not in capsys.readouterr().out


def test_models_of_something_else_are_refused():
    with pytest.raises(ValueError, match="a model of a property, not of an energy"):
        bv.MatGL(small_matgl("M3GNet", is_intensive=True))
    state = {"include_state": True, "ntypes_state": 2, "dim_state_embedding": 4}
    with pytest.raises(ValueError, match="needs a state of the whole"):
        bv.MatGL(small_matgl("M3GNet", **state))


def test_what_is_no_model_is_told(tmp_path, monkeypatch):
    small_matgl("M3GNet")  # skips where matgl is missing
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for wrong in (3, None, ""):
        with pytest.raises(ValueError, match="model must be a folder that matgl wrote"):
            bv.MatGL(wrong)
    with pytest.raises(ValueError, match=r"model\.pt is no file; give a folder"):
        bv.MatGL(tmp_path / "nowhere")
    with pytest.raises(DownloadError, match=r"is no folder, and .* could not be downloaded .*copy"):
        bv.MatGL("no-potential-of-this-name-PES")


@pytest.mark.parametrize("kind", [bv.DIEP, bv.MatGL])
def test_a_missing_package_is_named(kind, monkeypatch):
    name = kind.package
    monkeypatch.setitem(sys.modules, f"{name}.apps.pes", None)
    monkeypatch.setitem(sys.modules, name, sys.modules.get(name))
    with pytest.raises(ImportError, match=re.escape(f"pip install 'bpttviz[{name}]'")):
        kind("somewhere")


def test_people_can_read_what_is_exported(tmp_path):
    potential = m3gnet()
    potential.export(tmp_path)
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["@class"] == "Potential"
    assert described["kwargs"]["model"]["init_args"]["units"] == 8


# --- weights of the hub, where somebody has them ---


@pytest.mark.skipif(not WEIGHTS, reason="BPTTVIZ_MATGL_WEIGHTS names no folder of matgl's weights")
def test_pretrained_weights_keep_the_contract(tmp_path):
    small_matgl("M3GNet")
    places = sorted({path.parent for path in Path(WEIGHTS).rglob("model.json")})
    assert places
    for place in places:
        report = bv.check_potential(bv.MatGL(place, dtype=torch.float64))
        assert report.ok, f"{place}\n{report}"
        assert not [r.check for r in report.results if r.status != "holds"]
        potential = bv.MatGL(place)
        assert worst(potential, calculator_of(potential, place)) == pytest.approx(
            [0, 0], abs=ROUNDING
        )
