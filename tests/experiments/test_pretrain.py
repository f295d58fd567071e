"""How the small potentials were pretrained: on what, and whether the command does it again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import bpttviz as bv
from bpttviz.datasets.relaxations import ReferenceTrajectory
from bpttviz.experiments import pretrain, pretrain_frames
from bpttviz.experiments.pretrain_card import cards
from bpttviz.potentials.small.weights import (
    SHELF,
    load_weights,
    read_header,
    save_weights,
    weights_file,
)

KINDS = (bv.PaiNN, bv.CoordinateTransformer)


@pytest.fixture(scope="module")
def data():
    return bv.load_dataset("si-defects")


# --- what is shipped -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_validated_or_tested_on_was_seen(kind, data):
    card = read_header(weights_file(kind))["card"]
    assert card["relaxations"] == list(pretrain.RELAXATIONS)
    seen = data.all[card["relaxations"]]
    assert set(seen.groups) == set(card["groups"])
    assert {data.split_of(group) for group in card["groups"]} == {"train"}
    assert set(card["groups"]) <= data.development_groups
    assert seen.fingerprint() == card["data"]  # these very frames


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_small_and_of_the_recipe(kind):
    file = weights_file(kind)
    assert file.stat().st_size < 2e6
    card = read_header(file)["card"]
    recipe = pretrain.RECIPES[kind.__name__]
    assert card["recipe"]["seed"] == recipe.seed
    assert card["recipe"]["frames"] == recipe.frames
    for stages in ("teach", "distil", "fit"):
        told = [tuple(stage) for stage in card["recipe"][stages]]
        assert told == list(getattr(recipe, stages))
    assert {p.dtype for p in kind.pretrained().parameters()} == {torch.float32}


def test_the_card_says_what_the_weights_say():
    assert (SHELF / "README.md").read_text(encoding="utf-8") == cards(SHELF)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_in_the_card_are_those_of_the_weights(kind, data):
    card = read_header(weights_file(kind))["card"]["errors"]
    frames = [f for name in pretrain.RELAXATIONS for f in data.all[name].to_ase()]
    error = card["PBE, relaxations seen"]
    found = pretrain_frames.force_mae(kind.pretrained(), frames)
    assert found == pytest.approx(error["fitted"], abs=2e-3)
    unseen = card["PBE, all other groups"]
    assert unseen["teacher"] < unseen["fitted"] < unseen["no forces at all"]


@pytest.mark.parametrize("kind", KINDS)
def test_students_know_the_forces_on_unseen_defects(kind, data):
    # Away from rest: near it, no forces at all is a good answer.
    seen = {data.all[name].group for name in pretrain.RELAXATIONS}
    unseen = [reference for reference in data.all if reference.group not in seen]
    frames = [frame for reference in unseen for frame in reference.to_ase()[:6]]
    size = np.abs(pretrain_frames.components(frames)).mean()
    assert pretrain_frames.force_mae(kind.pretrained(), frames) < 0.6 * size


def test_weights_of_another_class_are_refused(tmp_path):
    file = tmp_path / "x.safetensors"
    save_weights(bv.PaiNN(features=8, layers=1), {"made": "here", "elements": ["Si"]}, file)
    assert read_header(file)["card"] == {"made": "here", "elements": ["Si"]}
    with pytest.raises(ValueError, match="holds the weights of a PaiNN, not a CoordinateTransf"):
        load_weights(bv.CoordinateTransformer, file)


# --- the script ----------------------------------------------------------------------------------


def test_a_relaxation_that_may_be_tested_on_is_refused(data, monkeypatch):
    for name in ("000_vac_Si", "119_sub_Ge", "114_tet_P"):  # validation, test, not informed
        monkeypatch.setattr(pretrain, "RELAXATIONS", ("001_sub_P", name))
        with pytest.raises(ValueError, match=f"{name}: its group .* is not for training"):
            pretrain.seen_relaxations(data)


def test_frames_depend_on_number_and_seed_alone(data):
    seen = pretrain.seen_relaxations(data)
    series = [pretrain_frames.disturbed_frame(number, seen, 0) for number in range(16)]
    again = pretrain_frames.disturbed_frame(9, seen, 0)
    assert np.array_equal(series[9].positions, again.positions)
    assert not np.array_equal(
        pretrain_frames.disturbed_frame(6, seen, 1).positions, series[6].positions
    )
    assert set(series[6].symbols) == set(series[14].symbols) == {"Si"}
    assert len(set(series[7].symbols)) == 2
    assert set(series[7].symbols) != set(series[15].symbols)
    compositions = {r.start.to_ase()[0].get_chemical_formula() for r in seen}
    assert {atoms.get_chemical_formula() for atoms in series[:6]} <= compositions
    for atoms in series:
        assert 0 < np.abs(np.linalg.det(atoms.cell.array) / 1309 - 1) < 0.25


def test_turned_frames_are_the_same_crystals(data):
    frames = data.all["001_sub_P"].to_ase()[:6]
    teacher = bv.CHGNet()
    error = pretrain_frames.force_mae(teacher, frames)
    turned = pretrain_frames.turned(frames, [0, 1])
    assert pretrain_frames.force_mae(teacher, turned) == pytest.approx(error, abs=1e-4)
    pairs = zip(frames, turned, strict=True)
    moved = sum(not np.allclose(a.get_forces(), b.get_forces()) for a, b in pairs)
    assert moved >= 4  # an operation may be the identity


def first_frame_only(reference):
    first = (part[:1] for part in reference.trajectory.parts)
    return replace(reference, trajectory=ReferenceTrajectory(*first))


@pytest.mark.parametrize("name", pretrain.RECIPES)
def test_a_small_pretraining_runs_and_goes_on_to_the_same_weights(name, data, tmp_path):
    recipe = replace(
        pretrain.RECIPES[name],
        distil=((1e-3, 1), (5e-4, 1)),
        fit=((1e-4, 1),),
        frames=3,
        held_out=1,
    )
    teacher = bv.PaiNN.pretrained()  # quicker than CHGNet
    small = replace(
        data,
        all=bv.RelaxationDataset([first_frame_only(r) for r in data.all]),
    )
    file = pretrain.pretrain(recipe, small, teacher, tmp_path, progress=False)
    kind = recipe.kind
    trained = load_weights(kind, file).state_dict()
    card = read_header(file)["card"]
    others = set(data.all.groups) - set(card["groups"])
    assert len(card["errors"]) == 3 + len(others)
    assert all(f"PBE, {group}" in card["errors"] for group in others)
    assert all(0 <= value < 5 for error in card["errors"].values() for value in error.values())
    assert card["teacher"]["class"] == "PaiNN"
    assert f"## {name}" in (file.parent / "README.md").read_text(encoding="utf-8")
    torch.manual_seed(recipe.seed)
    untrained = kind().state_dict()
    assert any(not torch.equal(untrained[key], trained[key]) for key in untrained)

    # What is lost is done again, to the same result; what is there is not.
    stages = sorted((tmp_path / name).rglob("run.safetensors"))
    assert [stage.parent.name for stage in stages] == ["stage-0", "stage-1", "stage-0"]
    stages[-1].unlink()
    labels = tmp_path / "frames-seed-0.extxyz"
    labelled_at = labels.stat().st_mtime_ns
    pretrain.pretrain(recipe, small, teacher, tmp_path, progress=False)
    assert labels.stat().st_mtime_ns == labelled_at
    again = load_weights(kind, file).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in trained.items())


def test_labels_are_kept_as_they_come(data, tmp_path, monkeypatch):
    seen = pretrain.seen_relaxations(data)
    asked = []

    def make(number):
        asked.append(number)
        if number == 3 and len(asked) == 4:
            raise KeyboardInterrupt
        return pretrain_frames.disturbed_frame(number, seen, 0)

    monkeypatch.setattr(pretrain_frames, "FRAMES_A_SAVE", 2)
    teacher, file = bv.PaiNN.pretrained(), tmp_path / "frames.extxyz"
    with pytest.raises(KeyboardInterrupt):
        pretrain_frames.label(teacher, make, 5, file, progress=False)
    frames = pretrain_frames.label(teacher, make, 5, file, progress=False)
    assert asked == [0, 1, 2, 3, 2, 3, 4]  # two were saved
    assert len(frames) == 5
    assert pretrain_frames.force_mae(teacher, frames) < 1e-5  # digits kept
    assert len(pretrain_frames.label(teacher, make, 4, file, progress=False)) == 4
    torch.manual_seed(1)
    with pytest.raises(
        ValueError, match=r"holds labels of PaiNN [\w ]+, not of PaiNN [\w ]+; delete"
    ):
        pretrain_frames.label(bv.PaiNN(), make, 5, file, progress=False)


def test_shifts_make_energies_right_where_they_are_determined(data):
    frames = [f for name in ("001_sub_P", "006_sub_As") for f in data.all[name].to_ase()]
    torch.manual_seed(0)
    potential = bv.PaiNN(features=8, layers=1)
    pretrain.fit_shift(potential, frames)
    with torch.no_grad():
        found = potential(bv.Structures.from_ase(frames)).energy.numpy()
    missing = np.array([f.get_potential_energy() for f in frames]) - found
    of_phosphorus = np.array([15 in f.numbers for f in frames])
    for chosen in (of_phosphorus, ~of_phosphorus):
        assert missing[chosen].mean() == pytest.approx(0, abs=1e-3)
    assert float(potential.shift[50]) == 0.0  # tin was not there


def test_the_command_line_names_its_potentials(capsys):
    with pytest.raises(SystemExit):
        pretrain.main(["--help"])
    assert "{CoordinateTransformer,PaiNN}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        pretrain.main(["CHGNet", "--out", "x"])
    assert "invalid choice: 'CHGNet'" in capsys.readouterr().err
