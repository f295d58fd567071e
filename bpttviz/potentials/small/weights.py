"""Weights that come with the package: one safetensors file a class, with its card in the header."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bpttviz.potentials.base import Potential

KEY = "bpttviz-weights"
SHELF = Path(str(files("bpttviz") / "potentials" / "small" / "shipped"))


def save_weights(potential: Potential, card: dict, path: Path) -> None:
    """Write weights (floating-point ones as they are), the class with its arguments, and a card.

    Args:
        card: JSON-able: what the weights were made from, and how good they are.
    """
    header = {"class": type(potential).__name__, "config": potential.config(), "card": card}
    tensors = {k: v.detach().cpu().contiguous() for k, v in potential.state_dict().items()}
    save_file(tensors, path, {KEY: json.dumps(header)})


def weights_file(kind: type[Potential]) -> Path:
    """Where the shipped weights of a class are."""
    return SHELF / f"{kind.__name__.lower()}.safetensors"


def read_header(path: Path) -> dict:
    """ "class", "config" and "card" of a file of weights."""
    with safe_open(path, "pt") as content:
        return json.loads(content.metadata()[KEY])


def load_weights(
    kind: type[Potential], path: Path | None = None, device="cpu", dtype: torch.dtype | None = None
) -> Potential:
    """A potential of class ``kind`` with the weights in ``path``; None: those shipped.

    Args:
        device: "cpu" or "cuda".
        dtype: what the network is to compute in; None: as stored.

    Raises:
        ValueError: the weights are another class's.
    """
    path = weights_file(kind) if path is None else path
    header = read_header(path)
    if header["class"] != kind.__name__:
        raise ValueError(f"{path} holds the weights of a {header['class']}, not a {kind.__name__}")
    config = header["config"]
    if dtype is not None:
        config = config | {"dtype": str(dtype).removeprefix("torch.")}
    potential = kind.from_config(config, device)
    with safe_open(path, "pt") as content:
        potential.load_state_dict({key: content.get_tensor(key) for key in content.keys()})  # noqa: SIM118
    return potential
