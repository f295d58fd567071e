"""`low_rank`: train a small update of each weight matrix instead of the matrix."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bpttviz._checks import instance_of, whole
from bpttviz.potentials.base import Potential


class LowRankUpdate(nn.Module):
    """W → W + B A, with B (out, r) zero at first, so that nothing has changed yet."""

    def __init__(self, weight: Tensor, rank: int, draw: torch.Generator):
        super().__init__()
        rows, columns = weight.shape
        noise = torch.randn(rank, columns, generator=draw, dtype=torch.float64)
        self.a = nn.Parameter((noise / math.sqrt(columns)).to(weight))
        self.b = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.b @ self.a  # (out, in)


def low_rank(potential: Potential, rank: int = 4, seed: int = 0) -> Potential:
    """A copy of which only updates of low rank are trained, one for each linear layer's matrix.

    Everything else is frozen: biases, embeddings, what is no `torch.nn.Linear`. Fewer numbers to
    train move the potential less far from what it was (E. Hu et al., ICLR 2022, arXiv 2106.09685).
    It is trained, saved and resumed like any potential; `load_run` needs it passed, made in the
    same way. `merge_low_rank` gives back the architecture that it was.

    Args:
        potential: left as it is.
        rank: of each update.
        seed: of one factor of each; the other is zero at first.

    Raises:
        TypeError: no potential.
        ValueError: no rank of at least 1, a negative seed, no linear layer larger than the rank, or
            a potential that is of low rank already.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    rank, seed = whole("rank", rank), whole("seed", seed, least=0)
    if _parametrized(potential):
        raise ValueError("this potential has updates of low rank already: merge_low_rank first")
    made = copy.deepcopy(potential).requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    layers = [m for m in made.modules() if isinstance(m, nn.Linear) and min(m.weight.shape) > rank]
    if not layers:
        raise ValueError(
            f"{type(potential).__name__} has no linear layer with more than {rank} rows and columns"
        )
    for layer in layers:
        update = LowRankUpdate(layer.weight, rank, draw)
        parametrize.register_parametrization(layer, "weight", update)
    return made


def merge_low_rank(potential: Potential) -> Potential:
    """A copy with the updates added to the matrices, all of it trainable again.

    Raises:
        TypeError: no potential.
        ValueError: it has no updates of low rank.
    """
    instance_of("potential", potential, Potential, "run.potential")
    made = copy.deepcopy(potential)
    layers = _parametrized(made)
    if not layers:
        raise ValueError("this potential has no updates of low rank to merge")
    for layer in layers:
        _merge(layer)
    return made.requires_grad_(True)


def _merge(layer: nn.Linear) -> None:
    """Make a parametrized layer an ordinary one.

    Not by torch's `remove_parametrizations`: it changes the layer's class, which the potential that
    this one was copied from still has.
    """
    weight, bias = layer.weight.detach().clone(), layer.bias
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    layer._parameters.clear()
    layer.weight = nn.Parameter(weight)
    layer.register_parameter("bias", bias)


def _parametrized(potential: Potential) -> list[nn.Linear]:
    return [
        module
        for module in potential.modules()
        if isinstance(module, nn.Linear) and parametrize.is_parametrized(module, "weight")
    ]
