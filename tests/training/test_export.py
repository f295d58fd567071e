"""Runs as they are handed on: small, readable by `load_run`, and no way to go on from."""

import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from springs import network
from taught import SETTINGS, objective, references, weights

import bpttviz as bv
from bpttviz.training import checkpoint, shipped


def trained(**kept):
    return bv.finetune(network(), references(), objective(True), **SETTINGS, **kept)


def test_an_exported_run_comes_back_to_half_precision(tmp_path):
    run = trained(average=0.9)
    run.export(tmp_path / "handed-on")
    loaded = bv.load_run(tmp_path / "handed-on")
    change = weights(run.potential) - weights(network())
    error = weights(loaded.potential) - weights(run.potential)
    assert change.abs().max() > 1e-3  # something was learned, or the next line says nothing
    assert (error.abs() <= change.abs() * 2**-11 + 2**-25).all()
    assert torch.equal(loaded.rule.step_size, run.rule.step_size)
    assert loaded.settings == run.settings
    assert loaded.status == run.status
    for short, long in zip(loaded.history, run.history, strict=True):
        assert short["loss"] == pytest.approx(long["loss"], rel=1e-3)
        assert short["structures"] == long["structures"]


def test_a_loaded_export_can_be_exported_again_unchanged(tmp_path):
    trained().export(tmp_path / "one")
    bv.load_run(tmp_path / "one").export(tmp_path / "two")
    one, two = (load_file(tmp_path / name / checkpoint.FILE) for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_an_export_cannot_be_resumed_nor_written_over_a_run(tmp_path):
    run = trained(out=tmp_path / "run")
    run.export(tmp_path / "handed-on")
    with pytest.raises(bv.RunError, match="an exported run, without what resuming needs"):
        trained(out=tmp_path / "handed-on")
    with pytest.raises(bv.RunError, match="can be resumed; choose another folder"):
        run.export(tmp_path / "run")
    assert bv.load_run(tmp_path / "run").history == run.history
    run.export(tmp_path / "handed-on")  # its own like it may go
    with pytest.raises(bv.RunError, match="holds other files"):
        run.export(tmp_path)


def test_changes_of_single_precision_go_to_double_precision_too():
    data = bv.load_dataset("si-defects").test[:1].starts()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        double = bv.load_run("si-defects/chgnet", potential=bv.CHGNet(dtype=torch.float64))
    single = bv.load_run("si-defects/chgnet").potential
    assert torch.equal(weights(double.potential), weights(single.double()).double())
    assert torch.equal(double.potential(data).forces, single(data).forces)


def test_a_potential_in_single_precision_is_named_where_a_run_was_in_double(tmp_path):
    trained().export(tmp_path)
    with pytest.raises(bv.RunError, match=r"those of this potential \(float32\) are others"):
        bv.load_run(tmp_path, potential=network().float())


def test_changes_go_only_to_the_weights_that_they_are_changes_of(tmp_path):
    run = trained()
    with pytest.raises(bv.RunError, match="does not have the weights that this run began with"):
        run.export(tmp_path / "run", pretrained=network(seed=9))
    run.export(tmp_path / "run")
    with pytest.raises(bv.RunError, match="changes to pretrained weights"):
        bv.load_run(tmp_path / "run", potential=network(seed=9))


@pytest.mark.parametrize("spoil", [
    lambda change: change[:-1].clone(),
    lambda change: torch.full_like(change, torch.nan),
    lambda change: change.to(torch.int32),
])  # fmt: skip
def test_changes_that_do_not_fit_are_refused(tmp_path, spoil):
    trained().export(tmp_path)
    file = tmp_path / checkpoint.FILE
    header, tensors = checkpoint.read(tmp_path)
    name = next(name for name in tensors if name.startswith("change/"))
    checkpoint.write(tmp_path, _body(header), {**tensors, name: spoil(tensors[name])})
    with pytest.raises(bv.RunError, match="a change of a weight that does not fit"):
        bv.load_run(tmp_path)
    save_file({name: tensors[name]}, file)
    with pytest.raises(bv.RunError, match="not a bpttviz run"):
        bv.load_run(tmp_path)


def test_a_change_beyond_half_precision_is_refused(tmp_path):
    run = trained()
    with torch.no_grad():
        next(run.potential.parameters()).add_(1e6)
    with pytest.raises(bv.RunError, match="more than half precision can hold"):
        run.export(tmp_path)


def test_a_name_that_is_nothing_says_which_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bv.RunError, match="no run in si-defects/nothing.*Shipped runs:"):
        bv.load_run("si-defects/nothing")


def test_a_shipped_name_means_the_shipped_run_whatever_lies_about(tmp_path, monkeypatch):
    shelf = tmp_path / "shelf"
    monkeypatch.setattr(shipped, "shelf", lambda: shelf)
    run = trained()
    run.export(shelf / "set" / "model")
    (shelf / "set" / "model" / "README.md").write_text("# The card", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    other = bv.finetune(
        network(), references(), objective(True), **{**SETTINGS, "epochs": 1}, out="set/model"
    )
    assert shipped.shipped_runs() == ("set/model",)
    by_name, by_path = bv.load_run("set/model"), bv.load_run("./set/model")
    assert by_name.card == "# The card"
    assert by_path.card == ""
    assert len(by_name.history) == len(run.history)
    assert len(by_path.history) == len(other.history)


def _body(header):
    return {name: value for name, value in header.items() if name not in ("format", "version")}
