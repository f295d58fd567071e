"""What the recipe gives on shipped data."""

from __future__ import annotations

import argparse
from pathlib import Path

from bpttviz.cli.options import add_memory, add_potential, load_chosen, told, whole

HELP = "train a potential by the recipe on five folds, for the test part, and on all of a data set"

EXAMPLES = """\
  bpttviz trial --potential chgnet --out trial                        everything: a day of one core
  bpttviz trial --potential chgnet --parts fold-0 fold-1 --out trial  share the work
  bpttviz trial --potential chgnet --parts test --seeds 0 1 2 --out trial

Parts are fold-0 and so on (each relaxation is held out once; other starts of its end may be trained
on), test (the data's own test part: new species, new families) and all (nothing is held out).
What it gave counts in the table of `bpttviz reproduce --out trial`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_potential(parser)
    parser.add_argument("--dataset", default="si-defects", help="si-defects or crystals")
    parser.add_argument("--parts", nargs="+", metavar="PART", help="do just these; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a training for each")
    parser.add_argument("--folds", type=whole, default=5, help="by structure")
    add_memory(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(choices: argparse.Namespace) -> int:
    """Writes runs, tables, report.txt, and rows/*.jsonl for `bpttviz reproduce`."""
    from bpttviz.datasets.library import load_dataset
    from bpttviz.experiments.claims.trials import write_trial
    from bpttviz.experiments.trial import FOLDS, Trial
    from bpttviz.training.recipe import Recipe

    data = load_dataset(choices.dataset)
    potential = load_chosen(choices.potential, choices).potential
    trial = Trial(
        potential,
        data,
        Recipe(data.unlabelled),
        Path(choices.out),
        choices.folds,
        not choices.quiet,
        choices.memory,
    )
    if not trial.run(choices.parts, choices.seeds):
        raise KeyboardInterrupt
    command = f"bpttviz trial {told(choices.potential, choices)} --dataset {choices.dataset}"
    if choices.folds != FOLDS:
        command += f" --folds {choices.folds}"
    write_trial(trial, choices.dataset, choices.potential, command)
    print((Path(choices.out) / "report.txt").read_text(encoding="utf-8"))
    return 0
