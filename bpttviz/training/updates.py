"""One update of the weights: the gradients of a few structures, added up, and a step of Adam."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.profiling import memory_peak
from bpttviz.relaxation.adjoints.implicit import ImplicitError
from bpttviz.structures import StructureError
from bpttviz.training.checkpoint import all_finite
from bpttviz.training.draws import Draw
from bpttviz.training.objectives import Objective, loss_of

MOST_UNDONE = 5  # updates in a row that come to nothing, before training gives up


class TrainingError(RuntimeError):
    """Training that leads nowhere: says why, and what to do."""


class LeftOut(Exception):
    """A structure has no usable gradient in this update; the message says why."""


@dataclass
class BatchGradient:
    """The gradients of a batch, added up.

    Attributes:
        total: the sum of the gradients, one tensor a parameter, in double precision.
        losses, used: of each structure that took part, its loss and name.
        squares: step t → |dL/dX_t|², all structures together.
        peak: bytes held at most so far, by the process that holds most; None where nobody knows.
    """

    total: list[Tensor]
    losses: list[float] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    squares: dict[int, float] = field(default_factory=dict)
    peak: int | None = None

    @property
    def loss(self) -> float | None:
        """Mean over the structures that took part; None where none did."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    @property
    def sensitivity(self) -> list[list]:
        """[t, |dL/dX_t|] by step, as a run records it."""
        return [[t, rounded(self.squares[t] ** 0.5)] for t in sorted(self.squares)]


def gradient_of(
    objective: Objective,
    potential: Potential,
    references: RelaxationDataset,
    parameters: Sequence[nn.Parameter],
    weights: int,
    draw: Draw | None = None,
) -> tuple[list[float], list[Tensor]]:
    """The loss of each structure, and the gradient of their sum, one tensor a parameter.

    Args:
        references: the structures; several go through one relaxation.
        parameters: what is trained: first the potential's, then the rule's.
        weights: how many of them are the potential's.
        draw: where the objective's random numbers come from.

    Raises:
        LeftOut: one of them has no loss (it diverged, say), cannot be described, or has no finite
            or no implicit gradient.
        TrainingError: the loss does not depend on the potential's weights.
    """
    names = listed(references.names)
    try:
        losses = loss_of(objective, potential, references, draw)
        finite = all_finite([losses])
        if finite and not losses.requires_grad:
            raise TrainingError(
                f"the loss of {type(objective).__name__} carries no graph to any weight; compute "
                "it in torch, without detach(), item(), no_grad() or numpy"
            )
        found = torch.autograd.grad(losses.sum(), parameters, allow_unused=True) if finite else ()
    except (ImplicitError, StructureError) as error:
        # One structure that cannot be used is no reason to lose the others.
        raise LeftOut(f"{names} was left out of an update: {error}") from error
    if finite:
        if weights and all(g is None for g in found[:weights]):
            raise TrainingError(
                f"the loss does not depend on any weight of {type(potential).__name__}: its forces "
                "carry no graph to them. Some models build one only in .train() or with a flag; "
                "set it in the adapter"
            )
        gradient = [
            torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)
        ]
        if all_finite(gradient):
            return losses.detach().tolist(), gradient
    why = (
        "its gradient is not finite. A smaller step size or learning rate may help."
        if finite
        else "it has no loss (NaN). Its relaxation diverged, which a smaller step size or learning "
        "rate may cure; or there is nothing of it to compare, as all its atoms are held."
    )
    raise LeftOut(f"{names} was left out of an update: {why}")


def apply_gradient(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    batch: BatchGradient,
    clip: float | None,
    pull: Sequence[Tensor] = (),
) -> tuple[float, bool]:
    """One step of the optimiser along a batch's mean gradient.

    Args:
        optimizer: over the parameters.
        parameters: what is trained.
        batch: with one structure at least.
        clip: the norm is limited to this.
        pull: added to the mean gradient, one tensor for each of the first parameters.

    An update that would leave a weight or the optimiser's memory not finite is undone: both are as
    they were.

    Returns:
        the gradient's norm before clipping, and whether the update stands.
    """
    before = [p.detach().clone() for p in parameters]
    memory = copy.deepcopy(optimizer.state_dict())
    mean = [
        (gradient / len(batch.used)).to(parameter)
        for gradient, parameter in zip(batch.total, parameters, strict=True)
    ]
    mean[: len(pull)] = [gradient + more for gradient, more in zip(mean, pull, strict=False)]
    for parameter, gradient in zip(parameters, mean, strict=True):
        parameter.grad = gradient
    limit = math.inf if clip is None else clip
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, limit))
    if math.isfinite(norm):
        optimizer.step()
    optimizer.zero_grad()
    slots = [x for s in optimizer.state_dict()["state"].values() for x in s.values()]
    if math.isfinite(norm) and all_finite(parameters) and all_finite(slots):
        return norm, True
    with torch.no_grad():
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)
    optimizer.load_state_dict(memory)
    return norm, False


def require_sense(
    history: Sequence[dict], batches: int, epoch_done: bool, rate: float, path: Path | None
) -> None:
    """See that training still gets anywhere.

    Args:
        history: of the run.
        batches: updates that make an epoch.
        epoch_done: whether one is complete.
        rate: the learning rate.
        path: of the run.

    Raises:
        TrainingError: the last few updates were all undone, or the last epoch's worth of them went
            without any structure.
    """
    kept = "" if path is None else f" {path} holds what was reached before."
    if len(history) >= MOST_UNDONE and all(h["undone"] for h in history[-MOST_UNDONE:]):
        raise TrainingError(
            f"{MOST_UNDONE} updates in a row were undone, as each would have left weights that "
            f"are not finite: learning_rate={rate:g} is too large, or the gradient is beyond the "
            f"number type.{kept}"
        )
    if epoch_done and not any(h["structures"] for h in history[-batches:]):
        lost = sorted({name for h in history[-batches:] for name in h["left_out"]})
        raise TrainingError(
            f"no structure gave a usable gradient in a whole epoch ({listed(lost)}): see the "
            f"warnings for each one's reason.{kept}"
        )


def rounded(value: float | None) -> float | None:
    """To four digits, enough for a curve; None for what is not finite, which JSON cannot hold."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None


def listed(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def peak_bytes(device: torch.device) -> int | None:
    """The most memory held so far; None on a system that does not say (Windows)."""
    with suppress(ImportError):
        return memory_peak(device)
    return None
