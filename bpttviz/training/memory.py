"""Memory to a budget: how many steps of a gradient keep their graphs, as found by trying."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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

# Other structures, and other places on a path, have more neighbours: measured growth times this.
# Seen over a training on silicon defects: 1.15 with CHGNet, 1.38 with M3GNet (which sees angles).
MARGIN = 1.4
# What was freed and glibc keeps back for later: up to 64 MiB in this thread's arena, and in that of
# autograd's own thread. A single gradient seldom meets it, many of them do.
KEPT_BACK = 2 * 64 * 2**20
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
        return adjoint_keeping(self.kept_steps, self.steps)

    def settings(self) -> dict[str, int]:
        """What a run keeps of it, so that a resumed one chooses the same."""
        return {"budget": self.budget, "kept_steps": self.kept_steps}

    def apply(self, objective: Objective) -> None:
        """Have the objective's unrolled gradients taken as was chosen, in place."""
        for term in unrolled_terms(objective):
            term.adjoint = self.adjoint


def adjoint_keeping(kept: int, steps: int) -> Adjoint:
    """The gradient mode that keeps the graphs of the last so many of its steps."""
    return FullBPTT() if kept >= steps else CheckpointedBPTT(kept_steps=kept)


def plan_memory(
    budget: int,
    objective: Objective,
    potential: Potential,
    references: Iterable[ReferenceRelaxation],
    parameters: list[nn.Parameter],
) -> MemoryPlan:
    """The fastest way to the exact gradient within a budget.

    Gradients of the largest structure are taken with one, three and more steps kept, and their
    peaks measured. Every kept step spares an evaluation, so as many are kept as fit: what is chosen
    was tried.

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
    trial = _Trial(objective.heaviest(), potential, RelaxationDataset([largest]), parameters)
    _load_what_training_loads()
    trial.growth(0, steps)  # what is loaded on first use is no cost of a gradient
    none = trial.growth(0, steps)
    held = memory_now(device)
    where = f"the largest structure ({largest.name}, {len(largest.start.numbers)} atoms)"
    fixed = held + records + (KEPT_BACK if device.type == "cpu" else 0)
    least = fixed + MARGIN * none
    if least > budget:
        raise ValueError(
            f"memory={_size(budget)} is not enough: this process holds {_size(held)} already, "
            f"and a gradient of {where} through one step at a time needs "
            f"{_size(least - held)} more. Give {_size(1.02 * least)} or more, or "
            "leave out the largest structures"
        )
    needs = _needs_that_fit(trial, none, (budget - fixed) / MARGIN, steps)
    kept = max(needs)
    reason = (
        f"{_size(held)} are held, and a gradient of {where} takes {_size(needs[kept])} more: "
        f"about {_size(fixed + MARGIN * needs[kept])} of {_size(budget)} at most"
    )
    return MemoryPlan(budget, steps, kept, _in_words(kept, steps, reason))


def _needs_that_fit(trial: _Trial, none: int, room: float, steps: int) -> dict[int, int]:
    """Kept steps → bytes that a gradient needs, of all that were tried and fit into a room.

    A kept step adds less than a gradient of one step needs; one and three kept tell how much less.
    Then the most that should fit is tried, and fewer until it does.
    """
    needs, last, each = {0: none}, 0, float(none)
    for kept in (1, 3):
        if kept > steps or needs[last] + (kept - last) * each > room:
            break  # what may not fit is not even tried
        needs[kept] = trial.growth(kept, steps)
        each = max((needs[kept] - needs[last]) / (kept - last), 1)
        last = kept
    kept = min(steps, last + int((room - needs[last]) / each))
    while kept > last:
        needs[kept] = trial.growth(kept, steps)
        if needs[kept] <= room:
            break
        each = max(each, (needs[kept] - needs[last]) / (kept - last))
        kept = min(kept - 1, last + int((room - needs[last]) / each))
    return {kept: need for kept, need in needs.items() if need <= room}


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

    def growth(self, kept: int, steps: int) -> int:
        """Bytes that a gradient with so many of its steps kept needs beyond what is held before it.

        Raises:
            ValueError: the system does not tell.
        """
        terms, device = unrolled_terms(self.objective), self.potential.device
        before = [(term.adjoint, term.stop) for term in terms]
        # The steps that are recomputed take their turns: two need as much as any number.
        steps = min(steps, kept + 2)
        release_memory(device)
        try:
            for term in terms:
                term.adjoint, term.stop = adjoint_keeping(kept, steps), StoppingCriterion(steps)
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
