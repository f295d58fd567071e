"""Files that hold no model: one true sentence, and never the advice to execute what is in them."""

import pytest
import torch
from models import sevennet, small_mace
from safetensors.torch import save_file

import bpttviz as bv
from bpttviz.potentials.pretrained import chgnet
from bpttviz.potentials.pretrained.checkpoints import read_checkpoint
from bpttviz.potentials.small.weights import load_weights, read_header


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def folder(path):
    path.mkdir()


def torn(path):
    torch.save({"weights": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


def of_a_lost_class(path):
    path.write_bytes(b"\x80\x04cnowhere.at_all\nModel\n)\x81.")


FILES = {
    "a folder": (folder, "is a folder"),
    "an empty file": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("data_Si\n_cell_length_a 5.43\n"), "is damaged"),
    "a torn file": (torn, "is damaged, cut short"),
    "safetensors": (lambda path: save_file({"a": torch.zeros(3)}, path), "holds bare weights"),
    "a list": (lambda path: torch.save([1, 2], path), "holds (a list|no SevenNet)"),
    "other weights": (
        lambda path: torch.save({"a": torch.zeros(3)}, path),
        "holds (a dict|no Sev)",
    ),
    "a program": (lambda path: torch.save(Harmful(), path), "holds (a NoneType|more than tensors)"),
    "a lost class": (of_a_lost_class, "needs the package nowhere|holds more than tensors"),
}


def mace(path):
    small_mace()  # skips where mace-torch is missing
    return bv.MACE(path, trusted=True)


@pytest.mark.parametrize("load", [mace, sevennet])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_model_is_said_in_one_sentence(load, name, tmp_path):
    write, sentence = FILES[name]
    path = tmp_path / "some.model"
    write(path)
    with pytest.raises(ValueError, match=sentence) as raised:
        load(path)
    told = str(raised.value)
    assert str(path) in told
    assert "\n" not in told
    assert "weights_only" not in told
    assert "; give " in told
    while raised.value.__cause__ is not None:  # nor in what a traceback would add
        raised.value = raised.value.__cause__
        assert "weights_only" not in str(raised.value)


def test_code_in_a_file_is_not_executed_without_trust(tmp_path, capsys):
    path = tmp_path / "bad.pth"
    torch.save({"config": Harmful()}, path)
    with pytest.raises(ValueError, match="holds more than tensors and plain values") as raised:
        read_checkpoint(path, "a checkpoint")
    assert raised.value.__cause__ is None
    assert "executed" not in capsys.readouterr().out


def test_a_damaged_installation_of_chgnet_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(chgnet, "CHECKPOINTS", {"0.3.0": str(tmp_path / "gone.pth.tar")})
    with pytest.raises(ValueError, match=r"gone.* is no file; give the chgnet package its files"):
        bv.CHGNet()


@pytest.mark.parametrize("name", ["a folder", "an empty file", "text", "safetensors"])
def test_weights_that_are_none_of_ours_are_named(name, tmp_path):
    path = tmp_path / "painn.safetensors"
    FILES[name][0](path)
    with pytest.raises(ValueError, match=r"painn\.safetensors cannot be read as weights of a sma"):
        load_weights(bv.PaiNN, path)


@pytest.mark.parametrize("kind", [bv.PaiNN, bv.CoordinateTransformer])
def test_shipped_weights_say_what_they_have_seen(kind):
    from bpttviz.potentials.small.weights import weights_file

    header = read_header(weights_file(kind))
    assert header["class"] == kind.__name__
    assert header["config"]["elements"] == header["card"]["elements"]
    assert "Si" in header["card"]["elements"]
