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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from bpttviz._files import write_atomic
from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.experiments.pretrain_card import cards
from bpttviz.experiments.pretrain_frames import (
    ALLOYED,
    components,
    disturbed_frame,
    force_mae,
    label,
    predict,
    turned,
)
from bpttviz.potentials.base import Potential
from bpttviz.potentials.pretrained.chgnet import CHGNet
from bpttviz.potentials.small.painn import PaiNN
from bpttviz.potentials.small.transformer import CoordinateTransformer
from bpttviz.potentials.small.weights import save_weights
from bpttviz.provenance import fingerprint, specification
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

    kind: type[PaiNN] | type[CoordinateTransformer]
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


def as_references(frames: Sequence[Atoms], name: str) -> RelaxationDataset:
    """Single labelled frames in the form that `finetune` takes."""
    return RelaxationDataset(
        [
            ReferenceRelaxation.from_ase(f"{name}-{i}", [atoms], name)
            for i, atoms in enumerate(frames)
        ]
    )


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
        atoms.get_potential_energy() - float(predict(potential, atoms).energy[0])
        for atoms in frames
    ]
    change, *_ = np.linalg.lstsq(counts.astype(float), np.array(missing), rcond=1e-6)
    potential.shift[elements] += torch.as_tensor(change)


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
    references = _frames(seen)
    taught = train(teacher, references, recipe.teach, recipe, out / "teacher", progress)

    def labelled(seed: int, count: int) -> list[Atoms]:
        file = out / f"frames-seed-{seed}.extxyz"
        return label(taught, lambda k: disturbed_frame(k, seen, seed), count, file, progress)

    learned = labelled(recipe.seed, recipe.frames)
    torch.manual_seed(recipe.seed)
    student = recipe.kind()
    student.get_buffer("scale").fill_(components(learned).std())
    folder = out / recipe.kind.__name__
    distilled = train(student, learned, recipe.distil, recipe, folder / "distil", progress)
    both = references + learned[: len(references)]  # some of the teacher's, so as not to forget
    fitted = train(distilled, both, recipe.fit, recipe, folder / "fit", progress)
    if isinstance(fitted, PaiNN):  # the other has no energy
        fit_shift(fitted, learned)
        fit_shift(fitted, references)

    held_out = labelled(recipe.seed + 1, recipe.held_out)
    stages = {"teacher": taught, "distilled": distilled, "fitted": fitted}
    card = _card(recipe, seen, teacher, taught) | {
        "errors": _errors(stages, _frames_to_measure_on(data, seen, held_out))
    }
    file = out / "weights" / f"{recipe.kind.__name__.lower()}.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_weights(fitted, card, file)
    write_atomic(file.parent / "README.md", cards(file.parent))
    return file


def _frames(references: Sequence[ReferenceRelaxation]) -> list[Atoms]:
    return [atoms for reference in references for atoms in reference.to_ase()]


def _frames_to_measure_on(
    data: DatasetSplits, seen: RelaxationDataset, held_out: list[Atoms]
) -> dict[str, list[Atoms]]:
    """Title of a row in the card → frames."""
    others = [r for r in data.all if r.group not in seen.groups]
    sets = {
        "disturbed frames, held out; labels of the teacher": held_out,
        "PBE, relaxations seen": _frames(seen),
        "PBE, all other groups": _frames(others),
    }
    for group in sorted({r.group for r in others}):
        sets[f"PBE, {group}"] = _frames([r for r in others if r.group == group])
    return sets


def _errors(
    stages: Mapping[str, Potential], sets: Mapping[str, list[Atoms]]
) -> dict[str, dict[str, float]]:
    """Mean absolute errors of a force component, eV/Å, of each stage on each set of frames."""
    return {
        name: {
            **{stage: round(force_mae(p, frames), 4) for stage, p in stages.items()},
            "no forces at all": round(float(np.abs(components(frames)).mean()), 4),
        }
        for name, frames in sets.items()
    }


def _card(
    recipe: Recipe, seen: RelaxationDataset, teacher: Potential, taught: Potential
) -> dict[str, Any]:
    """What the weights were made from."""
    origin = {"weights": fingerprint(teacher), "taught": fingerprint(taught)}
    return {
        "licence": "BSD-3-Clause, as the package; data CC0",
        "command": f"python -m bpttviz.experiments.pretrain {recipe.kind.__name__} --out FOLDER",
        "teacher": specification(teacher) | origin,
        "relaxations": seen.names,
        "groups": sorted(set(seen.groups)),
        "data": seen.fingerprint(),
        "elements": ["Si", *ALLOYED],
        "recipe": {key: value for key, value in vars(recipe).items() if key != "kind"},
        "torch": torch.__version__.split("+")[0],
    }


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
