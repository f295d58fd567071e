"""Cross-validation: resumed, shared between processes, and filed under all that it depends on."""

import json
import warnings
from dataclasses import replace

import pytest
import torch
from springs import network
from taught import references

import bpttviz as bv
from bpttviz.experiments.cross_validation import cross_validate
from bpttviz.experiments.protocol import BPTT, PRETRAINED, SCALAR, PaperRecipe, best_scale


def test_cross_validation_resumes_and_shares_work(tmp_path):
    data, potential = bv.DatasetSplits(references(8)), network()
    recipe = PaperRecipe(step_size=0.1, steps=15, epochs=3, learning_rate=0.02, scales=(0.5, 1, 2))
    call = {"recipe": recipe, "folds": 2, "progress": False}
    assert cross_validate(potential, data, tmp_path, **call, only=[1]) is None
    first = (tmp_path / "fold-1.csv").read_text()
    result = cross_validate(potential, data, tmp_path, **call)
    assert (tmp_path / "fold-1.csv").read_text() == first
    assert result.potentials == [PRETRAINED, SCALAR, BPTT]
    assert sorted(result.structures) == sorted(data.all.names)
    assert result.compare("dq_rest", PRETRAINED, BPTT).ratio < 1
    assert "pretrained → BPTT" in (tmp_path / "report.txt").read_text()
    scales = json.loads((tmp_path / "scales.json").read_text())
    assert set(scales) == set(data.all.names)
    for name, known in scales.items():
        reference = data.all[[name]]
        with torch.no_grad():
            final = bv.relax(
                bv.ScaledForces(potential, 2.0), reference.starts(), recipe.rule, recipe.stop
            ).final
        assert known["errors"][2] == pytest.approx(float(bv.delta_q(final, reference.ends())))
    with pytest.raises(ValueError, match="other settings"):
        cross_validate(potential, data, tmp_path, folds=3, recipe=recipe)
    with pytest.raises(ValueError, match="weights: saved"):
        cross_validate(network(seed=8), data, tmp_path, **call)


def test_corrected_groups_are_other_folds(tmp_path):
    data, potential = references(4), network()
    recipe = PaperRecipe(step_size=0.1, steps=3, epochs=1, learning_rate=0.02, scales=(1,))
    call = {"recipe": recipe, "folds": 2, "progress": False}
    cross_validate(potential, bv.DatasetSplits(data), tmp_path, **call)
    groups = ["g0", "g0", "g1", "g1"]
    corrected = [replace(r, group=g) for r, g in zip(data, groups, strict=True)]
    with pytest.raises(ValueError, match="other settings .*data"):
        cross_validate(
            potential, bv.DatasetSplits(bv.RelaxationDataset(corrected)), tmp_path, **call
        )
    exact = replace(recipe, step_size=0.1 + 1e-12)
    with pytest.raises(ValueError, match="recipe.config.step_size"):
        cross_validate(potential, bv.DatasetSplits(data), tmp_path, **call | {"recipe": exact})


def test_scales_are_filed_under_what_they_depend_on_and_not_under_a_name(tmp_path):
    """Another structure, or another potential, of the same name gives its own errors."""
    data, file = references(3), tmp_path / "scales.json"
    recipe = PaperRecipe(step_size=0.1, steps=5, scales=(0.5, 1, 2))

    def errors(potential, relaxations, recipe=recipe):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            best_scale(potential, relaxations, recipe, file, progress=False)
        return json.loads(file.read_text())["r0"]["errors"]

    first = errors(network(), data)
    assert errors(network(), data) == first
    swapped = [replace(data[1], name="r0"), *data[2:]]
    others = [
        errors(network(), bv.RelaxationDataset(swapped)),
        errors(network(seed=3), data),
        errors(network(), data, replace(recipe, step_size=0.1001)),
    ]
    assert len({tuple(found) for found in [first, *others]}) == 4
    assert errors(network(), data) == first
    file.write_text("{")
    with pytest.raises(ValueError, match=r"scales\.json is damaged"):
        errors(network(), data)


@pytest.mark.parametrize("scales", [(), (1, 0), (1, float("nan"))])
def test_scales_without_a_meaning(scales):
    with pytest.raises(ValueError, match="force scale"):
        PaperRecipe(scales=scales)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"seed": -1}, "seed must be"),
        ({"learning_rate": 1e30}, "learning_rate must be"),
        ({"steps": 0}, "max_steps must be"),
        ({"step_size": 0}, "step_size must be"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_before_a_folder_is_filed_under_it(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        PaperRecipe(**wrong)


@pytest.mark.parametrize("only", [[-1], [0.5], [4], ["0"]])
def test_folds_that_there_are_not_are_refused(tmp_path, only):
    data = bv.DatasetSplits(references(8))
    with pytest.raises((TypeError, ValueError), match="a number in only|no fold 4"):
        cross_validate(network(), data, tmp_path / "out", only=only, progress=False)
    assert not (tmp_path / "out").exists()
