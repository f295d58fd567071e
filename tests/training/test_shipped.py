"""The fine-tuned potentials that ship: what their cards say of them is true."""

import warnings

import pytest
import torch
from springs import network
from taught import references, weights

import bpttviz as bv
from bpttviz.experiments.registry import load_potential
from bpttviz.experiments.trial import parts_of

DATA = bv.load_dataset("si-defects")


def test_each_has_a_card_and_is_small():
    assert set(bv.shipped_runs()) >= {"si-defects/chgnet", "si-defects/chgnet-test"}
    for name in bv.shipped_runs():
        run = bv.load_run(name)
        assert f"`{name}`" in run.card
        assert run.status == "finished"
        assert sum(file.stat().st_size for file in run.path.rglob("*")) < 2e6


def test_they_trained_on_what_the_card_says():
    assert bv.load_run("si-defects/chgnet").settings["train"] == list(DATA.all.names)
    assert len(bv.load_run("si-defects/chgnet").history) == 300
    for name in ("si-defects/chgnet-test", "si-defects/chgnet-test-replay"):
        run = bv.load_run(name)
        assert not set(run.settings["train"]) & set(DATA.test.names)
        assert len(run.settings["train"]) == 48


def test_figures_of_the_card_are_those_of_the_report():
    for name in ("si-defects/chgnet-test", "si-defects/chgnet-test-replay"):
        report = bv.shipped_report(name)
        assert sorted(report.structures) == sorted(DATA.test.names)
        card = bv.load_run(name).card.replace("−", "-")
        for column in ("dq_rest", "dq_k", "force_mae"):
            assert figures(report.compare(column)) in card
    with pytest.raises(ValueError, match="no shipped run called 'si-defects/chgnet' was measured"):
        bv.shipped_report("si-defects/chgnet")


FOLDS = [name for name in bv.shipped_runs() if name.startswith("si-defects/chgnet-fold-")]


def test_folds_hold_out_what_they_did_not_train_on_and_the_card_says_what_they_gave():
    for name in FOLDS:
        part = parts_of(DATA)[name.removeprefix("si-defects/chgnet-")]
        assert bv.load_run(name).settings["train"] == list(part.training.names)
        assert sorted(bv.shipped_report(name).structures) == sorted(part.held_out.names)
    with pytest.raises(ValueError, match="held out by two of these runs: "):
        bv.shipped_report(FOLDS[0], FOLDS[1], FOLDS[0])
    report = bv.shipped_report(*FOLDS)
    card = bv.load_run(FOLDS[0]).card.replace("−", "-")
    assert sorted(report.structures) == sorted(DATA.all.names)
    assert "each of the sixty structures held out once" in card
    for column in ("dq_rest", "dq_k", "force_mae"):
        assert figures(report.compare(column)) in card


def figures(change):
    """As cards give them: change, interval, worse."""
    low, high = (100 * (x - 1) for x in change.interval)
    stated = f"{100 * (change.ratio - 1):+.0f} % ({low:+.0f} to {high:+.0f}) | "
    return stated + f"{change.worse} of {change.judged}"


@pytest.mark.parametrize("name", ["si-defects/chgnet-test", "si-defects/chgnet-test-replay"])
def test_what_was_measured_is_what_the_weights_give(name):
    """The map of one test defect, K = 20 steps, again."""
    defect, recipe = "119_sub_Ge", bv.Recipe()
    reference = DATA.all[[defect]]
    report = bv.shipped_report(name)
    potential = bv.load_run(name).potential
    with torch.no_grad():
        final = bv.relax(potential, reference.starts(), recipe.rule, recipe.stop).final
    measured = float(bv.delta_q(final, reference.ends()))
    assert measured == pytest.approx(report.row("fine-tuned", defect).dq_k, rel=0.02)


@pytest.mark.parametrize("load", [bv.load_run, load_potential])
def test_a_folder_of_ones_own_called_like_a_shipped_run(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = bv.shipped_runs()[0]
    own = bv.finetune(network(), references(1), out=name, epochs=1, progress=False)
    with pytest.warns(UserWarning, match=rf"comes with bpttviz.*write '\./{name}'") as told:
        assert isinstance(load(name).potential, bv.CHGNet)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(weights(load(f"./{name}").potential), weights(own.potential))
