"""Meters, against work whose cost is known."""

import subprocess
import sys
import time

import pytest
import torch

from bpttviz.profiling import Meter, exponent, memory_now, memory_peak

MB = 2**20


def test_memory_that_was_freed_counts_and_the_next_block_forgets_it():
    program = """
import torch
from bpttviz.profiling import Meter
with Meter() as first:
    x = torch.ones(200 * 2**20, dtype=torch.uint8)
    del x
with Meter() as second:
    y = torch.ones(20 * 2**20, dtype=torch.uint8)
print(first.growth_bytes, second.growth_bytes, first.exact)
"""
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    first, second, exact = printed.split()
    assert 195 * MB < int(first) < 230 * MB
    if exact == "True":
        assert int(second) < 50 * MB


def test_seconds_are_wall_time():
    with Meter() as meter:
        time.sleep(0.05)
    assert 0.05 <= meter.seconds < 1
    assert meter.peak_bytes >= meter.growth_bytes >= 0
    assert "MB" in repr(meter)


def test_now_is_at_most_the_peak():
    kept = torch.ones(10 * MB, dtype=torch.uint8)
    assert 10 * MB < memory_now() <= memory_peak() + MB
    assert kept.sum() == 10 * MB


def test_the_exponent_is_that_of_a_power_law():
    sizes = [5, 10, 80]
    assert exponent(sizes, [0.3 * k**1.5 for k in sizes]) == pytest.approx(1.5)
    assert exponent(sizes, [7, 7, 7]) == pytest.approx(0)
    with pytest.raises(ValueError, match="two sizes"):
        exponent([5, 5], [1, 2])
