"""`Replay`: an objective on relaxations of another set, beside those that are trained on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bpttviz._checks import instance_of, whole
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.training.draws import Draw
from bpttviz.training.objectives import Objective, loss_of, require_arguments


class Replay(Objective):
    """What is not to be forgotten, as relaxations: some of them are drawn in each update.

    Forces that stay as they were (`RehearsalLoss`) do not keep a shallow minimum: a small change
    is enough to open it. A relaxation sees it. So give the pretrained potential's own relaxations
    of unlabelled structures (`own_relaxations`), and an `EndpointLoss` that starts around their
    ends: as long as they come back nothing was lost. For example::

        back = bv.EndpointLoss(bv.HeavyBall(0.06, 0.8), bv.StoppingCriterion(12),
                               starts=bv.AroundEnd(), resolution=1.0)
        objective = bv.EndpointLoss() + bv.Replay(back, bv.own_relaxations(potential, starts))

    Args:
        objective: what is minimised on them. A wide resolution leaves minima free to move a little.
        references: M relaxations.
        count: how many are drawn for each training structure in an epoch; all where there are
            fewer. In validation it is always the same ones, from where the references start.

    Raises:
        TypeError: an argument of another kind.
        ValueError: ``count`` below 1, or no relaxations.
    """

    def __init__(self, objective: Objective, references: RelaxationDataset, count: int = 1):
        self.objective = instance_of("objective", objective, Objective, "bv.EndpointLoss()")
        self.references = instance_of(
            "references", references, RelaxationDataset, "bv.own_relaxations(potential, starts)"
        )
        if not len(references):
            raise ValueError("there are no relaxations to replay")
        self.count = whole("count", count)
        self.rule = self.objective.rule

    def loss(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None = None
    ) -> Tensor:
        """Mean loss (B,) of what was drawn for each reference, in the objective's unit."""
        require_arguments(potential, references, draw)
        return torch.stack([self._of_one(potential, name, draw) for name in references.names])

    def places(self, name: str, draw: Draw | None) -> list[int]:
        """Which of the relaxations are drawn for one reference."""
        draw = Draw(0, 0) if draw is None else draw
        return draw.some(name, "replay", len(self.references), self.count)

    def require(self, references: RelaxationDataset) -> None:
        """Raise ValueError where its own relaxations lack something; the others are not used."""
        self.objective.require(self.references)

    def work(self, reference: ReferenceRelaxation) -> float:
        """The mean of the objective's work on its relaxations, times how many are drawn."""
        work = sum(self.objective.work(one) for one in self.references) / len(self.references)
        return work * min(self.count, len(self.references))

    def heaviest(self) -> Replay:
        """The same, of the relaxations with most atoms alone."""
        by_atoms = sorted(self.references, key=lambda one: -len(one.start.numbers))
        chosen = RelaxationDataset(by_atoms[: self.count])
        return Replay(self.objective.heaviest(), chosen, self.count)

    def _of_one(self, potential: Potential, name: str, draw: Draw | None) -> Tensor:
        chosen = [self._drawn_for(name, self.references[p]) for p in self.places(name, draw)]
        return loss_of(self.objective, potential, RelaxationDataset(chosen), draw).mean()

    @staticmethod
    def _drawn_for(name: str, reference: ReferenceRelaxation) -> ReferenceRelaxation:
        """It under a name of its own, so that it is displaced otherwise beside another one."""
        return replace(reference, name=f"{reference.name}-beside-{name}")

    def config(self) -> dict[str, Any]:
        """What it depends on: the objective, the relaxations, and how many are drawn."""
        return {
            "objective": self.objective,
            "references": self.references.fingerprint(),
            "count": self.count,
        }

    def __repr__(self) -> str:
        return f"Replay({self.objective!r}, {len(self.references)} relaxations, count={self.count})"
