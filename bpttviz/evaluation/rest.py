"""Bringing structures to rest, independently of the map that was trained.

Several structures share a call of the potential, each with a rule's state of its own: one that is
at rest leaves, one that waits takes its place, and one that cannot be described or runs away is
given up without holding up the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import torch
from ase import Atoms
from ase.optimize.optimize import Optimizer
from torch import Tensor

from bpttviz._checks import instance_of, positive, whole, whole_or_none
from bpttviz.evaluation.rest_path import PathRecorder, RestPath
from bpttviz.packing import packed
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.relaxation.loop import FARTHEST
from bpttviz.relaxation.rules import FIRE, UpdateRule
from bpttviz.relaxation.state import State
from bpttviz.structures import StructureError, Structures, concatenate

# Atoms in one call of a potential. On a CPU more are no faster, and CHGNet's graph of as many fits
# beside everything else in 2 GB; an accelerator is idle with fewer.
ATOMS_ON_CPU, ATOMS_ON_DEVICE = 256, 4096


@dataclass(frozen=True, eq=False)
class RestResult:
    """Where B structures came to rest.

    Attributes:
        structures: at the places where they were left, on the CPU.
        steps: (B,) int64, steps made.
        converged: (B,) bool, whether the largest force fell below the limit.
        energy: (B,) eV there; NaN where it could not be evaluated.
        fmax: (B,) eV/Å, the largest force on an atom that may move; NaN likewise.
        failures: place in the batch → why a structure was given up.
        paths: B ways there, as some of their frames.
    """

    structures: Structures
    steps: Tensor
    converged: Tensor
    energy: Tensor
    fmax: Tensor
    failures: dict[int, str] = field(default_factory=dict)
    paths: tuple[RestPath, ...] = ()

    def __len__(self) -> int:
        return len(self.structures)


@dataclass(frozen=True)
class Relaxer:
    """How structures are brought to rest.

    Args:
        fmax: eV/Å; a structure is at rest where no atom that may move feels more.
        max_steps: at most so many for each structure.
        optimizer: an update rule, `bpttviz.FIRE` by default, which takes several structures at
            once; or a class of ASE's optimisers (``ase.optimize.BFGS``), which takes one after
            another. ``ase.optimize.FIRE`` makes the same steps as the default.

    Raises:
        TypeError, ValueError: a number out of its range, or an optimiser that is neither.
    """

    fmax: float = 0.005
    max_steps: int = 500
    optimizer: UpdateRule | type[Optimizer] = field(default_factory=FIRE)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fmax", positive("fmax", self.fmax))
        object.__setattr__(self, "max_steps", whole("max_steps", self.max_steps))
        known = isinstance(self.optimizer, type) and issubclass(self.optimizer, Optimizer)
        if not known:
            instance_of("optimizer", self.optimizer, UpdateRule, "bv.FIRE() or ase.optimize.BFGS")

    def closer(self, times: float) -> Relaxer:
        """The same, to a force so many times smaller.

        Raises:
            TypeError, ValueError: no positive number.
        """
        return replace(self, fmax=self.fmax / positive("times", times))

    def run(
        self, potential: Potential, structures: Structures, batch_size: int | None = None
    ) -> RestResult:
        """Bring B structures to rest; their names and order are kept.

        Args:
            potential: where forces come from; no gradient is kept.
            structures: the starts.
            batch_size: structures in one call of the potential; by default as many as have 256
                atoms together on the CPU, and 4096 on an accelerator (one at least).

        Raises:
            TypeError, ValueError: a potential, structures or batch size that is none.
        """
        instance_of("potential", potential, Potential, "bv.CHGNet()")
        instance_of("structures", structures, Structures, "bv.Structures.from_ase(atoms)")
        batch_size = whole_or_none("batch_size", batch_size)
        if isinstance(self.optimizer, UpdateRule):
            return _Pool(self, self.optimizer, potential, structures, batch_size).run()
        return _one_by_one(self, self.optimizer, potential, structures)

    def __repr__(self) -> str:
        kind = self.optimizer
        name = kind.__name__ if isinstance(kind, type) else repr(kind)
        return f"Relaxer(fmax={self.fmax:g}, max_steps={self.max_steps}, optimizer={name})"


def batches(counts: Iterable[int], device: torch.device, size: int | None) -> Iterator[list[int]]:
    """Places of structures that share a call of a potential, in order.

    Args:
        counts: atoms of each structure.
        device: of the potential.
        size: structures in a call; None: as many as the atoms allow, see `Relaxer.run`.
    """
    return packed(counts, ATOMS_ON_CPU if device.type == "cpu" else ATOMS_ON_DEVICE, size)


@dataclass
class _Member:
    """One structure on its way to rest."""

    place: int
    structures: Structures  # a batch of one, where the state says
    state: State
    steps: int = 0
    energy: float = float("nan")
    fmax: float = float("nan")
    converged: bool = False
    failure: str = ""
    visited: PathRecorder = field(default_factory=PathRecorder)

    @property
    def here(self) -> Structures:
        """The structure where it has got to."""
        return self.structures.with_positions(self.state.positions)


class _Pool:
    """Structures that take their steps together; see the module's docstring."""

    def __init__(
        self,
        relaxer: Relaxer,
        rule: UpdateRule,
        potential: Potential,
        structures: Structures,
        size: int | None,
    ):
        self.relaxer, self.rule = relaxer, rule
        self.potential, self.size = potential, size
        start = structures.with_positions(structures.positions.detach()).to(potential.device)
        self.waiting = [
            _Member(place, one, self.rule.init(one))
            for place, one in enumerate(start[index] for index in range(len(start)))
        ]
        self.started = start
        self.done: list[_Member] = []

    def run(self) -> RestResult:
        """Take steps until nobody moves any more."""
        moving: list[_Member] = []
        with torch.no_grad():
            while self.waiting or moving:
                moving += self._enter(moving)
                moving = self._step(moving)
        members = sorted(self.done, key=lambda member: member.place)
        positions = torch.cat([m.state.positions for m in members])
        return RestResult(
            structures=self.started.with_positions(positions).to("cpu"),
            steps=torch.tensor([m.steps for m in members]),
            converged=torch.tensor([m.converged for m in members]),
            energy=torch.tensor([m.energy for m in members], dtype=torch.float64),
            fmax=torch.tensor([m.fmax for m in members], dtype=torch.float64),
            failures={m.place: m.failure for m in members if m.failure},
            paths=tuple(m.visited.path() for m in members),
        )

    def _enter(self, moving: Sequence[_Member]) -> list[_Member]:
        """Those who wait and for whom there is room."""
        together = (len(m.structures.numbers) for m in chain(moving, self.waiting))
        room = len(next(batches(together, self.potential.device, self.size))) - len(moving)
        entering, self.waiting = self.waiting[:room], self.waiting[room:]
        return entering

    def _step(self, moving: list[_Member]) -> list[_Member]:
        """One call of the potential, and a step of everybody who is not at rest yet."""
        moving, prediction = self._evaluate(moving)
        if prediction is None:
            return []
        forces = prediction.forces.split([len(m.structures.numbers) for m in moving])
        still = []
        for member, energy, force in zip(moving, prediction.energy, forces, strict=True):
            held = member.structures.fixed[:, None]
            force = torch.where(held, 0.0, force)
            member.energy, member.fmax = float(energy), float(force.norm(dim=1).max())
            if not (np.isfinite(member.energy) and np.isfinite(member.fmax)):
                self._give_up(member, "energy or forces are not finite")
                continue
            member.visited.add(member.steps, member.state.positions, member.energy, member.fmax)
            member.converged = member.fmax < self.relaxer.fmax
            if member.converged or member.steps == self.relaxer.max_steps:
                self.done.append(member)
                continue
            before = member.state.positions
            proposed = self.rule.step(member.state, force)
            placed = torch.where(held, before, proposed.positions)
            gone = float((placed - member.structures.positions).norm(dim=1).max())
            if not gone <= FARTHEST:
                self._give_up(member, f"an atom was thrown {gone:.3g} Å from its start")
                continue
            member.state = replace(proposed, positions=placed)
            member.steps += 1
            still.append(member)
        return still

    def _evaluate(self, moving: list[_Member]) -> tuple[list[_Member], Prediction | None]:
        """Those who can be evaluated, and what the potential says about them (None of nobody)."""
        while moving:
            try:
                return moving, self.potential(concatenate([m.here for m in moving]))
            except StructureError as error:
                if error.index is None and len(moving) > 1:
                    return self._evaluate_alone(moving)
                lost = moving[error.index or 0]
                self._give_up(lost, error.reason)
                moving = [member for member in moving if member is not lost]
        return [], None

    def _evaluate_alone(self, moving: list[_Member]) -> tuple[list[_Member], Prediction | None]:
        """As `_evaluate`, one after another: a complaint did not say whom it is about."""
        found = [self._evaluate([member]) for member in moving]
        known = [(member, p) for members, p in found if p is not None for member in members]
        if not known:
            return [], None
        energy = torch.cat([p.energy for _, p in known])
        forces = torch.cat([p.forces for _, p in known])
        return [member for member, _ in known], Prediction(energy, forces)

    def _give_up(self, member: _Member, why: str) -> None:
        member.failure, member.converged = why, False
        member.energy = member.fmax = float("nan")
        self.done.append(member)


def _one_by_one(
    relaxer: Relaxer, kind: type[Optimizer], potential: Potential, structures: Structures
) -> RestResult:
    """By one of ASE's optimisers; each structure leaves as `ase.Atoms` and comes back."""
    ends, steps, energy, fmax, failures = [], [], [], [], {}
    converged, paths = [], []
    for place, atoms in enumerate(structures.to_ase()):
        atoms.calc = potential.calculator()
        optimizer = kind(atoms, logfile=None)
        visited = PathRecorder()
        optimizer.attach(_record, 1, optimizer, atoms, visited)
        values = float("nan"), float("nan")
        try:
            converged.append(bool(optimizer.run(fmax=relaxer.fmax, steps=relaxer.max_steps)))
            forces = np.linalg.norm(atoms.get_forces(), axis=1)
            values = atoms.get_potential_energy(), float(forces.max())
        except StructureError as error:  # it ran away; where it got to is still recorded
            converged.append(False)
            failures[place] = error.reason
        if not failures.get(place) and not np.isfinite(values).all():
            converged[-1] = False
            failures[place] = "energy or forces are not finite"
        ends.append(atoms.positions)
        paths.append(visited.path())
        steps.append(optimizer.get_number_of_steps())
        energy.append(values[0])
        fmax.append(values[1])
    positions = torch.as_tensor(np.concatenate(ends), dtype=structures.dtype)
    return RestResult(
        structures=structures.to("cpu").with_positions(positions),
        steps=torch.tensor(steps),
        converged=torch.tensor(converged),
        energy=torch.tensor(energy, dtype=torch.float64),
        fmax=torch.tensor(fmax, dtype=torch.float64),
        failures=failures,
        paths=tuple(paths),
    )


def _record(optimizer: Optimizer, atoms: Atoms, visited: PathRecorder) -> None:
    """Keep a frame of ASE's; its calculator remembers what it worked out."""
    fmax = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    positions = torch.as_tensor(atoms.positions.copy())
    visited.add(optimizer.get_number_of_steps(), positions, atoms.get_potential_energy(), fmax)
