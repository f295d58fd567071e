"""Fine-tune a potential."""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from bpttviz.cli.options import (
    ADJOINTS,
    add_adjoint,
    add_memory,
    add_potential,
    add_recipe,
    add_relaxations,
    adjoint_of,
    load_chosen,
    positive,
    read_files,
    require_one_source,
    whole,
)

if TYPE_CHECKING:
    from bpttviz.datasets.relaxations import RelaxationDataset
    from bpttviz.datasets.splits import DatasetSplits
    from bpttviz.potentials.base import Potential
    from bpttviz.training.config import TrainingConfig
    from bpttviz.training.objectives import Objective
    from bpttviz.training.ranks import Ranks

HELP = (
    "fine-tune a potential so that its relaxations end where the references do (exit status 1: "
    "something was left out on the way)"
)

EXAMPLES = """\
  bpttviz finetune train/*/OUTCAR --validation val/*/OUTCAR \\
      --potential chgnet --out runs/mine
  bpttviz finetune --pairs a/POSCAR a/CONTCAR b/POSCAR b/CONTCAR \\
      --potential chgnet --out runs/mine --export mine.pth.tar
  bpttviz finetune *.traj --potential mace:model.model \\
      --trust --forces 0.1 --out runs/mine

several processes or GPUs (the same result; each --batch-size is dealt among them):
  torchrun --nproc-per-node 4 -m bpttviz finetune train/*/OUTCAR \\
      --potential chgnet --device cuda --batch-size 8 --out runs/mine

the same under SLURM, two nodes of four GPUs; sent again, it goes on:
  #!/bin/bash
  #SBATCH --nodes 2 --ntasks-per-node 1 --gpus-per-node 4
  #SBATCH --cpus-per-task 16 --time 8:00:00 --signal TERM@120
  head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  srun torchrun --nnodes $SLURM_NNODES --nproc-per-node 4 \\
      --rdzv-id $SLURM_JOB_ID --rdzv-backend c10d --rdzv-endpoint $head:29500 \\
      -m bpttviz finetune train/*/OUTCAR --potential chgnet \\
      --device cuda --batch-size 16 --out runs/mine --quiet"""
TORCHRUN = True  # this command knows what to do with several processes


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_relaxations(parser, "relaxations to learn from")
    parser.add_argument(
        "--validation", nargs="+", metavar="FILE", type=Path,
        help="relaxations that choose the epoch whose weights are kept (likewise in pairs)",
    )  # fmt: skip
    parser.add_argument("--patience", type=whole, help="stop after so many epochs without progress")
    add_potential(parser)
    add_recipe(parser)
    parser.add_argument(
        "--starts", choices=("reference", "both-ends"), default="reference",
        help="where relaxations start from in training: the references' starts, as in the paper; "
        "or half from there and half from around the ends, with averaged weights and what else "
        "bpttviz.Recipe says (for it --epochs 5 --learning-rate 1e-3 are meant)",
    )  # fmt: skip
    parser.add_argument("--batch-size", type=whole, default=1, help="structures an update")
    add_memory(parser)
    parser.add_argument(
        "--forces", type=positive, metavar="WEIGHT",
        help="also match the forces of the frames, with this weight (amu^½ Å per eV/Å)",
    )  # fmt: skip
    parser.add_argument(
        "--forces-only", action="store_true", help="match forces and nothing else, as is usual"
    )
    parser.add_argument("--frames", type=whole, default=20, help="frames of a relaxation an update")
    add_adjoint(parser)
    parser.add_argument(
        "--export", metavar="FILE", type=Path,
        help="also write a checkpoint that the potential's own package reads",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(choices: argparse.Namespace) -> int:
    """Writes a run, which `load_run` and --potential read.

    The exit status is 1 where a structure was left out of an update, or an update undone.
    """
    from bpttviz.training.ranks import data_parallel

    with data_parallel(choices.device) as ranks:
        if ranks.first:
            return _run(choices, ranks)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return _run(choices, ranks)


def _run(choices: argparse.Namespace, ranks: Ranks) -> int:
    """What one process does."""
    from bpttviz.potentials.base import Exportable
    from bpttviz.training.finetune import finetune
    from bpttviz.training.summary import left_out

    data, validation = _data(choices)
    potential = load_chosen(choices.potential, choices).potential
    if choices.export and not isinstance(potential, Exportable):
        raise ValueError(
            f"a {type(potential).__name__} has no checkpoint format of another package, so "
            "--export cannot write one; its run folder is all that is needed (load_run)"
        )
    objective, config = _training(choices, potential, data)
    run = finetune(
        potential,
        data,
        objective,
        config,
        validation=validation,
        patience=choices.patience,
        memory=choices.memory,
        out=choices.out,
        progress=not choices.quiet,
        ranks=ranks,
    )
    print(run)
    if run.status == "interrupted":
        print("the same command goes on from here")
        return 130
    if choices.export and isinstance(run.potential, Exportable) and ranks.first:
        choices.export.parent.mkdir(parents=True, exist_ok=True)
        run.potential.export(choices.export)
        print(f"written for the potential's own package: {choices.export}")
    return _complaints(left_out(run), sum(update["undone"] for update in run.history))


def _complaints(lost: dict[str, int], undone: int) -> int:
    """Say what did not take part; the exit status."""
    if lost:
        counts = ", ".join(f"{name} ({count} times)" for name, count in lost.items())
        print(f"left out of updates: {counts}", file=sys.stderr)
    if undone:
        print(f"updates undone, as the weights would not be finite: {undone}", file=sys.stderr)
    return 1 if lost or undone else 0


def _data(
    choices: argparse.Namespace,
) -> tuple[DatasetSplits | RelaxationDataset, RelaxationDataset | None]:
    """(training data, validation relaxations or None)."""
    from bpttviz.datasets.library import load_dataset

    require_one_source(choices)
    validation = read_files(choices.validation, choices) if choices.validation else None
    if choices.files:
        return read_files(choices.files, choices, choices.groups), validation
    if validation:
        raise ValueError("--dataset has a validation part of its own; leave --validation out")
    return load_dataset(choices.dataset), None


def _training(
    choices: argparse.Namespace, potential: Potential, data: DatasetSplits | RelaxationDataset
) -> tuple[Objective, TrainingConfig]:
    """What --starts, --forces, --forces-only and the options of the relaxation stand for."""
    from bpttviz.datasets.splits import DatasetSplits
    from bpttviz.relaxation.rules import GradientDescent
    from bpttviz.relaxation.stopping import StoppingCriterion
    from bpttviz.training.config import TrainingConfig
    from bpttviz.training.objectives import EndpointLoss, ForceLoss
    from bpttviz.training.recipe import Recipe

    numbers = {
        "epochs": choices.epochs,
        "learning_rate": choices.learning_rate,
        "batch_size": choices.batch_size,
        "seed": choices.seed,
    }
    config, forces = TrainingConfig(**numbers), ForceLoss(choices.frames)
    endpoint: Objective
    if choices.forces_only:
        if choices.forces is not None:
            raise ValueError("--forces adds to the endpoint's loss, --forces-only leaves it out")
        if choices.starts != "reference" or choices.adjoint != ADJOINTS[0]:
            raise ValueError(
                "--starts and --adjoint are of relaxations, and --forces-only relaxes nothing: "
                "leave them out"
            )
        return forces, config
    if choices.starts == "both-ends":
        unlabelled, train = (
            (data.unlabelled, data.train) if isinstance(data, DatasetSplits) else (None, data)
        )
        recipe = Recipe(
            unlabelled,
            step_size=choices.step_size,
            steps=choices.steps,
            adjoint=adjoint_of(choices),
            **numbers,
        )
        endpoint = recipe.objective(potential)
        config = recipe.config(len(train))
    else:
        rule, stop = GradientDescent(choices.step_size), StoppingCriterion(choices.steps)
        endpoint = EndpointLoss(rule, stop, adjoint_of(choices))
    both = endpoint if choices.forces is None else endpoint + choices.forces * forces
    return both, config
