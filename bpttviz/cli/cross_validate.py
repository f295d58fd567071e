"""The paper's experiment on shipped data."""

from __future__ import annotations

import argparse
from pathlib import Path

from bpttviz.cli.options import add_adjoint, add_recipe, adjoint_of, whole

HELP = "cross-validated fine-tuning of a pretrained CHGNet on the shipped relaxations"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--checkpoint", default="0.3.0", help="0.3.0, 0.2.0 or r2scan")
    parser.add_argument("--dataset", default="si-defects", help="si-defects or crystals")
    add_recipe(parser)
    add_adjoint(parser)
    parser.add_argument("--folds", type=whole, default=4, help="number of folds")
    parser.add_argument("--only", type=int, nargs="+", help="do just these folds (from 0)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(choices: argparse.Namespace) -> int:
    """Writes report.txt and report.csv, and what they are from."""
    from bpttviz.datasets.library import load_dataset
    from bpttviz.experiments.cross_validation import cross_validate
    from bpttviz.experiments.protocol import PaperRecipe
    from bpttviz.potentials.pretrained.chgnet import CHGNet

    report = cross_validate(
        CHGNet(choices.checkpoint, choices.device),
        load_dataset(choices.dataset),
        choices.out,
        PaperRecipe(
            step_size=choices.step_size,
            steps=choices.steps,
            epochs=choices.epochs,
            learning_rate=choices.learning_rate,
            seed=choices.seed,
            adjoint=adjoint_of(choices),
        ),
        folds=choices.folds,
        only=choices.only,
        progress=not choices.quiet,
    )
    if report is None:
        print("not all folds are done yet")
    else:
        print((Path(choices.out) / "report.txt").read_text(encoding="utf-8"))
    return 0
