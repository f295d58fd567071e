"""The challenge of A3: ends that only the instructor's seed knows.

All DFT ends of this package ship with it, and could not be withheld. So the challenge has a
laboratory of its own, a potential drawn from the instructor's seed: the shipped PaiNN and a law
that acts between an impurity and its neighbours, by a strength that is drawn for each species.
Silicon cells of eight atoms with two impurities are relaxed in it. Students get starts and ends of
some, and the starts of others; fine-tuned by the former, their potential is to find the ends of the
latter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from torch import Tensor

from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.distances import delta_q
from bpttviz.evaluation.rest import Relaxer
from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.small.painn import PaiNN
from bpttviz.structures import Structures
from bpttviz.teaching.assignments.seeds import ENDS_FILE, draws

SPECIES = ("Al", "P", "Ga", "Ge", "As", "Sn")
TRAINING, WITHHELD = 12, 8  # cells
TRAINING_FILE = "challenge_training.extxyz"  # starts and ends in turn
STARTS_FILE = "challenge_starts.extxyz"

REACH = 3.2  # Å; the law ends there, smoothly
STRENGTH = 1.0  # eV, the most it can be for a pair at no distance; 0.1 eV for neighbours
NEAR, FAR = 0.25, 2.0  # amu^½ Å: how wrong the pretrained ends are of cells that are taken
FLOOR = 0.05  # amu^½ Å: ends nearer than that are as good as equal
MOST_DRAWS = 200  # cells tried before a laboratory is given up

AT_REST = Relaxer(fmax=0.01, max_steps=300)


class Laboratory(Potential):
    """The reference of one class: PaiNN as shipped, and the drawn law of its impurities.

    Args:
        draw: random numbers, from which each species gets its strength.
    """

    def __init__(self, draw: np.random.Generator):
        super().__init__()
        self.base = PaiNN.pretrained()
        strength = (
            STRENGTH * draw.uniform(0.5, 1, len(SPECIES)) * draw.choice([-1, 1], len(SPECIES))
        )
        own = torch.zeros(max(atomic_numbers.values()) + 1, dtype=torch.float64)
        own[[atomic_numbers[name] for name in SPECIES]] = torch.as_tensor(strength)
        self.register_buffer("own", own)

    def config(self) -> dict[str, Any]:
        return {"own": self.own.tolist()}

    own: Tensor

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        pairs = neighbours(structures, REACH)
        distance = pairs.vectors(structures.positions).norm(dim=1)
        own = self.own[structures.numbers]
        shape = (1 - (distance / REACH) ** 2) ** 2
        law = 0.5 * (own[pairs.first] + own[pairs.second]) * shape  # each pair comes twice
        owner = structures.structure_index[pairs.first]
        return self.base.energy(structures) + segment_sum(law, owner, len(structures))


@dataclass(frozen=True)
class Challenge:
    """What a student has of it.

    Attributes:
        training: relaxations with their reference ends.
        starts: of the cells whose ends are withheld.
    """

    training: RelaxationDataset
    starts: Structures


def load_challenge(folder: str | Path = ".") -> Challenge:
    """The challenge that lies beside the student's notebook.

    Raises:
        FileNotFoundError: it does not.
    """
    frames = _frames(Path(folder) / TRAINING_FILE)
    starts = _frames(Path(folder) / STARTS_FILE)
    names = [f"withheld {number}" for number in range(len(starts))]
    return Challenge(
        _references(frames[::2], frames[1::2], "cell"), Structures.from_ase(starts, names)
    )


def ratio_at_rest(potential: Potential, references: RelaxationDataset) -> float:
    """ΔQ at rest against that of the pretrained PaiNN: the geometric mean over structures.

    Below 1 is better. A ΔQ below `FLOOR` counts as it. A relaxation that goes nowhere, or never
    comes to rest within the steps of `AT_REST`, is measured where it is.
    """
    ends = references.ends()
    found = []
    for model in (PaiNN.pretrained(), potential):
        reached = AT_REST.run(model, references.starts()).structures
        found.append(delta_q(reached, ends).clamp(min=FLOOR).nan_to_num(nan=float("inf")))
    return float((found[1].log() - found[0].log()).mean().exp())


@lru_cache(maxsize=1)
def withheld_ratio(potential: Potential, folder: str | Path = ".") -> float:
    """`ratio_at_rest` over the withheld ends, where the autograder runs; measured once."""
    starts, ends = (_frames(Path(folder) / name) for name in (STARTS_FILE, ENDS_FILE))
    return ratio_at_rest(potential, _references(starts, ends, "withheld"))


def write_challenge(seed: str, folder: Path) -> None:
    """Draw a laboratory and its cells: the students' two files and the instructor's.

    Raises:
        ValueError: from this seed no laboratory comes whose ends are clear and can be improved on.
    """
    laboratory = Laboratory(draws(seed, "laboratory"))
    draw = draws(seed, "cells")
    starts: list[Atoms] = []
    ends: list[Atoms] = []
    tried = 0
    while len(starts) < TRAINING + WITHHELD:
        if tried >= MOST_DRAWS:
            raise ValueError(
                f"{len(starts)} of {tried} cells have an end that can be learned, too few: take "
                "another seed (delete the seed's file to have one drawn)"
            )
        cells = [_cell(draw) for _ in range(8)]
        tried += len(cells)
        for cell, end in _usable(laboratory, cells):
            starts.append(cell)
            ends.append(end)
    both = [atoms for pair in zip(starts, ends, strict=True) for atoms in pair]
    last = TRAINING + WITHHELD
    ase.io.write(folder / TRAINING_FILE, both[: 2 * TRAINING], format="extxyz")
    ase.io.write(folder / STARTS_FILE, starts[TRAINING:last], format="extxyz")
    ase.io.write(folder / ENDS_FILE, ends[TRAINING:last], format="extxyz")


def _cell(draw: np.random.Generator) -> Atoms:
    """Eight atoms of silicon, two of them replaced, all displaced by N(0, 0.08 Å)."""
    atoms = bulk("Si", cubic=True, a=5.469)
    for place in draw.choice(len(atoms), 2, replace=False):
        atoms[int(place)].symbol = str(draw.choice(SPECIES))
    atoms.positions += draw.normal(0, 0.08, atoms.positions.shape)
    return atoms


def _usable(laboratory: Potential, cells: list[Atoms]) -> list[tuple[Atoms, Atoms]]:
    """Cells that come to rest in the laboratory, not where PaiNN rests and not far from it."""
    batch = Structures.from_ase(cells, [f"cell {number}" for number in range(len(cells))])
    true, guessed = (AT_REST.run(model, batch) for model in (laboratory, PaiNN.pretrained()))
    wrong = delta_q(guessed.structures, true.structures)
    good = true.converged & guessed.converged & (wrong > NEAR) & (wrong < FAR)
    ends = true.structures.to_ase()
    return [
        (start, _bare(end))
        for start, end, taken in zip(cells, ends, good.tolist(), strict=True)
        if taken
    ]


def _bare(atoms: Atoms) -> Atoms:
    """Without labels, which would tell of the laboratory."""
    return Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _references(starts: list[Atoms], ends: list[Atoms], name: str) -> RelaxationDataset:
    return RelaxationDataset(
        ReferenceRelaxation.from_ase(f"{name} {number}", [start, end])
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    )


def _frames(file: Path) -> list[Atoms]:
    if not file.exists():
        raise FileNotFoundError(
            f"{file.name} is not in {file.parent.resolve()}: it comes with the assignment and "
            "lies beside the notebook"
        )
    return list(ase.io.iread(file, ":"))
