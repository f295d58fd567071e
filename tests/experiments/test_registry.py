"""A name means one thing, whatever lies in the folder one works in."""

import shutil
import warnings

import pytest

import bpttviz as bv
from bpttviz.experiments.registry import load_potential
from bpttviz.potentials.small.weights import read_header, weights_file
from bpttviz.provenance import fingerprint


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of a transformer in a folder called ``painn``, which is where we work."""
    data = bv.load_dataset("si-defects").all[["000_vac_Si"]]
    student = bv.CoordinateTransformer.pretrained()
    bv.finetune(student, data, bv.ForceLoss(1), epochs=1, out=tmp_path / "painn", progress=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "painn"


def test_a_name_is_not_a_folder_and_a_path_is_not_a_name(run):
    shipped = fingerprint(bv.PaiNN.pretrained())
    with pytest.warns(UserWarning, match=r"also a run in a folder called so: .* \./painn"):
        entry = load_potential("painn")
    assert fingerprint(entry.potential) == shipped
    for path in ("./painn", str(run)):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            found = load_potential(path)
        assert isinstance(found.potential, bv.CoordinateTransformer)
        assert "000_vac_Si" in found.seen
    run.rename(run.with_name("mine"))
    assert isinstance(load_potential("mine").potential, bv.CoordinateTransformer)
    with pytest.raises(ValueError, match="no potential './painn'"):
        load_potential("./painn")


def test_a_file_of_weights_is_loaded_or_refused(tmp_path):
    file = tmp_path / "own.safetensors"
    shutil.copy(weights_file(bv.PaiNN), file)
    entry = load_potential(f"painn:{file}")
    assert fingerprint(entry.potential) == fingerprint(bv.PaiNN.pretrained())
    assert set(entry.seen) == set(read_header(file)["card"]["relaxations"])
    with pytest.raises(ValueError, match="holds the weights of a PaiNN"):
        load_potential(f"transformer:{file}")
    with pytest.raises(ValueError, match="there is no file 'no-such' with weights"):
        load_potential("painn:no-such")
    file.write_bytes(b"something else")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_potential(f"painn:{file}")
    with pytest.raises(ValueError, match=r"chgnet:.*own.* is no checkpoint that can be loaded"):
        load_potential(f"chgnet:{file}")


def test_what_a_student_has_seen_stands_in_its_weights():
    for name, kind in (("painn", bv.PaiNN), ("transformer", bv.CoordinateTransformer)):
        entry = load_potential(name)
        assert not entry.external
        assert entry.seen == tuple(read_header(weights_file(kind))["card"]["relaxations"])
        assert len(entry.seen) > 5
    assert load_potential("chgnet").seen == ()


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("magic", "no potential 'magic'"),
        ("magic:small", "no potential 'magic:small'"),
        (".", "is no run of finetune"),
        ("mace:./no-such.model", "there is none there"),
        ("mace:no-such.model", "there is none there"),
        ("", "no potential ''"),
    ],
)
def test_unknown_names_are_sentences(tmp_path, monkeypatch, name, complaint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=complaint):
        load_potential(name)


def test_a_head_where_there_is_none_to_choose():
    with pytest.raises(ValueError, match="a chgnet has no heads"):
        load_potential("chgnet", head="pbe")
    with pytest.raises(TypeError, match="named by a string"):
        load_potential(3)
