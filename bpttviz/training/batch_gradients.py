"""The mean gradient of a batch, its structures dealt to the processes that train together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.packing import packed
from bpttviz.potentials.base import Potential
from bpttviz.profiling import release_memory
from bpttviz.structures import StructureError
from bpttviz.training.draws import Draw
from bpttviz.training.objectives import Objective, loss_of
from bpttviz.training.ranks import Ranks, deal
from bpttviz.training.updates import BatchGradient, LeftOut, gradient_of, peak_bytes

# Atoms that go through a relaxation together. A CPU's cores are busy with as many; on the smaller
# accelerators every step of as many may keep its graph.
ATOMS_ON_CPU, ATOMS_ON_DEVICE = 32, 256


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
        most_atoms: structures go through a relaxation together up to so many atoms.
        frugal: give freed memory back to the system before each relaxation: allocators keep some,
            and more with every one.
    """

    objective: Objective
    potential: Potential
    parameters: Sequence[nn.Parameter]
    weights: int
    ranks: Ranks
    most_atoms: int
    frugal: bool = False

    def of(self, batch: RelaxationDataset, draw: Draw) -> BatchGradient:
        """The gradients of a batch, added up; a structure without a usable one is left out.

        Raises:
            TrainingError: the loss does not depend on the weights, or another process failed.

        Warns, in the first process, of each structure left out.
        """
        total = [torch.zeros_like(p, dtype=torch.float64) for p in self.parameters]
        mine = share_of(batch, self.objective, self.most_atoms, self.ranks)
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

    def losses(self, validation: RelaxationDataset) -> Tensor:
        """The loss (B,) of each structure, without gradient; NaN where one has none.

        Raises:
            TrainingError: another process failed.

        Warns of each structure that cannot be described.
        """
        mine = share_of(validation, self.objective, self.most_atoms, self.ranks)

        def values() -> dict[int, float]:
            found: dict[int, float] = {}
            for places in mine:
                losses = _losses(self.objective, self.potential, validation[places])
                found |= zip(places, losses, strict=True)
            return found

        with torch.no_grad():
            found = {
                place: loss for part in self.ranks.gather(values) for place, loss in part.items()
            }
        return torch.tensor([found[place] for place in range(len(validation))], dtype=torch.float64)

    def _share(
        self,
        batch: RelaxationDataset,
        groups: Sequence[list[int]],
        draw: Draw,
        total: Sequence[Tensor],
    ) -> _Share:
        """Add the gradients of some structures to ``total``."""
        share = _Share()
        for places in groups:
            self._add(share, batch, places, draw, total)
        share.peak = peak_bytes(self.potential.device)
        return share

    def _add(
        self,
        share: _Share,
        batch: RelaxationDataset,
        places: list[int],
        draw: Draw,
        total: Sequence[Tensor],
    ) -> None:
        """The gradient of structures taken together, or of each where one of them has none."""
        if self.frugal:
            release_memory(self.potential.device)
        try:
            losses, gradient = gradient_of(
                self.objective, self.potential, batch[places], self.parameters, self.weights, draw
            )
        except LeftOut as reason:
            if len(places) == 1:
                share.left_out[places[0]] = str(reason)
            for place in places if len(places) > 1 else ():
                self._add(share, batch, [place], draw, total)
            return
        share.losses |= zip(places, losses, strict=True)
        for so_far, more in zip(total, gradient, strict=True):
            so_far += more
        backward = self.objective.backward
        for step, norm in ({} if backward is None else backward.sensitivity).items():
            share.squares[step] = share.squares.get(step, 0.0) + norm**2


def _losses(
    objective: Objective, potential: Potential, references: RelaxationDataset
) -> list[float]:
    """The losses of some structures; NaN where one has none."""
    try:
        return loss_of(objective, potential, references, None).tolist()
    except StructureError as error:
        if len(references) == 1:
            warnings.warn(f"a validation has no value: {error}", stacklevel=8)
            return [torch.nan]
    return [
        loss
        for place in range(len(references))
        for loss in _losses(objective, potential, references[[place]])
    ]


def share_of(
    batch: RelaxationDataset, objective: Objective, most_atoms: int, ranks: Ranks
) -> list[list[int]]:
    """Places in a batch that this process takes, as groups that go through a relaxation together.

    Small structures leave a processor idle when they go alone. Groups are the same for any number
    of processes that get one each, so that they round alike.
    """
    groups = list(packed([len(reference.start.numbers) for reference in batch], most_atoms))
    if len(groups) < ranks.count:
        groups = [[place] for place in range(len(batch))]
    work = [sum(objective.work(batch[place]) for place in places) for places in groups]
    return [groups[number] for number in deal(work, ranks.count)[ranks.rank]]


def most_atoms_on(device: torch.device, planned_for: RelaxationDataset | None) -> int:
    """Atoms that may go through a relaxation together.

    Args:
        device: where the potential is.
        planned_for: relaxations that memory was planned for, the largest of them alone.
    """
    most = ATOMS_ON_CPU if device.type == "cpu" else ATOMS_ON_DEVICE
    if planned_for is not None:
        most = min(most, max(len(reference.start.numbers) for reference in planned_for))
    return most
