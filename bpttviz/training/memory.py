"""Memory to a budget: how many steps of a gradient keep their graphs, as found by trying."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.profiling import Meter, memory_now, release_memory
from bpttviz.relaxation.adjoints.base import Adjoint
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT, FullBPTT
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError
from bpttviz.training import checkpoint
from bpttviz.training.objectives import Objective, WeightedSum, loss_of

# Neighbours come and go along a path, and allocators lose a little: measured growth times this.
MARGIN = 1.2
# What training holds beside a gradient, in units of all trained weights: a sum in double precision
# (2), Adam's memory (2), the best weights, their average and the initial ones.
COPIES = 7
# Bytes an atom and step: state, its copy for the replay, and what was seen there.
RECORD = 500


@dataclass(frozen=True)
class MemoryPlan:
    """What a budget allows, and why.

    Attributes:
        budget: bytes that the process may hold.
        steps: K, the most steps that a gradient goes through.
        kept_steps: the last so many keep their graphs; 0 to K.
        reason: in words.
    """

    budget: int
    steps: int
    kept_steps: int
    reason: str

    @property
    def adjoint(self) -> Adjoint:
        """The gradient mode that was chosen."""
        if self.kept_steps >= self.steps:
            return FullBPTT()
        return CheckpointedBPTT(kept_steps=self.kept_steps)

    def settings(self) -> dict[str, int]:
        """What a run keeps of it, so that a resumed one chooses the same."""
        return {"budget": self.budget, "kept_steps": self.kept_steps}

    def apply(self, objective: Objective) -> None:
        """Have the objective's unrolled gradients taken as was chosen, in place."""
        for term in unrolled_terms(objective):
            term.adjoint = self.adjoint


@dataclass(frozen=True)
class _Cost:
    """Bytes of one gradient beyond the process itself, with so many steps kept."""

    base: int
    none: int
    one: int
    each: int
    records: int

    def of(self, kept: int) -> float:
        """Bytes that the process holds at most."""
        graphs = self.one + (kept - 1) * self.each if kept else self.none
        return self.base + self.records + MARGIN * graphs


def plan_memory(
    budget: int,
    objective: Objective,
    potential: Potential,
    references: Iterable[ReferenceRelaxation],
    parameters: list[nn.Parameter],
) -> MemoryPlan:
    """The fastest way to the exact gradient within a budget.

    Gradients of the largest structure through one step and three are taken, and their peaks
    measured; each step that is kept adds about the same. Every kept step spares an evaluation, so
    as many are kept as fit.

    Args:
        budget: bytes; of the process's resident memory on the CPU, of PyTorch's on a GPU.
        objective: whose terms through unrolled steps are planned.
        potential: what is trained, where it is trained.
        references, parameters: what it is trained on, and all that is trained.

    Raises:
        ValueError: not even a step at a time fits, and how much would be enough; no term of the
            objective goes through steps exactly; the system does not tell what a process holds.
    """
    terms = unrolled_terms(objective)
    if not terms:
        raise ValueError(
            "memory chooses between FullBPTT and CheckpointedBPTT, and this objective's gradient "
            "is neither: leave memory out"
        )
    device, largest = potential.device, largest_of(references)
    steps = max(term.stop.max_steps for term in terms)
    copies = COPIES * sum(p.nbytes for p in parameters)
    records = copies + RECORD * len(largest.start.numbers) * sum(t.stop.max_steps for t in terms)
    trial = _Trial(objective, potential, RelaxationDataset([largest]), parameters)
    _load_what_training_loads()
    trial.growth(CheckpointedBPTT(), 1)  # what is loaded on first use is no cost of a gradient
    none = trial.growth(CheckpointedBPTT(), 1)
    cost = _Cost(memory_now(device), none, none, none, records)
    where = f"the largest structure ({largest.name}, {len(largest.start.numbers)} atoms)"
    if cost.of(0) > budget:
        raise ValueError(
            f"memory={_size(budget)} is not enough: this process holds {_size(cost.base)} already, "
            f"and a gradient of {where} through one step at a time needs "
            f"{_size(cost.of(0) - cost.base)} more. Give {_size(1.02 * cost.of(0))} or more, or "
            "leave out the largest structures"
        )
    kept = 0
    if cost.of(2) <= budget:  # what may not fit is not even tried
        one = trial.growth(FullBPTT(), 1)
        cost = replace(cost, one=one, each=one)
        if cost.of(3) <= budget:
            three = trial.growth(FullBPTT(), 3)
            cost = replace(cost, each=max((three - one) // 2, 1))
        room = (budget - cost.of(1)) / (MARGIN * cost.each)
        kept = min(steps, 1 + int(room)) if room >= 0 else 0
    reason = (
        f"{_size(cost.base)} are held, and for {where} each step's graph takes "
        f"{_size(cost.each)}: about {_size(cost.of(kept))} of {_size(budget)} at most"
    )
    return MemoryPlan(budget, steps, kept, _in_words(kept, steps, reason))


def planned(
    budget: int | None,
    objective: Objective,
    potential: Potential,
    references: Iterable[ReferenceRelaxation],
    parameters: list[nn.Parameter],
    path: Path | None,
) -> MemoryPlan | None:
    """What the run in a folder chose for this budget, or else `plan_memory`; None without one."""
    if budget is None:
        return None
    if path is not None and (path / checkpoint.FILE).exists():
        saved = checkpoint.read(path)[0]["settings"].get("memory")
        if saved is not None and saved["budget"] == budget:
            steps = max((t.stop.max_steps for t in unrolled_terms(objective)), default=0)
            reason = _in_words(saved["kept_steps"], steps, "as when this run began")
            return MemoryPlan(budget, steps, saved["kept_steps"], reason)
    return plan_memory(budget, objective, potential, references, parameters)


def unrolled_terms(objective: Objective) -> list[Any]:
    """The objective's terms whose gradient goes through every step, exactly."""
    terms = [t for _, t in objective.terms] if isinstance(objective, WeightedSum) else [objective]
    return [
        term
        for term in terms
        if isinstance(getattr(term, "adjoint", None), (FullBPTT, CheckpointedBPTT))
        and isinstance(getattr(term, "stop", None), StoppingCriterion)
    ]


def largest_of(references: Iterable[ReferenceRelaxation]) -> ReferenceRelaxation:
    """The one with most atoms; of several the densest, whose atoms have most neighbours."""

    def size(reference: ReferenceRelaxation) -> tuple[int, float]:
        volume = float(torch.linalg.det(reference.start.cell[0]).abs())
        return len(reference.start.numbers), -volume

    return max(references, key=size)


@dataclass(frozen=True)
class _Trial:
    """Gradients of one structure, taken to see what they need."""

    objective: Objective
    potential: Potential
    reference: RelaxationDataset
    parameters: list[nn.Parameter]

    def growth(self, adjoint: Adjoint, steps: int) -> int:
        """Bytes that a gradient through so many steps needs beyond what is held before it.

        Raises:
            ValueError: the system does not tell.
        """
        terms, device = unrolled_terms(self.objective), self.potential.device
        before = [(term.adjoint, term.stop) for term in terms]
        release_memory(device)
        try:
            for term in terms:
                term.adjoint, term.stop = adjoint, StoppingCriterion(steps)
            with Meter(device) as meter:
                self._gradient()
        finally:
            for term, (usual, stop) in zip(terms, before, strict=True):
                term.adjoint, term.stop = usual, stop
        if not meter.exact:
            raise ValueError(
                "memory cannot be planned here, as this system does not tell what a process "
                "holds at most: leave memory out (CheckpointedBPTT() needs least)"
            )
        release_memory(device)
        return meter.growth_bytes

    def _gradient(self) -> None:
        try:
            loss: Tensor = loss_of(self.objective, self.potential, self.reference, None).sum()
        except StructureError as error:
            name = self.reference.names[0]
            raise ValueError(
                f"memory is measured on the largest structure, {name}, which has none: {error}"
            ) from error
        if loss.requires_grad:
            torch.autograd.grad(loss, self.parameters, allow_unused=True)


def _load_what_training_loads() -> None:
    """Take a step of Adam: PyTorch imports tens of megabytes for the first one."""
    nothing = nn.Parameter(torch.zeros(1))
    nothing.grad = torch.zeros(1)
    torch.optim.Adam([nothing]).step()


def _in_words(kept: int, steps: int, reason: str) -> str:
    if kept == steps:
        return f"the graphs of all {steps} steps are kept (full BPTT): {reason}"
    if kept == 0:
        return f"every step is recomputed (checkpointed BPTT): {reason}"
    return f"the last {kept} of {steps} steps keep their graphs, the rest is recomputed: {reason}"


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
