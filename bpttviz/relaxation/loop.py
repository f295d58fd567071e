"""The one loop: evaluate forces, let the rule move the atoms, repeat until `StoppingCriterion` says so.

The loop does not know whether, or how, anyone differentiates it. Each of its steps may be replayed
(that is how a checkpoint recomputes): decisions about who moves are made once, without gradient,
and kept; a replay follows them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bpttviz.geometry import segment_max
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.relaxation.rules import State
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures


@dataclass(frozen=True)
class Divergence:
    """Where and why a structure was given up."""

    step: int
    cause: str


@dataclass(frozen=True)
class StepRecord:
    """What the loop saw at one step, without gradient.

    Attributes:
        positions: (N, 3) Å, where the forces were evaluated.
        energy: (B,) eV.
        forces: (N, 3) eV/Å.
        fmax: (B,) eV/Å, over the atoms that may move.
    """

    positions: Tensor
    energy: Tensor
    forces: Tensor
    fmax: Tensor


class Loop:
    """A relaxation in progress.

    Args:
        potential, structures, rule, stop: as in `bpttviz.relax`.

    Attributes:
        moments: what was seen at each step made so far.
        steps: (B,) steps that each structure has made.
        converged: (B,) bool, stopped by a tolerance.
        diverged: structure index → `Divergence`.

    A relaxation may go through several phases, each with a rule and a stop of its own: see
    `follow`. ``rule`` and ``stop`` are those of the present one.
    """

    def __init__(self, potential: Potential, structures: Structures, rule, stop: StoppingCriterion):
        self.potential, self.structures, self.rule, self.stop = potential, structures, rule, stop
        count, device = len(structures), structures.device
        self.moments: list[StepRecord] = []
        self.steps = torch.zeros(count, dtype=torch.int64, device=device)
        self.converged = torch.zeros(count, dtype=torch.bool, device=device)
        self.diverged: dict[int, Divergence] = {}
        self._given_up = torch.zeros(count, dtype=torch.bool, device=device)
        self._decisions: list[tuple[Tensor, Tensor]] = []  # (moving, given up) at each step
        self._phases = [(0, rule)]  # (first step, rule)
        self._safe_positions = structures.positions.detach()

    @property
    def finished(self) -> bool:
        """Whether every structure has stopped."""
        return bool((self.converged | self._given_up).all())

    def begin(self) -> State:
        """The state before the first step."""
        return self.rule.init(self.structures)

    def follow(self, state: State, rule, stop: StoppingCriterion) -> State:
        """A new phase: go on from ``state`` by another rule, until another stop says so.

        Structures that a tolerance had stopped move again; those given up stay given up.
        """
        self.rule, self.stop = rule, stop
        self.converged = torch.zeros_like(self.converged)
        self._phases.append((state.t, rule))
        here = self.structures.with_positions(state.positions)
        return rule.init(here)._replace(t=state.t)

    def advance(self, state: State, steps: int) -> State:
        """Make (or replay) up to ``steps`` steps; fewer when everything has stopped."""
        for _ in range(steps):
            if state.t == len(self._decisions) and self.finished:
                break
            state = self._step(state)
        return state

    def predict(self, positions: Tensor) -> Prediction:
        """Energy and forces at ``positions`` (N, 3), with a graph where gradients are enabled.

        Members given up are evaluated at their start.
        """
        prediction, _ = self._evaluate(State(positions, (), len(self.moments)), self._given_up)
        return prediction

    @property
    def given_up(self) -> Tensor:
        """(B,) bool, the diverged ones."""
        return self._given_up

    def measure(self, state: State) -> StepRecord:
        """Energy and forces at ``state``, without gradient, moving nothing."""
        with torch.no_grad():
            prediction, _ = self._evaluate(state, self._given_up)
            return self._moment(state, prediction)

    def _step(self, state: State) -> State:
        replay = state.t < len(self._decisions)
        if replay:
            moving, given_up = self._decisions[state.t]
            prediction, _ = self._evaluate(state, given_up)
        else:
            prediction, given_up = self._evaluate(state, self._given_up)
            moving = self._decide(state, prediction, given_up)
        structure_index = self.structures.structure_index
        free = (moving[structure_index] & ~self.structures.fixed)[:, None]
        # Masking the force as well as the result: a rule may divide by it or remember it.
        first, rule = next(phase for phase in reversed(self._phases) if phase[0] <= state.t)
        proposed = rule.step(
            state._replace(t=state.t - first), torch.where(free, prediction.forces, 0.0)
        )._replace(t=state.t + 1)
        if not replay:
            moving, given_up = self._finish(state, proposed, moving)
            free = (moving[structure_index] & ~self.structures.fixed)[:, None]
        return self._merge(state, proposed, free, given_up[structure_index][:, None])

    def _evaluate(self, state: State, given_up: Tensor) -> tuple[Prediction, Tensor]:
        """Forces, with members that cannot be evaluated given up instead of failing the batch.

        A member given up is evaluated at its start, detached: masking its output alone would let
        the NaN of its inner derivatives reach the shared parameters as 0 · NaN.
        """
        structure_index = self.structures.structure_index
        while True:
            lost = given_up[structure_index][:, None]
            positions = torch.where(lost, self._safe_positions, state.positions)
            try:
                prediction = self.potential(self.structures.with_positions(positions))
            except StructureError as error:
                if state.t == 0 or error.index is None or bool(given_up[error.index]):
                    raise
                given_up = self._give_up(given_up, error.index, state.t, error.reason)
                continue
            bad = self._not_finite(prediction) & ~given_up
            if not bad.any():
                return prediction, given_up
            for index in bad.nonzero().flatten().tolist():
                if state.t == 0:
                    raise StructureError(
                        "energy or forces at the start are not finite (NaN or inf); atoms are too "
                        "close together, or training has spoiled the weights (try a smaller "
                        "learning rate)",
                        index,
                        self.structures.names[index],
                    )
                given_up = self._give_up(
                    given_up, index, state.t, "energy or forces are not finite"
                )

    def _not_finite(self, prediction: Prediction) -> Tensor:
        with torch.no_grad():
            bad_atom = (~torch.isfinite(prediction.forces)).any(1)
            bad = torch.zeros_like(self._given_up).index_put(
                (self.structures.structure_index[bad_atom],),
                torch.ones((), dtype=torch.bool, device=bad_atom.device),
            )
            return bad | ~torch.isfinite(prediction.energy)

    def _give_up(self, given_up: Tensor, index: int, step: int, cause: str) -> Tensor:
        self.diverged[index] = Divergence(step, cause)
        given_up = given_up.clone()
        given_up[index] = True
        self._given_up = given_up
        return given_up

    def _decide(self, state: State, prediction: Prediction, given_up: Tensor) -> Tensor:
        """Which structures (B,) take this step, noted together with what was seen."""
        with torch.no_grad():
            moment = self._moment(state, prediction)
            self.moments.append(moment)
            if self.stop.fmax is not None:
                self.converged = self.converged | ((moment.fmax < self.stop.fmax) & ~given_up)
            return ~(self.converged | given_up)

    def _finish(self, state: State, proposed: State, moving: Tensor) -> tuple[Tensor, Tensor]:
        """Look at the step made: count it, or give a structure up; keep the decision."""
        with torch.no_grad():
            structure_index, count = self.structures.structure_index, len(self.structures)
            length = (proposed.positions - state.positions).norm(dim=1)
            longest = segment_max(torch.nan_to_num(length, nan=torch.inf), structure_index, count)
            for index in (~torch.isfinite(longest) & moving).nonzero().flatten().tolist():
                self._give_up(self._given_up, index, state.t, "the step is not finite")
            moving = moving & ~self._given_up
            self.steps = self.steps + moving
            if self.stop.max_displacement is not None:
                self.converged = self.converged | (moving & (longest < self.stop.max_displacement))
            self._decisions.append((moving, self._given_up))
        return self._decisions[-1]

    def _merge(self, old: State, new: State, free: Tensor, lost: Tensor) -> State:
        """New values where atoms move, old ones elsewhere; no gradient for members given up."""
        kept = torch.where(lost, old.positions.detach(), old.positions)
        memory = tuple(
            torch.where(free.reshape(-1, *[1] * (after.ndim - 1)), after, before)
            for before, after in zip(old.memory, new.memory, strict=True)
        )
        return State(torch.where(free, new.positions, kept), memory, new.t)

    def _moment(self, state: State, prediction: Prediction) -> StepRecord:
        forces = prediction.forces.detach()
        free = torch.where(self.structures.fixed, 0.0, forces.norm(dim=1))
        return StepRecord(
            positions=state.positions.detach(),
            energy=prediction.energy.detach(),
            forces=forces,
            fmax=segment_max(free, self.structures.structure_index, len(self.structures)),
        )
