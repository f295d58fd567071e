"""Meters: what a piece of work cost in time and memory, on the CPU and on CUDA."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from bpttviz._tensor_checks import require_device

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
    """Measures a ``with`` block: seconds and peak memory.

        with Meter(potential.device) as meter:
            gradient = ...
        meter.seconds, meter.peak_bytes, meter.growth_bytes

    On CUDA memory is what PyTorch's tensors held; on the CPU it is the process's resident memory.
    Memory freed earlier in the same process may be used again without resident memory growing, so
    to compare methods measure each in a fresh process.

    Args:
        device: whose memory; on CUDA the block is also timed until its kernels have finished.

    Attributes:
        seconds: wall time.
        peak_bytes: the most memory held during the block.
        growth_bytes: by how much that was more than at its beginning.
        exact: False where the system offers only the peak since the process began (outside Linux).
    """

    def __init__(self, device: str | torch.device = "cpu"):
        self.device = require_device(device)
        self.seconds = 0.0
        self.peak_bytes = self.growth_bytes = 0
        self.exact = True

    def __enter__(self) -> Meter:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self.exact = _reset_peak()
        self._before = memory_now(self.device)
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds = time.perf_counter() - self._began
        self.peak_bytes = memory_peak(self.device)
        self.growth_bytes = max(0, self.peak_bytes - self._before)

    def __repr__(self) -> str:
        peak, growth = self.peak_bytes / 1e6, self.growth_bytes / 1e6
        return f"<Meter {self.seconds:.2f} s, peak {peak:.0f} MB (+{growth:.0f} MB)>"


def memory_now(device: str | torch.device = "cpu") -> int:
    """Bytes held now: by PyTorch's tensors on a CUDA device, by this process otherwise."""
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS") if _STATUS.exists() else _peak_since_birth()


def memory_peak(device: str | torch.device = "cpu") -> int:
    """The most bytes held since the last `Meter` began, or since the process did."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM") if _STATUS.exists() else _peak_since_birth()


def clock(device: str | torch.device = "cpu") -> float:
    """Seconds on the clock, when all that a device was asked to do is done."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def time_spent(job: Callable[[], object], device: str | torch.device = "cpu") -> dict[str, float]:
    """Seconds that a job takes: on the clock, and of the processor, this process's alone.

    Returns:
        ``seconds`` on the clock; ``user``, computing; ``system``, in the system's kernel (which
        hands out memory, for example).
    """
    began, before = clock(device), os.times()
    job()
    ended, after = clock(device), os.times()
    return {
        "seconds": ended - began,
        "user": after.user - before.user,
        "system": after.system - before.system,
    }


def release_memory(device: str | torch.device = "cpu") -> None:
    """Give back what was freed and only kept for later, as far as the system has a way to say so.

    Afterwards `memory_now` is what is in use, and a `Meter`'s growth is all that a block needs.
    """
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
        return
    with suppress(AttributeError, OSError, TypeError):  # glibc has it, others need it less
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    """Forget this process's peak resident memory; False where the system cannot."""
    try:
        _CLEAR.write_text("5")  # proc(5): resets VmHWM to the current resident size
    except OSError:
        return False
    return True


def _status(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_STATUS} has no {field}")


def _peak_since_birth() -> int:
    import resource  # not there on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others kB


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """p of the power law cost = c · sizeᵖ that fits best, by least squares over the logarithms.

    Args:
        sizes: of pieces of work, above 0.
        costs: of each, in whatever unit; one that is not above 0 counts as 1e-9.

    Raises:
        ValueError: fewer than two different sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError(f"an exponent needs two sizes at least, got {sorted(set(sizes))}")
    slope, _ = np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-9)), 1)
    return float(slope)
