"""What the small potentials learn from: disturbed structures, and a teacher's labels on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, covalent_radii
from tqdm.auto import tqdm

from bpttviz._code import digest
from bpttviz._files import write_atomic
from bpttviz.datasets.extxyz import to_extxyz
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.provenance import fingerprint, specification
from bpttviz.structures import Structures

# All that may stand beside silicon in the set; the teacher shows them in alloys, not in defects.
ALLOYED = ("P", "Ge", "As", "Sn", "Sb", "B", "Al", "C", "Ga", "In", "N")
FRAMES_A_SAVE = 20
SILICON_A = 5.469  # Å, PBE lattice constant, as in the generator


def disturbed_frame(number: int, seen: RelaxationDataset, seed: int) -> Atoms:
    """Structure ``number`` of an endless series to learn forces from; each by its own seed.

    Of every eight, six are disturbed frames of the relaxations ``seen``, one is disturbed bulk
    silicon, and one a dilute random alloy of silicon with another element. "Disturbed": the cell is
    strained by N(0, 0.5 %), and atoms are displaced by N(0, σ), σ being from 0.01 to 0.12 Å and
    most often small: forces in a relaxation are mostly small too.

    Args:
        number: from 0.
        seen: relaxations with trajectories.
        seed: of the series.
    """
    rng = np.random.default_rng([seed, number])
    if number % 8 < 6:
        reference = seen[int(rng.integers(len(seen)))]
        available = 0 if reference.trajectory is None else len(reference.trajectory)
        chosen, _ = reference.frames([int(rng.integers(available))])
        (taken,) = chosen.to_ase()
        atoms = Atoms(taken.numbers, taken.positions, cell=taken.cell, pbc=taken.pbc)
    else:
        atoms = bulk("Si", "diamond", a=SILICON_A, cubic=True) * (2, 2, 2)
    if number % 8 == 7:
        _mix_in(atoms, ALLOYED[number // 8 % len(ALLOYED)], rng)
    strain = rng.normal(0, 0.005, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
    sigma = np.exp(rng.uniform(np.log(0.01), np.log(0.12)))
    atoms.positions += rng.normal(0, sigma, atoms.positions.shape)
    return atoms


def _mix_in(atoms: Atoms, element: str, rng: np.random.Generator) -> None:
    """Two to eight atoms of silicon become another element, and the cell follows."""
    count = int(rng.integers(2, 9))
    atoms.symbols[rng.permutation(len(atoms))[:count]] = element
    ratio = covalent_radii[atomic_numbers[element]] / covalent_radii[14]
    stretch = 1 + (ratio - 1) * count / len(atoms)  # Vegard's law
    atoms.set_cell(atoms.cell * stretch, scale_atoms=True)


def label(
    teacher: Potential, make: Callable[[int], Atoms], count: int, file: Path, progress: bool = True
) -> list[Atoms]:
    """``count`` structures with the teacher's energies and forces, as ``file`` keeps them.

    Raises:
        ValueError: the file's labels are those of another teacher.
    """
    done = list(ase.io.iread(file, ":", format="extxyz")) if file.exists() else []
    described = digest(specification(teacher))
    signature = f"{type(teacher).__name__} {described} {fingerprint(teacher)}"
    for atoms in done:
        if atoms.info.get("teacher") != signature:
            raise ValueError(
                f"{file} holds labels of {atoms.info.get('teacher')}, not of {signature}; delete "
                "it or choose another folder"
            )
    for number in tqdm(range(len(done), count), desc="label", disable=not progress):
        atoms = make(number)
        energy, forces = predict(teacher, atoms)
        atoms.calc = SinglePointCalculator(
            atoms, energy=float(energy[0]), forces=forces.cpu().numpy()
        )
        atoms.info["teacher"] = signature
        done.append(atoms)
        if len(done) % FRAMES_A_SAVE == 0 or len(done) == count:
            write_atomic(file, to_extxyz(done))
    # Read again, so that the digits are those that a later call would find.
    return list(ase.io.iread(file, f":{count}", format="extxyz"))


@torch.no_grad()
def predict(potential: Potential, atoms: Atoms) -> Prediction:
    """Energy (1,) in eV and forces (N, 3) in eV/Å, without a graph."""
    return potential(Structures.from_ase(atoms, check=False).to(potential.device))


def turned(frames: Sequence[Atoms], seed: Sequence[int]) -> list[Atoms]:
    """Each frame, cell and forces included, turned by one of the cube's 48 operations."""
    rng, result = np.random.default_rng(seed), []
    for atoms in frames:
        turn = np.eye(3)[rng.permutation(3)] * rng.choice([-1.0, 1.0], 3)
        copy = Atoms(
            atoms.numbers, atoms.positions @ turn, cell=atoms.cell.array @ turn, pbc=atoms.pbc
        )
        copy.calc = SinglePointCalculator(
            copy, energy=atoms.get_potential_energy(), forces=atoms.get_forces() @ turn
        )
        result.append(copy)
    return result


def components(frames: Sequence[Atoms]) -> np.ndarray:
    """All force components of all frames, eV/Å."""
    return np.concatenate([atoms.get_forces().ravel() for atoms in frames])


def force_mae(potential: Potential, frames: Sequence[Atoms]) -> float:
    """Mean absolute error of a force component, eV/Å, over all atoms of all frames."""
    predicted = [predict(potential, atoms).forces.cpu().numpy().ravel() for atoms in frames]
    return float(np.abs(np.concatenate(predicted) - components(frames)).mean())
