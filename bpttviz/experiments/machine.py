"""The machine that something was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import bpttviz

PEERS = ("torch", "chgnet", "mace-torch", "torch-sim-atomistic", "numpy")


def machine() -> dict[str, Any]:
    """What timings depend on beside the work: processor, threads and versions."""
    versions = {"bpttviz": bpttviz.__version__, "python": platform.python_version()}
    for name in PEERS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": versions,
    }


def _processor() -> str:
    """The processor's name as Linux gives it, or what Python knows."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine_here(device: torch.device) -> str:
    """Processor, cores and threads used, and torch.

    Args:
        device: where the potential is: a GPU that is not used is not named.
    """
    here = machine()
    processor = here["gpu"] if device.type == "cuda" else here["processor"]
    used = f"{here['threads']} of {os.cpu_count()} cores"
    return f"{processor}, {used}, torch {here['versions']['torch']}"


def same_threads() -> dict[str, str]:
    """The environment of a process that is to compute with as many threads as this one."""
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}


def require_this_machine(rows: list[dict[str, Any]], file: Path, device: str) -> str:
    """This machine's name, if rows that were measured on a device are from it.

    Args:
        rows: each with ``device``, and the ``machine`` that it was measured on.
        file: where they are from.
        device: rows of another one are not looked at.

    Raises:
        ValueError: rows of another machine, or with another torch.
    """
    here = machine_here(torch.device(device))
    for row in rows:
        if row["device"] == device and row.get("machine") != here:
            raise ValueError(
                f"{file} was measured on another machine ({row.get('machine', 'not noted')}; this "
                f"is {here}): timings are compared within one machine only, so give another folder"
            )
    return here
