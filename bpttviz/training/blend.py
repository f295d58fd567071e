"""`blend` and `average_weights`: a potential between others of the same architecture."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from bpttviz._checks import instance_of, number, sequence_of
from bpttviz._files import refusal
from bpttviz.potentials.base import Potential
from bpttviz.provenance import specification


def blend(pretrained: Potential, tuned: Potential, alpha: float) -> Potential:
    """A copy of ``pretrained`` whose weights are (1 - α) times its own and α times the other's.

    Part of the way back often keeps most of what fine-tuning gained and loses less of what was
    there before (M. Wortsman et al., CVPR 2022, arXiv 2109.01903). Choose α on validation.

    Args:
        pretrained: where fine-tuning began.
        tuned: where it led to (``run.potential``).
        alpha: 0 is the one, 1 the other, exactly.

    Raises:
        TypeError: something else than potentials and a number.
        ValueError: an α outside of 0 to 1, or potentials of different architectures: another class,
            other weights, buffers (what is saved and not trained) or constructor arguments.
    """
    hint = "run.potential"
    instance_of("pretrained", pretrained, Potential, "bv.CHGNet()")
    instance_of("tuned", tuned, Potential, hint)
    alpha = number("alpha", alpha, least=0, most=1)
    _require_same_architecture(pretrained, tuned)
    made = copy.deepcopy(pretrained)
    theirs = dict(tuned.named_parameters())
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter.lerp_(theirs[name].to(parameter), alpha)
    return made


def average_weights(potentials: Sequence[Potential]) -> Potential:
    """A potential whose weights are the mean of several fine-tuned ones', of several seeds say.

    Fine-tunings that began with the same weights mostly end in one valley of the loss, and their
    mean is often better than each (M. Wortsman et al., ICML 2022, arXiv 2203.05482). It costs what
    one of them does; whether it is better here has to be measured.

    Args:
        potentials: of one architecture, and from the same pretrained weights for it to make sense.

    Raises:
        TypeError: no list of potentials.
        ValueError: none, or potentials of different architectures (see `blend`).
    """
    chosen = sequence_of("potentials", potentials, Potential, "[run.potential, other.potential]")
    if not chosen:
        raise ValueError("there are no potentials to average")
    made = copy.deepcopy(chosen[0])
    for other in chosen[1:]:
        _require_same_architecture(chosen[0], other)
    weights = [dict(potential.named_parameters()) for potential in chosen]
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            parameter.copy_(torch.stack([one[name].to(parameter) for one in weights]).mean(0))
    return made


def _require_same_architecture(one: Potential, other: Potential) -> None:
    """Raise ValueError where the weights of one mean something else in the other."""

    def refuse(reason: str) -> None:
        raise ValueError(f"only potentials of one architecture can be blended: {reason}")

    if type(one) is not type(other):
        refuse(f"one is a {type(one).__name__}, the other a {type(other).__name__}")
    mine, theirs = (dict(potential.named_parameters()) for potential in (one, other))
    if alone := mine.keys() ^ theirs.keys():
        refuse(f"{min(alone)} is a weight of one of them only")
    for name, value in mine.items():
        if value.shape != theirs[name].shape:
            refuse(f"{name} is {tuple(value.shape)} in one, {tuple(theirs[name].shape)} in other")
    here, there = (dict(potential.named_buffers()) for potential in (one, other))
    for name in sorted(here.keys() | there.keys()):
        if not _equal(here.get(name), there.get(name)):
            refuse(f"the buffer {name} is not the same in both")
    # With the same weights two of one architecture have the same description.
    filled = copy.deepcopy(one)
    with torch.no_grad():
        for name, parameter in filled.named_parameters():
            parameter.copy_(theirs[name])
    if reason := refusal(specification(filled), specification(other)):
        refuse(reason)


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None or one.shape != other.shape:
        return False
    return torch.equal(one, other.to(one))
