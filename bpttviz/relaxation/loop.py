"""The one loop: evaluate forces, let the rule move the atoms, repeat until the criterion is met.

The loop does not know whether, or how, anyone differentiates it. Each of its steps may be replayed
(that is how a checkpoint recomputes): decisions about who moves are made once, without gradient,
and kept; a replay follows them. A member that has come to rest, or was given up, leaves the batch:
the potential is not asked about it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bpttviz._checks import instance_of
from bpttviz.geometry import segment_max
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.state import State
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures

# An atom further than this (Å) from its start has been thrown: no relaxation goes that far, and
# atoms without neighbours feel no force and would pass for converged.
FARTHEST = 100.0
_NEXT = "state.after(positions)"


@dataclass(frozen=True)
class Divergence:
    """Where and why a structure was given up.

    Attributes:
        step: the step that could not be made.
        cause: in words.
        at_start: whether the start itself could not be evaluated.
    """

    step: int
    cause: str
    at_start: bool = False


@dataclass(frozen=True)
class StepRecord:
    """What the loop saw at one step, without gradient.

    Attributes:
        positions: (N, 3) Å, where the forces were evaluated.
        energy: (B,) eV; NaN for diverged structures.
        forces: (N, 3) eV/Å; zero for diverged structures.
        fmax: (B,) eV/Å, over the atoms that may move.
    """

    positions: Tensor
    energy: Tensor
    forces: Tensor
    fmax: Tensor


@dataclass(frozen=True)
class _Decision:
    """What was decided at a step, for a replay to follow.

    Attributes:
        moving: (B,) bool, members that made it.
        diverged: (B,) bool, members given up by then.
        away: (B,) bool, those the potential was not asked about: given up, or at rest before.
    """

    moving: Tensor
    diverged: Tensor
    away: Tensor


class Loop:
    """A relaxation in progress.

    Args:
        potential, structures, rule, stop: as in `bpttviz.relax`.
        farthest: a structure diverges when an atom is further than this from its start, Å.

    Attributes:
        records: what was seen at each step made so far.
        steps: (B,) steps that each structure has made.
        converged: (B,) bool, stopped by a tolerance.
        diverged: (B,) bool, given up: not evaluated and not moved any more.
        divergences: structure index → `Divergence`, for those given up.

    A relaxation may go through several phases, each with a rule and a stop of its own: see
    `switch_rule`. ``rule`` and ``stop`` are those of the present one.
    """

    def __init__(
        self,
        potential: Potential,
        structures: Structures,
        rule: UpdateRule,
        stop: StoppingCriterion,
        farthest: float = FARTHEST,
    ):
        self.potential, self.structures, self.rule, self.stop = potential, structures, rule, stop
        self.farthest = farthest
        count, device = len(structures), structures.device
        self.records: list[StepRecord] = []
        self.steps = torch.zeros(count, dtype=torch.int64, device=device)
        self.converged = torch.zeros(count, dtype=torch.bool, device=device)
        self.diverged = torch.zeros(count, dtype=torch.bool, device=device)
        self.divergences: dict[int, Divergence] = {}
        self._decisions: list[_Decision] = []  # at each step
        self._phases = [(0, rule)]  # (first step, rule)
        self._batches: dict[tuple[bool, ...], Structures] = {}  # of those that have not left

    @property
    def finished(self) -> bool:
        """Whether every structure has stopped."""
        return self._any_may_stop and bool((self.converged | self.diverged).all())

    @property
    def _any_may_stop(self) -> bool:
        """Whether any may have stopped; known without waiting for an accelerator."""
        tolerances = self.stop.fmax, self.stop.max_displacement
        return bool(self.divergences) or tolerances != (None, None)

    def begin(self) -> State:
        """The state before the first step."""
        state = self.rule.init(self.structures)
        name = type(self.rule).__name__
        return instance_of(f"what {name}.init() returns", state, State, "State.first(structures)")

    def switch_rule(self, state: State, rule: UpdateRule, stop: StoppingCriterion) -> State:
        """A new phase: go on from ``state`` by another rule, until another stop says so.

        Structures that a tolerance had stopped move again; diverged ones stay where they are.
        """
        self.rule, self.stop = rule, stop
        self.converged = torch.zeros_like(self.converged)
        self._phases.append((state.step, rule))
        here = self.structures.with_positions(state.positions)
        return replace(rule.init(here), step=state.step)

    def advance(self, state: State, steps: int) -> State:
        """Make (or replay) up to ``steps`` steps; fewer when everything has stopped."""
        for _ in range(steps):
            if state.step == len(self._decisions) and self.finished:
                break
            state = self._step(state)
        return state

    def predict(self, positions: Tensor) -> Prediction:
        """Energy and forces at ``positions`` (N, 3), with a graph where gradients are enabled.

        Diverged members are left out: their energy is NaN, their forces are zero.
        """
        prediction, _ = self._evaluate(positions, len(self.records), self.diverged)
        return prediction

    def measure(self, state: State) -> StepRecord:
        """Energy and forces at ``state``, without gradient, moving nothing."""
        with torch.no_grad():
            resting = self._resting(state.positions)
            prediction, _ = self._evaluate(state.positions, state.step, self.diverged | resting)
            return self._record(state, prediction, resting)

    def _step(self, state: State) -> State:
        if state.step < len(self._decisions):
            decision = self._decisions[state.step]
            prediction, _ = self._evaluate(state.positions, state.step, decision.away)
            return self._moved(state, prediction, decision.moving).merged(
                self._without_graph_of_lost(state, decision.diverged),
                decision.moving,
                self._free(decision.moving),
            )
        resting = self._resting(state.positions)
        prediction, away = self._evaluate(state.positions, state.step, self.diverged | resting)
        moving = self._decide(state, prediction, resting)
        proposed = self._moved(state, prediction, moving)
        moving = self._finish(state, proposed, moving)
        self._decisions.append(_Decision(moving, self.diverged, away | self.diverged))
        kept = self._without_graph_of_lost(state, self.diverged)
        return proposed.merged(kept, moving, self._free(moving))

    def _moved(self, state: State, prediction: Prediction, moving: Tensor) -> State:
        """Where the rule takes everybody; what is not to move is masked afterwards too."""
        # Masking the force as well as the result: a rule may divide by it or remember it.
        forces = torch.where(self._free(moving)[:, None], prediction.forces, 0.0)
        first, rule = next(phase for phase in reversed(self._phases) if phase[0] <= state.step)
        proposed = rule.step(replace(state, step=state.step - first), forces)
        instance_of(f"what {type(rule).__name__}.step() returns", proposed, State, _NEXT)
        return replace(proposed, step=state.step + 1)

    def _without_graph_of_lost(self, state: State, diverged: Tensor) -> State:
        """No gradient goes back through members that were given up."""
        return state.detached(diverged) if self.divergences else state

    def _resting(self, positions: Tensor) -> Tensor:
        """(B,) bool, members stopped by a tolerance at the very place where they were seen last."""
        if not self.records or not self._any_may_stop:
            return torch.zeros_like(self.converged)
        with torch.no_grad():
            moved = (positions != self.records[-1].positions).any(1).to(positions)
            return self.converged & (self._largest(moved) == 0)

    def _free(self, moving: Tensor) -> Tensor:
        """(N,) bool, the atoms that take this step."""
        return moving[self.structures.structure_index] & ~self.structures.fixed

    def _evaluate(self, positions: Tensor, step: int, away: Tensor) -> tuple[Prediction, Tensor]:
        """Forces, with members that cannot be evaluated given up instead of failing the batch.

        Args:
            away: (B,) bool, members that have left: their energy is NaN, their forces are zero.

        Returns:
            The forces, and who is away now.

        Raises:
            StructureError: no start in the batch can be evaluated; or a complaint about none of its
                members.
        """
        while True:
            try:
                prediction = self._predict(positions, away)
            except StructureError as error:
                if error.index is None:
                    raise
                kept = (~away).nonzero().flatten().tolist()
                lost, cause = [kept[error.index]], error.reason
            else:
                bad = self._not_finite(prediction) & ~away
                if not bool(bad.any()):
                    return prediction, away
                lost, cause = bad.nonzero().flatten().tolist(), "energy or forces are not finite"
                if step == 0:
                    cause = (
                        "energy or forces at the start are not finite (NaN or inf); atoms are too "
                        "close together, or training has spoiled the weights (try a smaller "
                        "learning rate)"
                    )
            for index in lost:
                self._give_up(index, Divergence(step, cause, at_start=step == 0))
            away = away | self.diverged
            if step == 0 and bool(self.diverged.all()):
                first = min(self.divergences)
                name = self.structures.names[first]
                raise StructureError(self.divergences[first].cause, first, name)

    def _predict(self, positions: Tensor, away: Tensor) -> Prediction:
        """Energy and forces of those that are left.

        Masking the output of a diverged member would not do: the NaN of its inner derivatives
        would reach the shared parameters as 0 · NaN.
        """
        if not self._any_may_stop or not bool(away.any()):
            return self.potential(self.structures.with_positions(positions))
        key = tuple(away.tolist())
        kept = [index for index, gone in enumerate(key) if not gone]
        energy = positions.new_full((len(key),), torch.nan)
        forces = torch.zeros_like(positions)
        if not kept:
            return Prediction(energy, forces)
        if key not in self._batches:
            self._batches[key] = self.structures[kept]
        atoms = (~away)[self.structures.structure_index].nonzero().flatten()
        found = self.potential(self._batches[key].with_positions(positions[atoms]))
        places = torch.tensor(kept, device=energy.device)
        return Prediction(
            energy.to(found.energy).index_copy(0, places, found.energy),
            forces.to(found.forces).index_copy(0, atoms, found.forces),
        )

    def _not_finite(self, prediction: Prediction) -> Tensor:
        with torch.no_grad():
            bad = (~torch.isfinite(prediction.forces)).any(1).to(prediction.energy)
            return (self._largest(bad) > 0) | ~torch.isfinite(prediction.energy)

    def _give_up(self, index: int, divergence: Divergence) -> None:
        """Note a divergence."""
        self.divergences[index] = divergence
        self.diverged = self.diverged.clone()
        self.diverged[index] = True

    def _decide(self, state: State, prediction: Prediction, resting: Tensor) -> Tensor:
        """Which structures (B,) take this step, noted together with what was seen."""
        with torch.no_grad():
            record = self._record(state, prediction, resting)
            self.records.append(record)
            if self.stop.fmax is not None:
                slow = (record.fmax < self.stop.fmax) & ~self.diverged
                self.converged = self.converged | slow
            return ~(self.converged | self.diverged)

    def _finish(self, state: State, proposed: State, moving: Tensor) -> Tensor:
        """Look at the step made: count it, or give a structure up; who has really moved (B,)."""
        with torch.no_grad():
            longest = self._longest(proposed.positions - state.positions)
            gone = self._longest(proposed.positions - self.structures.positions)
            lost = moving & (~torch.isfinite(longest) | (gone > self.farthest))
            if bool(lost.any()):
                self._give_up_thrown(state.step, lost, longest, gone)
                moving = moving & ~self.diverged
            self.steps = self.steps + moving
            if self.stop.max_displacement is not None:
                self.converged = self.converged | (moving & (longest < self.stop.max_displacement))
            return moving

    def _give_up_thrown(self, step: int, lost: Tensor, longest: Tensor, gone: Tensor) -> None:
        """Give up those whose step is not finite, or takes an atom too far away."""
        for index in lost.nonzero().flatten().tolist():
            cause = "the step is not finite"
            if bool(torch.isfinite(longest[index])):
                cause = (
                    f"an atom was thrown {float(gone[index]):.3g} Å from its start (more than "
                    f"{self.farthest:g} Å)"
                )
            self._give_up(index, Divergence(step, cause))

    def _longest(self, displacements: Tensor) -> Tensor:
        """(B,) Å, the longest of each structure's displacements (N, 3); inf where one is NaN."""
        return self._largest(torch.nan_to_num(displacements.norm(dim=1), nan=torch.inf))

    def _largest(self, values: Tensor) -> Tensor:
        """(B,), the largest of each structure's values (N,)."""
        return segment_max(values, self.structures.structure_index, len(self.structures))

    def _record(self, state: State, prediction: Prediction, resting: Tensor) -> StepRecord:
        """What was seen; of those who rest, what was seen when they came to rest."""
        forces, energy = prediction.forces.detach(), prediction.energy.detach()
        if self.records and self._any_may_stop:
            last = self.records[-1]
            atoms = resting[self.structures.structure_index][:, None]
            forces = torch.where(atoms, last.forces.to(forces), forces)
            energy = torch.where(resting, last.energy.to(energy), energy)
        free = torch.where(self.structures.fixed, 0.0, forces.norm(dim=1))
        return StepRecord(
            positions=state.positions.detach(),
            energy=energy,
            forces=forces,
            fmax=self._largest(free),
        )
