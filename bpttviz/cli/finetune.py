"""Fine-tune a potential."""

from __future__ import annotations

import argparse
from pathlib import Path

from bpttviz.cli.options import (
    add_adjoint,
    add_potential,
    add_recipe,
    add_relaxations,
    adjoint_of,
    read_files,
    require_one_source,
)

HELP = "fine-tune a potential so that its relaxations end where the references do"

EXAMPLES = """\
  python -m bpttviz finetune train/*/OUTCAR --validation val/*/OUTCAR \\
      --potential chgnet --out runs/mine
  python -m bpttviz finetune --pairs a/POSCAR a/CONTCAR b/POSCAR b/CONTCAR \\
      --potential chgnet --out runs/mine --export mine.pth.tar
  python -m bpttviz finetune *.traj --potential mace:model.model \\
      --trust --forces 0.1 --out runs/mine"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_relaxations(parser, "relaxations to learn from")
    parser.add_argument(
        "--validation", nargs="+", metavar="FILE", type=Path,
        help="relaxations that choose the epoch whose weights are kept (likewise in pairs)",
    )  # fmt: skip
    parser.add_argument("--patience", type=int, help="stop after so many epochs without progress")
    add_potential(parser)
    add_recipe(parser)
    parser.add_argument("--batch-size", type=int, default=1, help="structures an update")
    parser.add_argument(
        "--forces", type=float, metavar="WEIGHT",
        help="also match the forces of the frames, with this weight (amu^½ Å per eV/Å)",
    )  # fmt: skip
    parser.add_argument(
        "--forces-only", action="store_true", help="match forces and nothing else, as is usual"
    )
    parser.add_argument("--frames", type=int, default=20, help="frames of a relaxation an update")
    add_adjoint(parser)
    parser.add_argument(
        "--export", metavar="FILE", type=Path,
        help="also write a checkpoint that the potential's own package reads",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(choices: argparse.Namespace) -> int:
    """Writes a run, which `load_run` and --potential read."""
    from bpttviz.experiments.registry import load_potential
    from bpttviz.training.finetune import finetune

    data, validation = _data(choices)
    potential = load_potential(choices.potential, choices.device, choices.trust).potential
    if choices.export and not hasattr(potential, "export"):
        raise ValueError(
            f"a {type(potential).__name__} has no checkpoint format of another package, so "
            "--export cannot write one; its run folder is all that is needed (load_run)"
        )
    run = finetune(
        potential,
        data,
        _objective(choices),
        epochs=choices.epochs,
        learning_rate=choices.learning_rate,
        batch_size=choices.batch_size,
        validation=validation,
        patience=choices.patience,
        seed=choices.seed,
        out=choices.out,
        progress=not choices.quiet,
    )
    print(run)
    if run.status == "interrupted":
        print("the same command goes on from here")
        return 130
    if choices.export:
        _export(run.potential, choices.export)
        print(f"written for the potential's own package: {choices.export}")
    return 0


def _data(choices: argparse.Namespace):
    """(training data, validation relaxations or None)."""
    from bpttviz.datasets.library import load_dataset

    require_one_source(choices)
    validation = read_files(choices.validation, choices.pairs) if choices.validation else None
    if choices.files:
        return read_files(choices.files, choices.pairs), validation
    if validation:
        raise ValueError("--dataset has a validation part of its own; leave --validation out")
    return load_dataset(choices.dataset), None


def _objective(choices: argparse.Namespace):
    from bpttviz.relaxation.rules import GradientDescent
    from bpttviz.relaxation.stopping import StoppingCriterion
    from bpttviz.training.objectives import EndpointLoss, ForceLoss

    forces = ForceLoss(choices.frames)
    if choices.forces_only:
        if choices.forces is not None:
            raise ValueError("--forces adds to the endpoint's loss, --forces-only leaves it out")
        return forces
    endpoint = EndpointLoss(
        GradientDescent(choices.step_size), StoppingCriterion(choices.steps), adjoint_of(choices)
    )
    return endpoint if choices.forces is None else endpoint + choices.forces * forces


def _export(potential, target: Path) -> None:
    """Through another name, so that no reader ever finds half a checkpoint."""
    import os

    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{os.getpid()}.{target.name}")
    potential.export(unfinished)
    os.replace(unfinished, target)
