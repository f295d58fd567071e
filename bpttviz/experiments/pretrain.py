"""How the two small potentials get the weights that come with them: one command each.

    python -m bpttviz.experiments.pretrain PaiNN --out FOLDER
    python -m bpttviz.experiments.pretrain CoordinateTransformer --out FOLDER

CHGNet 0.3.0, whose forces are too soft, first learns the PBE forces of a few relaxations. So
taught, it labels disturbed frames of the same relaxations; a student learns its forces, then those
of the relaxations themselves, with some of the teacher's in between so that it does not forget
them. Its errors go into the card. FOLDER keeps the taught teacher and the labels, which both
students share, and every stage of training; the same command goes on where it was stopped. The
weights are written to FOLDER/weights.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, covalent_radii
from tqdm.auto import tqdm

from bpttviz.datasets.generate.silicon import SILICON_A
from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.extxyz import to_extxyz
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.potentials.base import Potential
from bpttviz.potentials.pretrained.chgnet import CHGNet
from bpttviz.potentials.small.painn import PaiNN
from bpttviz.potentials.small.transformer import CoordinateTransformer
from bpttviz.potentials.small.weights import read_header, save_weights
from bpttviz.provenance import fingerprint, specification
from bpttviz.structures import Structures
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import ForceLoss

# The relaxations that the small potentials may see: of groups that were looked at while methods
# were chosen (so that they never enter a test split), less those in the validation part (vac:Si).
# A list, not a rule: the shipped set grows, and these weights must not change their meaning.
RELAXATIONS = (
    "001_sub_P",
    "002_split_Si",
    "003_subvac_Ge",
    "004_divac_Si",
    "005_tet_Si",
    "006_sub_As",
    "007_subsub_Sn",
    "111_split_Si",
    "113_divac_Si",
    "120_split_Si",
    "122_divac_Si",
)

# All that may stand beside silicon in the set; the teacher shows them in alloys, not in defects.
ALLOYED = ("P", "Ge", "As", "Sn", "Sb", "B", "Al", "C", "Ga", "In", "N")
FRAMES_A_SAVE = 20


@dataclass(frozen=True)
class Recipe:
    """How one small potential is trained.

    Each stage of training is one call of `finetune`, with a learning rate of its own.

    Attributes:
        kind: the potential's class.
        frames, held_out: structures that the teacher labels, to learn from and to measure on.
        distil, fit: (learning rate, epochs) of the stages on the teacher's forces, and on those of
            PBE and, for every PBE frame, one of the teacher's.
        teach: the same of the teacher's own stages, on PBE forces.
        batch_size: structures an update.
        seed: of weights, structures and their order. The held-out ones take the next.
    """

    kind: type[Potential]
    distil: tuple[tuple[float, int], ...]
    fit: tuple[tuple[float, int], ...]
    frames: int = 2560
    held_out: int = 40
    batch_size: int = 2
    seed: int = 0
    teach: tuple[tuple[float, int], ...] = ((5e-4, 1), (1e-4, 1))


RECIPES = {
    "PaiNN": Recipe(
        PaiNN,
        distil=((2e-3, 1), (1e-3, 1), (3e-4, 1)),
        fit=((5e-4, 2), (1e-4, 2)),
    ),
    # It has to learn from turned copies how forces turn: each stage turns every frame anew.
    "CoordinateTransformer": Recipe(
        CoordinateTransformer,
        distil=((1e-3, 1),) * 9 + ((5e-4, 1),) * 4 + ((2e-4, 1),) * 2,
        fit=((5e-4, 2),) * 2 + ((2e-4, 2),) * 2 + ((5e-5, 1),),
    ),
}


def seen_relaxations(data: DatasetSplits) -> RelaxationDataset:
    """The relaxations named above.

    Raises:
        ValueError: one of them is in a group that may be validated or tested on.
    """
    chosen = data.all[list(RELAXATIONS)]
    for reference in chosen:
        if (
            reference.group not in data.development_groups
            or data.split_of(reference.group) != "train"
        ):
            raise ValueError(f"{reference.name}: its group {reference.group} is not for training")
    return chosen


def frame(number: int, seen: RelaxationDataset, seed: int) -> Atoms:
    """Structure ``number`` of an endless series to learn forces from; each by its own seed.

    Of every eight, six are disturbed frames of the relaxations ``seen``, one is disturbed bulk
    silicon, and one a dilute random alloy of silicon with another element. "Disturbed": the cell is
    strained by N(0, 0.5 %), and atoms are displaced by N(0, σ), σ being from 0.01 to 0.12 Å and
    most often small: forces in a relaxation are mostly small too.
    """
    rng = np.random.default_rng([seed, number])
    if number % 8 < 6:
        reference = seen[int(rng.integers(len(seen)))]
        chosen, _ = reference.frames([int(rng.integers(len(reference.trajectory)))])
        (taken,) = chosen.to_ase()
        atoms = Atoms(taken.numbers, taken.positions, cell=taken.cell, pbc=taken.pbc)
    else:
        atoms = bulk("Si", "diamond", a=SILICON_A, cubic=True) * (2, 2, 2)
        if number % 8 == 7:
            element = ALLOYED[number // 8 % len(ALLOYED)]
            count = int(rng.integers(2, 9))
            atoms.symbols[rng.permutation(len(atoms))[:count]] = element
            ratio = covalent_radii[atomic_numbers[element]] / covalent_radii[14]
            stretch = 1 + (ratio - 1) * count / len(atoms)  # Vegard's law
            atoms.set_cell(atoms.cell * stretch, scale_atoms=True)
    strain = rng.normal(0, 0.005, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
    sigma = np.exp(rng.uniform(np.log(0.01), np.log(0.12)))
    atoms.positions += rng.normal(0, sigma, atoms.positions.shape)
    return atoms


def label(
    teacher: Potential, make: Callable[[int], Atoms], count: int, file: Path, progress: bool = True
) -> list[Atoms]:
    """``count`` structures with the teacher's energies and forces, as ``file`` keeps them.

    Raises:
        ValueError: the file's labels are those of another teacher.
    """
    done = ase.io.read(file, ":", format="extxyz") if file.exists() else []
    signature = f"{type(teacher).__name__} {fingerprint(teacher)}"
    for atoms in done:
        if atoms.info.get("teacher") != signature:
            raise ValueError(
                f"{file} holds labels of {atoms.info.get('teacher')}, not of {signature}; delete "
                "it or choose another folder"
            )
    for number in tqdm(range(len(done), count), desc="label", disable=not progress):
        atoms = make(number)
        with torch.no_grad():
            energy, forces = teacher(Structures.from_ase(atoms, check=False).to(teacher.device))
        atoms.calc = SinglePointCalculator(
            atoms, energy=float(energy[0]), forces=forces.cpu().numpy()
        )
        atoms.info["teacher"] = signature
        done.append(atoms)
        if len(done) % FRAMES_A_SAVE == 0 or len(done) == count:
            unfinished = file.with_suffix(".unfinished")
            unfinished.write_text(to_extxyz(done), encoding="utf-8")
            os.replace(unfinished, file)
    # Read again, so that the digits are those that a later call would find.
    return ase.io.read(file, f":{count}", format="extxyz")


def as_references(frames: Sequence[Atoms], name: str) -> RelaxationDataset:
    """Single labelled frames in the form that `finetune` takes."""
    return RelaxationDataset(
        [
            ReferenceRelaxation.from_ase(f"{name}-{i}", [atoms], name)
            for i, atoms in enumerate(frames)
        ]
    )


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


def train(
    potential: Potential,
    frames: Sequence[Atoms],
    stages: Sequence[tuple[float, int]],
    recipe: Recipe,
    out: Path,
    progress: bool = True,
) -> Potential:
    """Match the frames' forces, stage by stage; each is kept in a folder of ``out``."""
    for number, (learning_rate, epochs) in enumerate(stages):
        seed = recipe.seed * 1000 + number
        known = frames if potential.equivariant else turned(frames, [seed, len(frames)])
        run = finetune(
            potential,
            as_references(known, out.name),
            ForceLoss(),
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=recipe.batch_size,
            seed=seed,
            out=out / f"stage-{number}",
            progress=progress,
        )
        if run.status == "interrupted":
            raise KeyboardInterrupt
        potential = run.potential
    return potential


@torch.no_grad()
def fit_shift(potential: PaiNN, frames: Sequence[Atoms]) -> None:
    """Let the mean energy of each composition be right: least squares over the elements' shifts.

    Forces do not determine them. Where the frames do not either (elements that they lack, or that
    occur in a fixed ratio), the smallest change is made.
    """
    elements = sorted({int(number) for atoms in frames for number in atoms.numbers})
    counts = np.array([[(atoms.numbers == z).sum() for z in elements] for atoms in frames])
    missing = [
        atoms.get_potential_energy()
        - float(potential.energy(Structures.from_ase(atoms, check=False))[0])
        for atoms in frames
    ]
    change, *_ = np.linalg.lstsq(counts.astype(float), np.array(missing), rcond=1e-6)
    potential.shift[elements] += torch.as_tensor(change)


def components(frames: Sequence[Atoms]) -> np.ndarray:
    """All force components of all frames, eV/Å."""
    return np.concatenate([atoms.get_forces().ravel() for atoms in frames])


@torch.no_grad()
def force_mae(potential: Potential, frames: Sequence[Atoms]) -> float:
    """Mean absolute error of a force component, eV/Å, over all atoms of all frames."""
    predicted = [
        potential(Structures.from_ase(atoms, check=False)).forces.numpy().ravel()
        for atoms in frames
    ]
    return float(np.abs(np.concatenate(predicted) - components(frames)).mean())


def pretrain(
    recipe: Recipe, data: DatasetSplits, teacher: Potential, out: Path, progress: bool = True
) -> Path:
    """Teach, label, distil, fit, measure; returns the file of weights. See the top of this module.

    Raises:
        ValueError: see `seen_relaxations`.
        RunError: ``out`` holds stages made with other settings.
        KeyboardInterrupt: stopped; the same call goes on.
    """
    out.mkdir(parents=True, exist_ok=True)
    seen = seen_relaxations(data)
    references = [atoms for reference in seen for atoms in reference.to_ase()]
    taught = train(teacher, references, recipe.teach, recipe, out / "teacher", progress)

    def labelled(seed: int, count: int) -> list[Atoms]:
        file = out / f"frames-seed-{seed}.extxyz"
        return label(taught, lambda k: frame(k, seen, seed), count, file, progress)

    learned = labelled(recipe.seed, recipe.frames)
    rehearsed = learned[: len(references)]

    torch.manual_seed(recipe.seed)
    potential = recipe.kind()
    potential.scale.fill_(components(learned).std())
    folder = out / recipe.kind.__name__
    distilled = train(potential, learned, recipe.distil, recipe, folder / "distil", progress)
    fitted = train(distilled, references + rehearsed, recipe.fit, recipe, folder / "fit", progress)
    if fitted.conservative:
        fit_shift(fitted, learned)
        fit_shift(fitted, references)

    others = [r for r in data.all if r.group not in seen.groups]
    sets = {
        "disturbed frames, held out; labels of the teacher": labelled(
            recipe.seed + 1, recipe.held_out
        ),
        "PBE, relaxations seen": references,
        "PBE, all other groups": [atoms for r in others for atoms in r.to_ase()],
    }
    for group in sorted({r.group for r in others}):
        sets[f"PBE, {group}"] = [atoms for r in others if r.group == group for atoms in r.to_ase()]
    errors = {
        name: {
            "teacher": round(force_mae(taught, frames), 4),
            "distilled": round(force_mae(distilled, frames), 4),
            "fitted": round(force_mae(fitted, frames), 4),
            "no forces at all": round(float(np.abs(components(frames)).mean()), 4),
        }
        for name, frames in sets.items()
    }
    card = {
        "licence": "BSD-3-Clause, as the package; data CC0",
        "command": f"python -m bpttviz.experiments.pretrain {recipe.kind.__name__} --out FOLDER",
        "teacher": specification(teacher)
        | {"weights": fingerprint(teacher), "taught": fingerprint(taught)},
        "relaxations": seen.names,
        "groups": sorted(set(seen.groups)),
        "data": seen.fingerprint(),
        "elements": ["Si", *ALLOYED],
        "recipe": {key: value for key, value in vars(recipe).items() if key != "kind"},
        "errors": errors,
        "torch": torch.__version__.split("+")[0],
    }
    file = out / "weights" / f"{recipe.kind.__name__.lower()}.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_weights(fitted, card, file)
    (file.parent / "README.md").write_text(cards(file.parent), encoding="utf-8")
    return file


def cards(folder: Path) -> str:
    """The README of a folder of weights, from what the files' headers say (Markdown)."""
    lines = [
        "# Small pretrained potentials",
        "",
        "Made by `bpttviz.experiments.pretrain`. A teacher, CHGNet, first learned the PBE forces of a few",
        "silicon relaxations, then labelled disturbed frames of them, of bulk silicon and of",
        "random alloys. The student learned its forces, then those of the relaxations and as many",
        "of the teacher's together. Energies were not learned: their differences within one",
        "composition follow from the forces, their zero from least squares. This page is written",
        "from the headers of the files, which hold the same as JSON.",
    ]
    for path in sorted(folder.glob("*.safetensors")):
        header = read_header(path)
        card, recipe = header["card"], header["card"]["recipe"]
        stages = {
            name: ", ".join(f"{epochs} × {rate:g}" for rate, epochs in recipe[name])
            for name in ("teach", "distil", "fit")
        }
        lines += [
            "",
            f"## {header['class']}",
            "",
            f"`bv.{header['class']}.pretrained()`, {path.stat().st_size / 1e6:.1f} MB, "
            f"{', '.join(f'{k} {v}' for k, v in header['config'].items())}",
            "",
            "| what | value |",
            "|---|---|",
            f"| teacher | {card['teacher']['class']} {card['teacher']['config']} |",
            f"| frames labelled | {recipe['frames']}, and {recipe['held_out']} held out |",
            f"| relaxations seen | {', '.join(card['relaxations'])} |",
            f"| elements seen | {', '.join(card['elements'])} |",
            f"| epochs × learning rate, teacher on PBE forces | {stages['teach']} |",
            f"| epochs × learning rate, teacher's forces | {stages['distil']} |",
            f"| epochs × learning rate, PBE and teacher's forces | {stages['fit']} |",
            f"| structures an update, seed | {recipe['batch_size']}, {recipe['seed']} |",
            f"| command | `{card['command']}` (torch {card['torch']}) |",
            f"| licence | {card['licence']} |",
            "",
            "Mean absolute error of a force component, eV/Å. That the teacher is taught first, and",
            "how many frames it labels, was decided after errors on other groups had been seen.",
            "",
            "| frames | teacher | distilled | then fitted | no forces at all |",
            "|---|---|---|---|---|",
        ]
        for name, error in card["errors"].items():
            figures = " | ".join(f"{value:.3f}" for value in error.values())
            lines.append(f"| {name} | {figures} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bpttviz.experiments.pretrain",
        description="Make the weights of a small potential.",
    )
    parser.add_argument("potential", choices=sorted(RECIPES))
    parser.add_argument("--out", required=True, type=Path, help="folder; resumed when it exists")
    options = parser.parse_args(arguments)
    print(pretrain(RECIPES[options.potential], load_dataset(), CHGNet(), options.out))


if __name__ == "__main__":
    main()
