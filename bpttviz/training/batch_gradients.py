"""The mean gradient of a batch, its structures dealt to the processes that train together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.profiling import release_memory
from bpttviz.structures import StructureError
from bpttviz.training.draws import Draw
from bpttviz.training.objectives import Objective
from bpttviz.training.ranks import Ranks, deal
from bpttviz.training.updates import BatchGradient, LeftOut, gradient_of, peak_bytes


@dataclass
class _Share:
    """What one process found of its structures, but for the gradient itself.

    Attributes:
        losses: place in the batch → loss, of those that took part.
        left_out: place → why not.
        squares: step t → |dL/dX_t|², all structures together.
        peak: bytes held at most so far.
    """

    losses: dict[int, float] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)
    squares: dict[int, float] = field(default_factory=dict)
    peak: int | None = None


@dataclass(eq=False)
class GradientTaker:
    """Takes gradients of batches.

    Sums are made in double precision: what they are rounded to hardly depends on their order, so
    any number of processes trains the same weights.

    Args:
        objective, potential: what is minimised, and whose forces.
        parameters: what is trained: first the potential's, then the rule's.
        weights: how many of them are the potential's.
        ranks: the processes.
        frugal: give freed memory back to the system before each structure: allocators keep some,
            and more with every structure.
    """

    objective: Objective
    potential: Potential
    parameters: Sequence[nn.Parameter]
    weights: int
    ranks: Ranks
    frugal: bool = False

    def of(self, batch: RelaxationDataset, draw: Draw) -> BatchGradient:
        """The gradients of a batch, added up; a structure without a usable one is left out.

        Raises:
            TrainingError: the loss does not depend on the weights, or another process failed.

        Warns, in the first process, of each structure left out.
        """
        total = [torch.zeros_like(p, dtype=torch.float64) for p in self.parameters]
        work = [self.objective.work(reference) for reference in batch]
        mine = deal(work, self.ranks.count)[self.ranks.rank]
        shares = self.ranks.gather(lambda: self._share(batch, mine, draw, total))
        losses = {place: loss for share in shares for place, loss in share.losses.items()}
        lost = {place: why for share in shares for place, why in share.left_out.items()}
        result = BatchGradient(total, peak=max((s.peak for s in shares if s.peak), default=None))
        for place in sorted(losses):
            result.losses.append(losses[place])
            result.used.append(batch.names[place])
        for share in shares:
            for step, square in share.squares.items():
                result.squares[step] = result.squares.get(step, 0.0) + square
        if losses:
            result.total = self.ranks.sum(total)
        for place in sorted(lost) if self.ranks.first else ():
            warnings.warn(lost[place], stacklevel=6)
        return result

    def _share(
        self, batch: RelaxationDataset, places: Sequence[int], draw: Draw, total: Sequence[Tensor]
    ) -> _Share:
        """Add the gradients of some structures to ``total``."""
        share = _Share()
        for place in places:
            self._add(share, batch, place, draw, total)
        share.peak = peak_bytes(self.potential.device)
        return share

    def _add(
        self,
        share: _Share,
        batch: RelaxationDataset,
        place: int,
        draw: Draw,
        total: Sequence[Tensor],
    ) -> None:
        """The gradient of one structure, or why it has none."""
        if self.frugal:
            release_memory(self.potential.device)
        try:
            loss, gradient = gradient_of(
                self.objective, self.potential, batch[[place]], self.parameters, self.weights, draw
            )
        except LeftOut as reason:
            share.left_out[place] = str(reason)
            return
        share.losses[place] = loss
        for so_far, more in zip(total, gradient, strict=True):
            so_far += more
        backward = self.objective.backward
        for step, norm in ({} if backward is None else backward.sensitivity).items():
            share.squares[step] = share.squares.get(step, 0.0) + norm**2


def validation_losses(
    objective: Objective, potential: Potential, validation: RelaxationDataset, ranks: Ranks
) -> Tensor:
    """The loss (B,) of each structure, without gradient; NaN where it has none. Raises as `of`."""
    mine = deal([objective.work(reference) for reference in validation], ranks.count)[ranks.rank]

    def losses() -> dict[int, Tensor]:
        return {
            place: _validation_loss(objective, potential, validation[[place]]) for place in mine
        }

    with torch.no_grad():
        found = {place: loss for part in ranks.gather(losses) for place, loss in part.items()}
        return torch.stack([found[place] for place in range(len(validation))])


def _validation_loss(
    objective: Objective, potential: Potential, reference: RelaxationDataset
) -> Tensor:
    """The loss of one structure, on the CPU; NaN where it has none."""
    try:
        return objective.loss(potential, reference).mean().cpu()
    except StructureError as error:
        warnings.warn(f"a validation has no value: {error}", stacklevel=7)
        return torch.tensor(torch.nan)
