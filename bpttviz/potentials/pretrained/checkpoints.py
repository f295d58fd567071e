"""Opening other people's checkpoint files: every way in which that fails, in one true sentence."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bpttviz.potentials.pretrained.e3 import quiet

# How torch complains of a class or function that it will not execute (not of torn files).
REFUSED = ("nsupported global", "nsupported class", "unrecognized function", "Can only build")


class DownloadError(RuntimeError):
    """A model that could not be fetched: says how to get it otherwise."""


def numpy_values() -> list[Any]:
    """What a file with NumPy's arrays and numbers needs to be ``allowed``; none of it runs code."""
    # Files written with NumPy 1 name the same function by its old place.
    rebuild = np.empty(0).__reduce__()[0]
    return [
        (rebuild, "numpy.core.multiarray._reconstruct"),
        (rebuild, "numpy._core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "bool")),
    ]


def read_checkpoint(
    path: Path, wanted: str, *, trusted: bool = False, allowed: Sequence[Any] = ()
) -> Any:
    """What `torch.save` put into a file.

    Args:
        path: the file.
        wanted: what it should be, and where such files come from, for messages.
        trusted: whether code in the file may be executed; otherwise tensors, plain values and what
            is ``allowed`` come out, or nothing.
        allowed: classes and functions that are known to be harmless.

    Raises:
        ValueError: no file, an empty or damaged one, another format, or one that would execute
            code. torch's own words are left out: they advise to execute it.
    """
    problem = _problem_before_opening(path)
    if problem:
        raise ValueError(f"{path} {problem}; give {wanted}")
    # What a package allowed for good must still be allowed when we are done.
    known = torch.serialization.get_safe_globals()
    more = [value for value in allowed if value not in known]
    try:
        with quiet(), torch.serialization.safe_globals(more):
            return torch.load(path, map_location="cpu", weights_only=not trusted)
    except Exception as error:  # whatever a torn file provokes
        problem = _problem_of(error, trusted)
    raise ValueError(f"{path} {problem}; give {wanted}")


def _problem_before_opening(path: Path) -> str:
    """What shows without torch; empty: nothing."""
    try:
        if path.is_dir():
            return "is a folder, not a file"
        if not path.is_file():
            return "is no file"
        with open(path, "rb") as content:
            head = content.read(9)
    except (OSError, ValueError) as error:
        return f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if not head:
        return "is empty"
    # Eight bytes that count the header's length, and a header of JSON.
    if len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < 1e8:
        return "holds bare weights (safetensors), without the network they belong to"
    return ""


def _problem_of(error: Exception, trusted: bool) -> str:
    if isinstance(error, ImportError):
        return f"needs the package {error.name or error}, which is not installed here"
    if isinstance(error, AttributeError):
        return f"was written by another version of its package ({error})"
    refused = isinstance(error, pickle.UnpicklingError) and any(s in str(error) for s in REFUSED)
    if refused and not trusted:
        return "holds more than tensors and plain values, and opening it could execute code"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    return "is damaged, cut short, or was not written by torch.save"
