"""What public entrances take as a number or an object, and what they say of the rest."""

import json
import math

import numpy as np
import pytest
import torch

import bpttviz as bv
from bpttviz import _checks

NUMBERS = [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), torch.tensor(0.5)]


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: type(value).__name__)
def test_any_kind_of_number_becomes_a_plain_one(value):
    found = _checks.number("x", value, least=0, below=1)
    assert type(found) is float
    assert json.dumps(found) == "0.5"


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3), torch.tensor(3)])
def test_any_kind_of_whole_number_becomes_a_plain_one(value):
    found = _checks.whole("x", value)
    assert type(found) is int
    assert found == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 0, np.float64("nan")])
def test_a_number_out_of_range_is_named(value):
    for check in (_checks.positive, _checks.positive_or_none, _checks.whole):
        with pytest.raises(ValueError, match=f"speed.* must be a .*number.*, got {value}"):
            check("speed", value)


@pytest.mark.parametrize("value", ["1", True, np.bool_(True), None, [1], np.ones(1), 1j, dict])
def test_what_is_no_number_is_named_with_its_type(value):
    for check in (_checks.positive, _checks.whole, _checks.not_negative):
        with pytest.raises(TypeError, match=rf"speed must be .*\({type(value).__name__}\)"):
            check("speed", value)


@pytest.mark.parametrize(
    ("value", "size"),
    [("1.5 GB", 1_500_000_000), ("1.5GB", 1_500_000_000), (" 800 mib", 800 * 2**20),
     (1.5e9, 1_500_000_000), (np.float32(2**30), 2**30), (".5TB", 500_000_000_000)],
)  # fmt: skip
def test_sizes_of_memory(value, size):
    found = _checks.memory_size("memory", value)
    assert (type(found), found) == (int, size)
    assert bv.TrainingConfig(memory=value).memory == size


def test_what_is_no_size_of_memory_is_named():
    bad = ["lots", "", "1.5", "nan GB", "-1GB", "1e9", "0GB", "1 kB", "GB", "9" * 400 + "GB"]
    for value in [*bad, math.nan, math.inf, -1.5e9, 0, 1.5]:
        with pytest.raises(ValueError, match=r"memory .*1\.5GB.* got "):
            bv.TrainingConfig(memory=value)
    for value in (True, [1e9], b"1GB"):
        with pytest.raises(TypeError, match="memory .*1.5GB"):
            bv.TrainingConfig(memory=value)


def test_bounds_are_said():
    with pytest.raises(ValueError, match="mu must be a number at least 0 and below 1, got 1"):
        _checks.number("mu", 1, least=0, below=1)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1 and at most 4"):
        _checks.whole("n", 5, most=4)


def test_an_object_of_another_class_and_a_class_in_place_of_an_object():
    stop = bv.StoppingCriterion()
    hint = "bv.StoppingCriterion(max_steps=20)"
    assert _checks.instance_of("stop", stop, bv.StoppingCriterion, hint) is stop
    with pytest.raises(TypeError, match=r"stop must be a StoppingCriterion, such as .*; got 20"):
        _checks.instance_of("stop", 20, bv.StoppingCriterion, hint)
    with pytest.raises(TypeError, match=r"class StoppingCriterion itself.*StoppingCriterion\("):
        _checks.instance_of("stop", bv.StoppingCriterion, bv.StoppingCriterion, hint)


@pytest.mark.parametrize(
    "value", [[[0.2, 1.9]], torch.tensor([[0.0, 0.5]]), [[0, math.nan]], [[0, math.inf]]]
)
def test_whole_numbers_are_not_made_of_others(value):
    with pytest.raises(ValueError, match="pairs must be whole numbers"):
        bv.Springs(value, [1.0], [[0.0, 0.0, 1.0]])


@pytest.mark.parametrize("value", [[[0, 1]], [[0.0, 1.0]], np.array([[0, 1]], np.int32)])
def test_whole_numbers_are_taken_in_any_form(value):
    assert bv.Springs(value, [1.0], [[0.0, 0.0, 1.0]]).pairs.tolist() == [[0, 1]]


@pytest.mark.parametrize("value", [[[0, 1j]], np.array([[0, 1j]]), torch.tensor([[0, 1j]])])
def test_complex_numbers_are_not_taken_for_their_real_parts(value):
    with pytest.raises(TypeError, match="must be numbers"):
        bv.Wells(value, [1.0], [1.0])
