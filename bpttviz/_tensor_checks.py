"""Devices, floating-point types and tensors as arguments: or one sentence that says why not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def gradients_enabled() -> Iterator[None]:
    """Inside, gradients are recorded, whatever the caller has switched off around it."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


DTYPES = {"float32": torch.float32, "float64": torch.float64}


def require_device(device: str | torch.device) -> torch.device:
    """The device, or a sentence about why there is none.

    Raises:
        ValueError: no such device, or CUDA was asked for and this torch sees none.
    """
    found = _device(device)
    if found is None or found.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device must be 'cpu' or 'cuda', got {device!r} (others lack double precision or "
            "second derivatives)"
        )
    if found.type == "cuda" and not torch.cuda.is_available():
        build = "is a CPU-only build" if torch.version.cuda is None else "sees no GPU or driver"
        raise ValueError(
            f"device={str(device)!r} was asked for, but torch {torch.__version__} {build}; "
            "use device='cpu', or install a CUDA build of torch (see the README)"
        )
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r} was asked for, but there are {torch.cuda.device_count()} CUDA "
            "devices, counted from 0"
        )
    return found


def started_by_torchrun() -> bool:
    """Whether this process is one of several that torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ


def device_of_rank(device: str | torch.device) -> torch.device:
    """This process's own device: of "cuda" the GPU of its number on the machine.

    Raises:
        ValueError: there is none such.
    """
    found = require_device(device)
    if found.type == "cuda" and found.index is None and started_by_torchrun():
        return require_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    return found


def require_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32 or float64, which potentials compute in.

    Raises:
        ValueError: anything else.
    """
    if not any(dtype is known for known in DTYPES.values()):
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}")
    return dtype


def require_dtype_named(name: str) -> torch.dtype:
    """The floating-point type that a configuration names: "float32" or "float64".

    Raises:
        ValueError: anything else.
    """
    if name not in DTYPES:
        raise ValueError(f"dtype must be named 'float32' or 'float64', got {name!r}")
    return DTYPES[name]


def require_tensor(
    name: str, value: object, shape: tuple[int | None, ...], dtype: torch.dtype = torch.float64
) -> Tensor:
    """A tensor of its own of finite numbers, from whatever holds them.

    Args:
        name: of the argument, for the message.
        value: a tensor, an array, nested lists.
        shape: expected; None where any length (but 0) will do.
        dtype: to convert to.

    Raises:
        TypeError: no numbers.
        ValueError: another shape, or numbers that are not finite.
    """
    wanted = f"({', '.join('any' if n is None else str(n) for n in shape)})"
    found = to_tensor(name, value, dtype, f" of shape {wanted}").clone()
    fits = found.ndim == len(shape) and all(
        length == expected or (expected is None and length > 0)
        for length, expected in zip(found.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must be of shape {wanted}, got {tuple(found.shape)}")
    if not bool(torch.isfinite(found).all()):
        raise ValueError(f"{name} must be finite, and holds NaN or infinity")
    return found


class NotWhole(ValueError):
    """Numbers with a fraction, or none that are finite, where whole ones are needed."""


def to_tensor(
    name: str, value: object, dtype: torch.dtype = torch.float64, which: str = ""
) -> Tensor:
    """A tensor without a graph, from whatever holds real numbers; they need not be finite.

    Args:
        name: of the argument, for the message.
        value: a tensor, an array, nested lists.
        dtype: to convert to.
        which: what else the message says of the numbers.

    Raises:
        TypeError: no numbers, or complex ones.
        ValueError: numbers that are not whole, where ``dtype`` holds whole ones only.
    """
    try:
        if torch.is_complex(torch.as_tensor(value)):
            raise TypeError("complex numbers")
        found = torch.as_tensor(value, dtype=torch.float64).detach()
        if not dtype.is_floating_point and not torch.equal(found, found.nan_to_num().round()):
            raise NotWhole(f"{name} must be whole numbers{which}")
        return torch.as_tensor(value, dtype=dtype).detach()
    except NotWhole:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be numbers{which}, got a {type(value).__name__}") from error


def _device(device: object) -> torch.device | None:
    if not isinstance(device, (str, torch.device)):
        return None
    try:
        return torch.device(device)
    except RuntimeError:
        return None
