"""Weights that come with the package: one safetensors file a class, with its card in the header."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from bpttviz._files import write_atomic
from bpttviz._tensor_checks import require_dtype
from bpttviz.potentials.base import Potential

KEY = "bpttviz-weights"
SHELF = Path(str(files("bpttviz") / "potentials" / "small" / "shipped"))
P = TypeVar("P", bound=Potential)


def save_weights(potential: Potential, card: dict[str, Any], path: Path) -> None:
    """Write weights (floating-point ones as they are), the class with its arguments, and a card.

    Args:
        potential: gives its arguments by ``config()``.
        card: JSON-able: what the weights were made from, and how good they are. ``"elements"``
            (symbols) are those that were trained on; others will be refused.
        path: a ``.safetensors`` file.

    Raises:
        OSError: the file cannot be written.
    """
    config = potential.config() | {"elements": card["elements"]}
    header = {"class": type(potential).__name__, "config": config, "card": card}
    tensors = {k: v.detach().cpu().contiguous() for k, v in potential.state_dict().items()}
    write_atomic(path, safetensors_bytes(tensors, {KEY: json.dumps(header)}))


def weights_file(kind: type[Potential]) -> Path:
    """Where the shipped weights of a class are."""
    return SHELF / f"{kind.__name__.lower()}.safetensors"


def read_header(path: Path) -> dict[str, Any]:
    """ "class", "config" and "card" of a file of weights.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    try:
        with safe_open(path, "pt") as content:
            return json.loads((content.metadata() or {})[KEY])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as weights of a small potential; it is missing, damaged, or "
            "was not written by bpttviz.experiments.pretrain"
        ) from error


def load_weights(
    kind: type[P],
    path: Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> P:
    """A potential of class ``kind`` with the weights in ``path``.

    Args:
        kind: the class.
        path: a file that `save_weights` wrote; None: the one shipped.
        device: "cpu" or "cuda".
        dtype: what the network is to compute in; None: as stored.

    Raises:
        ValueError: the weights are another class's, or the file cannot be read.
    """
    path = weights_file(kind) if path is None else path
    header = read_header(path)
    if header["class"] != kind.__name__:
        raise ValueError(f"{path} holds the weights of a {header['class']}, not a {kind.__name__}")
    config = header["config"]
    if dtype is not None:
        config = config | {"dtype": str(require_dtype(dtype)).removeprefix("torch.")}
    potential = kind.from_config(config, device)
    with safe_open(path, "pt") as content:
        potential.load_state_dict({key: content.get_tensor(key) for key in content.keys()})  # noqa: SIM118
    return potential
