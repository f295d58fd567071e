"""`relax`: run a potential's relaxation, differentiably, and hand back everything that happened."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from torch import Tensor

from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import BackwardRecord
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.loop import Divergence, Loop
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures


class DivergenceWarning(UserWarning):
    """A structure was given up during a relaxation; the others went on."""


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What a relaxation did to B structures with N atoms in T steps.

    Attributes:
        start: the structures before.
        final: the structures after; positions carry a graph where gradients were enabled.
        trajectory: (T+1, N, 3) Å, start to end.
        energy: (T+1, B) eV.
        forces: (T+1, N, 3) eV/Å.
        fmax: (T+1, B) eV/Å, over atoms that may move.
        steps: (B,) steps that each structure made.
        converged: (B,) bool: stopped by a tolerance (False throughout when none was set).
        diverged: structure index → `Divergence` (step and cause). Its frames after that step are
            NaN; its ``final`` positions are where it was given up.

        waypoints: where, besides the end, a loss is to be taken: weight and structures, whose
            positions carry a graph. Only `GuidedAdjoint` makes any.
        backward: how the gradient came back: its norm at each step, what solvers reported. Empty
            until a backward pass has been made.

    The records carry no gradient and live on the CPU.
    """

    start: Structures
    final: Structures
    trajectory: Tensor
    energy: Tensor
    forces: Tensor
    fmax: Tensor
    steps: Tensor
    converged: Tensor
    diverged: dict[int, Divergence]
    waypoints: tuple[tuple[float, Structures], ...] = ()
    backward: BackwardRecord = field(default_factory=BackwardRecord)

    def frames(self, index: int = 0) -> list[Atoms]:
        """The path of one structure as ``ase.Atoms`` with energies and forces attached."""
        atoms = self.start[index].to_ase()[0]
        mine = (self.start.structure_index == index).cpu()
        frames = []
        for positions, energy, forces in zip(
            self.trajectory[:, mine].numpy(),
            self.energy[:, index].tolist(),
            self.forces[:, mine].numpy(),
            strict=True,
        ):
            frame = atoms.copy()
            frame.positions = positions
            if np.isfinite(energy):
                frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
            frames.append(frame)
        return frames

    @classmethod
    def from_frames(cls, frames: Sequence[Atoms], name: str = "") -> Relaxation:
        """The path of one structure that some other program relaxed, for plots and widgets.

        Args:
            frames: start to end, with energies (eV) and forces (eV/Å) attached.
            name: of the structure.

        Raises:
            StructureError: frames that are not the same atoms in the same order and cell.
            RuntimeError: (ASE's) a frame without energy or forces.
        """
        for number, frame in enumerate(frames):
            if not (
                np.array_equal(frame.numbers, frames[0].numbers)
                and np.allclose(frame.cell.array, frames[0].cell.array, atol=1e-3)
            ):
                raise StructureError(
                    f"frame {number} has other atoms, another order of them or another cell than "
                    "the first; a path keeps all three",
                    0,
                    name,
                )
        batch = Structures.from_ase(frames, check=False)
        energy = [[frame.get_potential_energy()] for frame in frames]
        forces = torch.as_tensor(np.array([frame.get_forces() for frame in frames]))
        start, final = (Structures.from_ase(frame, [name]) for frame in (frames[0], frames[-1]))
        return cls(
            start=start,
            final=final,
            trajectory=torch.stack(batch.split(batch.positions)),
            energy=torch.tensor(energy, dtype=batch.dtype),
            forces=forces,
            fmax=torch.where(start.fixed, 0, forces.norm(dim=2)).amax(1, keepdim=True),
            steps=torch.tensor([len(frames) - 1]),
            converged=torch.tensor([False]),
            diverged={},
        )

    def __getitem__(self, index: int) -> Relaxation:
        """The relaxation of one structure alone (detached)."""
        mine = (self.start.structure_index == index).cpu()
        final = self.final[index]
        return Relaxation(
            start=self.start[index],
            final=final.with_positions(final.positions.detach()),
            trajectory=self.trajectory[:, mine],
            energy=self.energy[:, [index]],
            forces=self.forces[:, mine],
            fmax=self.fmax[:, [index]],
            steps=self.steps[[index]],
            converged=self.converged[[index]],
            diverged={0: self.diverged[index]} if index in self.diverged else {},
        )

    def __repr__(self) -> str:
        made = ", ".join(str(n) for n in sorted(set(self.steps.tolist())))
        text = f"Relaxation of {len(self.start)} structures, {made} steps"
        if bool(self.converged.any()):
            text += f", {int(self.converged.sum())} converged"
        if self.diverged:
            text += f", {len(self.diverged)} diverged"
        return f"<{text}>"


def relax(
    potential: Potential,
    structures: Structures | Atoms | list[Atoms],
    rule=None,
    stop: StoppingCriterion | None = None,
    adjoint=None,
) -> Relaxation:
    """Relax structures with a potential: X(t+1) = rule(X(t), F(X(t))).

    Where gradients are enabled the final positions are differentiable with respect to the
    potential's parameters, the rule's (learnable step sizes) and the start, in the way that
    ``adjoint`` chooses. Inside ``torch.no_grad()`` no graph is built whatever the adjoint.

    Args:
        potential: where energies and forces come from.
        structures: the starts; ``ase.Atoms`` are converted.
        rule: `GradientDescent` by default.
        stop: `StoppingCriterion` by default (20 steps).
        adjoint: `CheckpointedBPTT` by default.

    Returns:
        A `Relaxation`.

    Raises:
        StructureError: a start that cannot be used, or evaluated by this potential.
        ImplicitError: an implicit gradient was asked for where a structure is not at rest.

    Warns:
        DivergenceWarning: names each structure given up, the step and the cause; the rest go on.
    """
    rule = GradientDescent() if rule is None else rule
    stop = StoppingCriterion() if stop is None else stop
    adjoint = CheckpointedBPTT() if adjoint is None else adjoint
    if not isinstance(structures, Structures):
        structures = Structures.from_ase(structures)
    structures = structures.to(potential.device)

    loop = Loop(potential, structures, rule, stop)
    state, backward, waypoints = adjoint.drive(loop)
    moments = [*loop.moments, loop.measure(state)]
    for index, divergence in loop.diverged.items():
        warnings.warn(
            f"structure {index} ({structures.names[index]}) diverged at step {divergence.step}: "
            f"{divergence.cause}; it was left where it was and the others went on. A smaller step "
            "size or max_step may help.",
            DivergenceWarning,
            stacklevel=2,
        )
    records = {
        "trajectory": torch.stack([m.positions for m in moments]).cpu(),
        "energy": torch.stack([m.energy for m in moments]).cpu(),
        "forces": torch.stack([m.forces for m in moments]).cpu(),
        "fmax": torch.stack([m.fmax for m in moments]).cpu(),
    }
    structure_index = structures.structure_index.cpu()
    for index, divergence in loop.diverged.items():
        lost = slice(divergence.step + 1, None)
        for name in ("trajectory", "forces"):
            records[name][lost, structure_index == index] = torch.nan
        for name in ("energy", "fmax"):
            records[name][divergence.step :, index] = torch.nan
        records["forces"][divergence.step, structure_index == index] = torch.nan
    return Relaxation(
        start=structures,
        final=structures.with_positions(state.positions),
        steps=loop.steps.cpu(),
        converged=loop.converged.cpu(),
        diverged=loop.diverged,
        waypoints=tuple((weight, structures.with_positions(x)) for weight, x in waypoints),
        backward=backward,
        **records,
    )
