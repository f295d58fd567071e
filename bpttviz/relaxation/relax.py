"""`relax`: run a potential's relaxation, differentiably, and hand back everything that happened."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from torch import Tensor

from bpttviz._checks import instance_of, text, whole
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import Adjoint, BackwardRecord, Waypoints
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.loop import Divergence, Loop
from bpttviz.relaxation.rules import GradientDescent, UpdateRule
from bpttviz.relaxation.state import State
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import StructureError, Structures, as_atoms, to_structures


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
        """The path of one structure as ``ase.Atoms`` with energies and forces attached.

        Raises:
            TypeError, ValueError: no such structure.
        """
        index = whole("index", index, least=0, most=len(self.start) - 1)
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
            TypeError: something else than frames.
            StructureError: frames that are not the same atoms in the same order and cell, or one
                without energy or forces.
        """
        frames, name = as_atoms("frames", frames), text("name", name)
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
        labels = [_labels_of(frame, number, name) for number, frame in enumerate(frames)]
        energy = [[energy] for energy, _ in labels]
        forces = torch.as_tensor(np.array([forces for _, forces in labels]))
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
        """The relaxation of one structure alone (detached).

        Raises:
            TypeError, ValueError: no number, or no whole one.
            IndexError: no structure of this number; negative ones count from the end.
        """
        count = len(self.start)
        place = whole("index", index, least=None)
        if not -count <= place < count:
            raise IndexError(f"there are {count} structures, counted from 0; got {index}")
        index = place % count
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


def _labels_of(frame: Atoms, number: int, name: str) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (N, 3) eV/Å of a frame, which brings or computes them."""
    try:
        return frame.get_potential_energy(), frame.get_forces()
    except (RuntimeError, PropertyNotImplementedError) as error:
        raise StructureError(f"frame {number} comes without energy or forces", 0, name) from error


def relax(
    potential: Potential,
    structures: Structures | Atoms | Sequence[Atoms],
    rule: UpdateRule | None = None,
    stop: StoppingCriterion | None = None,
    adjoint: Adjoint | None = None,
) -> Relaxation:
    """Relax structures with a potential: X(t+1) = rule(X(t), F(X(t))).

    Where gradients are enabled the final positions are differentiable with respect to the
    potential's parameters, the rule's (learnable step sizes) and the start, in the way that
    ``adjoint`` chooses. Inside ``torch.no_grad()`` (or ``torch.inference_mode()``) no graph is
    built whatever the adjoint.

    Args:
        potential: where energies and forces come from.
        structures: the starts; what `Structures.from_ase` takes is converted.
        rule: `GradientDescent` by default.
        stop: `StoppingCriterion` by default (20 steps).
        adjoint: `CheckpointedBPTT` by default.

    Returns:
        A `Relaxation`.

    Raises:
        TypeError: an argument that is something else.
        StructureError: a start that cannot be used; or none that this potential can evaluate.
        ImplicitError: an implicit gradient was asked for where a structure is not at rest.

    Warns:
        DivergenceWarning: names each structure given up, the step and the cause; the rest go on. A
            structure is given up when it cannot be evaluated, when its step is not finite, or when
            an atom is more than 100 Å from its start.
    """
    potential, rule, stop = checked_arguments(potential, rule, stop)
    adjoint = CheckpointedBPTT() if adjoint is None else adjoint
    adjoint = instance_of("adjoint", adjoint, Adjoint, "bv.CheckpointedBPTT()")
    structures = to_structures("structures", structures)
    wanted = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    # Forces are derivatives, which inference mode forbids: no_grad says the same of the result.
    with torch.inference_mode(False), torch.set_grad_enabled(wanted):
        if structures.positions.is_inference():
            structures = structures.clone()
        loop = Loop(potential, structures.to(potential.device), rule, stop)
        end, backward, waypoints = adjoint.drive(loop)
        result = _result(loop, end, backward, waypoints)
    for index, divergence in loop.divergences.items():
        message = _complaint(index, structures.names[index], divergence)
        warnings.warn(message, DivergenceWarning, stacklevel=2)
    return result


def checked_arguments(
    potential: Potential, rule: UpdateRule | None, stop: StoppingCriterion | None
) -> tuple[Potential, UpdateRule, StoppingCriterion]:
    """What a relaxation needs, with defaults where None was given.

    Raises:
        TypeError: an argument that is something else.
        ValueError: a potential made inside ``torch.inference_mode()``.
    """
    potential = instance_of("potential", potential, Potential, "bv.CHGNet.pretrained()")
    if any(p.is_inference() for p in potential.parameters()):
        raise ValueError(
            "the potential was made inside torch.inference_mode(), where PyTorch makes tensors "
            "that no force can be derived from; make it outside"
        )
    rule = GradientDescent() if rule is None else rule
    stop = StoppingCriterion() if stop is None else stop
    return (
        potential,
        instance_of("rule", rule, UpdateRule, "bv.GradientDescent(step_size=0.06)"),
        instance_of("stop", stop, StoppingCriterion, "bv.StoppingCriterion(max_steps=20)"),
    )


def _result(loop: Loop, end: State, backward: BackwardRecord, waypoints: Waypoints) -> Relaxation:
    """All that happened, from a loop that has been driven to its end."""
    structures = loop.structures
    seen = [*loop.records, loop.measure(end)]
    records = {
        name: torch.stack([getattr(record, name) for record in seen]).cpu()
        for name in ("positions", "energy", "forces", "fmax")
    }
    structure_index = structures.structure_index.cpu()
    for index, divergence in loop.divergences.items():
        mine = structure_index == index
        records["positions"][divergence.step + 1 :, mine] = torch.nan
        records["forces"][divergence.step :, mine] = torch.nan
        for name in ("energy", "fmax"):
            records[name][divergence.step :, index] = torch.nan
    return Relaxation(
        start=structures,
        final=structures.with_positions(end.positions),
        trajectory=records["positions"],
        energy=records["energy"],
        forces=records["forces"],
        fmax=records["fmax"],
        steps=loop.steps.cpu(),
        converged=loop.converged.cpu(),
        diverged=loop.divergences,
        waypoints=tuple((weight, structures.with_positions(x)) for weight, x in waypoints),
        backward=backward,
    )


def _complaint(index: int, name: str, divergence: Divergence) -> str:
    where = f"structure {index} ({name})"
    if divergence.at_start:
        return (
            f"{where} cannot be evaluated at its start: {divergence.cause}; it was left out and "
            "the others went on"
        )
    return (
        f"{where} diverged at step {divergence.step}: {divergence.cause}; it was left where it was "
        "and the others went on. A smaller step size or max_step may help."
    )
