"""`RehearsalLoss`: the pretrained potential's own forces, where nobody has better ones.

`Rehearsal` is what it shares with `PressureRehearsal`: unlabelled structures, some drawn an update.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpttviz._checks import instance_of, whole
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, fingerprint_structures, specification
from bpttviz.structures import StructureError, Structures, to_structures
from bpttviz.training.draws import Draw
from bpttviz.training.objectives import Objective, require_arguments
from bpttviz.training.one_by_one import force_error_of, mean_one_by_one


class Rehearsal(Objective):
    """Base of objectives that keep what a potential said of M unlabelled structures.

    A few of them are drawn in each update. Define `change`, and say by ``purpose`` which stream of
    random numbers draws.

    Args:
        potential: before fine-tuning.
        structures: M of them; what `Structures.from_ase` takes is converted.
        count: how many are drawn for each training structure in an epoch; all where there are
            fewer. In validation it is always the same ones.

    Raises:
        TypeError, ValueError: no potential, no structures, or ``count`` below 1.
    """

    purpose: str

    def __init__(self, potential: Potential, structures: Structures, count: int):
        instance_of("potential", potential, Potential, "bv.CHGNet()")
        self.kept = {"potential": specification(potential), "weights": fingerprint(potential)}
        batch = to_structures("structures", structures).to("cpu")
        self.count = whole("count", count)
        self.structures = [batch[index] for index in range(len(batch))]
        self.drawn = list(range(len(batch)))  # places of those that may be drawn

    @abstractmethod
    def change(self, potential: Potential, place: int) -> Callable[[], Tensor]:
        """How far the structure of that place is from what was before (a scalar), when called."""

    def loss(
        self, potential: Potential, references: RelaxationDataset, draw: Draw | None = None
    ) -> Tensor:
        """Mean change (B,) of the structures drawn for each reference."""
        require_arguments(potential, references, draw)
        draw = Draw(0, 0) if draw is None else draw
        return torch.stack(
            [
                mean_one_by_one(
                    potential, [self.change(potential, p) for p in self.places(name, draw)]
                )
                for name in references.names
            ]
        )

    def places(self, name: str, draw: Draw) -> list[int]:
        """Which of the structures are drawn for one reference."""
        chosen = draw.some(name, self.purpose, len(self.drawn), self.count)
        return [self.drawn[place] for place in chosen]

    def heaviest(self) -> Rehearsal:
        """The same, of the structures with most atoms alone."""
        made = copy.copy(self)
        by_atoms = sorted(self.drawn, key=lambda place: -len(self.structures[place].numbers))
        made.drawn = by_atoms[: self.count]
        return made

    def config(self) -> dict[str, Any]:
        """What it depends on: the potential that is kept, where, and how many are drawn.

        Not what the potential said: on a GPU that has another last digit each time, and a run would
        never be taken for the same again.
        """
        return {
            **self.kept,
            "structures": [fingerprint_structures(structure) for structure in self.structures],
            "count": self.count,
        }

    def work(self, reference: ReferenceRelaxation) -> float:
        """The mean number of atoms of its structures, times how many are drawn."""
        atoms = sum(len(one.numbers) for one in self.structures) / len(self.structures)
        return atoms * min(self.count, len(self.structures))


class RehearsalLoss(Rehearsal):
    """The mean absolute change of forces, eV/Å, on unlabelled structures: nothing is to be lost.

    The potential's forces before fine-tuning are computed once, here, and kept; in each update a
    few of the structures are drawn, and forces on them compared. The structures need no labels:
    defects of other kinds, other elements, displaced at random, whatever is to stay as it was.
    (A. Robins, Connection Science 7, 123 (1995), calls it pseudorehearsal.)

    Args:
        potential: before fine-tuning.
        structures: M of them; what `Structures.from_ase` takes is converted.
        count: how many are drawn for each training structure in an epoch; all where there are
            fewer. One costs as much as one step of `EndpointLoss`. In validation it is always the
            same ones.

    Raises:
        TypeError: an argument of another kind.
        StructureError: a structure that the potential cannot evaluate.
        ValueError: ``count`` below 1, or a structure whose atoms are all held.
    """

    purpose = "rehearsal"

    def __init__(self, potential: Potential, structures: Structures, count: int = 1):
        super().__init__(potential, structures, count)
        self.forces = [_forces(potential, structure) for structure in self.structures]

    def change(self, potential: Potential, place: int) -> Callable[[], Tensor]:
        """Mean absolute change of the forces on one structure, eV/Å."""
        return force_error_of(potential, self.structures[place], self.forces[place])

    def __repr__(self) -> str:
        return f"RehearsalLoss({len(self.structures)} structures, count={self.count})"


def _forces(potential: Potential, structure: Structures) -> Tensor:
    """The forces (n, 3) eV/Å on one structure, checked."""
    name = structure.names[0]
    if bool(structure.fixed.all()):
        raise ValueError(f"all atoms of {name} are held: there is no force on it to keep")
    with torch.no_grad():
        forces = potential(structure.to(potential.device)).forces.cpu()
    if not bool(forces.isfinite().all()):
        raise StructureError("the potential's forces on it are not finite", 0, name)
    return forces
