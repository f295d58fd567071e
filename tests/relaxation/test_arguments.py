"""Numbers out of their range at every entrance of the relaxation: one sentence says which."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

import bpttviz as bv

# entrance → its numbers and values that are just within their ranges
ENTRANCES = {
    bv.GradientDescent: {"step_size": 1e-9, "max_step": 1e-9},
    bv.HeavyBall: {"step_size": 1e-9, "momentum": 0, "max_step": 1e-9},
    bv.FIRE: {"time_step": 1e-9, "longest_time_step": 1e-9, "max_step": 1e-9},
    bv.StoppingCriterion: {"max_steps": 1, "fmax": 1e-9, "max_displacement": 1e-9},
    bv.CheckpointedBPTT: {"segment_length": 1, "kept_steps": 0},
    bv.TruncatedBPTT: {"steps": 1},
    bv.ImplicitAdjoint: {"damping": 0},
    bv.GuidedAdjoint: {"window": 1, "weight": 0},
    bv.ConjugateGradient: {"tolerance": 1e-9, "iterations": 1},
    bv.GMRES: {"tolerance": 1e-9, "iterations": 1},
}
NUMBERS = [(make, name) for make, names in ENTRANCES.items() for name in names]
WHOLE = {"max_steps", "segment_length", "kept_steps", "steps", "window", "iterations"}
BELOW_ONE = {"momentum", "tolerance"}


def settings(part):
    if isinstance(part, bv.UpdateRule):
        return part.config()
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}


@pytest.mark.parametrize(("make", "name"), NUMBERS)
def test_numbers_out_of_range_are_named(make, name):
    bad = [math.nan, math.inf, -math.inf, -1, -1e-9, np.float32(np.nan), torch.tensor(-1.0)]
    bad += [2.5] if name in WHOLE else []
    bad += [1, 1.5] if name in BELOW_ONE else []
    bad += [0] if name not in ("momentum", "damping", "weight", "kept_steps") else []
    for value in bad:
        with pytest.raises(ValueError, match=rf"^{name}(\[0\])? .*must be an? .*number"):
            make(**{name: value})
    for value in ("1", True, {}, [[1]], 1j):
        with pytest.raises(TypeError, match=rf"^{name}(\[0\])? .*must be an? .*number"):
            make(**{name: value})


@pytest.mark.parametrize(("make", "name"), NUMBERS)
def test_numpys_numbers_become_pythons(make, name):
    value = ENTRANCES[make][name]
    kinds = (np.int64, np.float32, np.array) if name in WHOLE else (np.float64, np.array)
    for kind in kinds:
        found = settings(make(**{name: kind(value)}))[name]
        assert json.loads(json.dumps(found)) == pytest.approx(value)
        assert type(found) is (int if name in WHOLE else float)


@pytest.mark.parametrize("sizes", [[0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2]), torch.ones(2)])
def test_step_sizes_in_any_sequence(sizes):
    found = bv.GradientDescent(sizes).config()["step_size"]
    assert found == pytest.approx([float(size) for size in sizes])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bv.ImplicitAdjoint(solver="cg"), "solver must be None, bv.ConjugateGradient"),
        (lambda: bv.ImplicitAdjoint(solver=bv.GMRES), "solver must be None"),
        (lambda: bv.ImplicitAdjoint(rule="fire"), "rule must be an UpdateRule"),
        (lambda: bv.ImplicitAdjoint(rest=0.005), "rest must be a StoppingCriterion"),
        (lambda: bv.GuidedAdjoint(implicit=bv.ImplicitAdjoint), "write ImplicitAdjoint"),
    ],
)
def test_parts_of_another_kind_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()
