"""What the recipe gives on shipped data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bpttviz.cli.options import add_memory, add_potential, label, load_chosen, told, whole

if TYPE_CHECKING:
    from bpttviz.datasets.splits import DatasetSplits
    from bpttviz.potentials.base import Potential
    from bpttviz.training.recipe import Recipe

HELP = "train a potential by the recipe on five folds, for the test part, and on all of a data set"

EXAMPLES = """\
  bpttviz trial --potential chgnet --out trial                        everything: six hours
  bpttviz trial --potential chgnet --parts fold-0 fold-1 --out trial  share the work
  bpttviz trial --potential chgnet --parts test --seeds 0 1 2 --out trial
  bpttviz trial --potential chgnet --variant paper --curve --parts fold-0 --out ablation
  bpttviz trial --potential chgnet --variant paper --alphas 0.25 0.5 --parts fold-0 --out ablation
  bpttviz ablation --out ablation                                     variants side by side

Parts are fold-0 and so on (each relaxation is held out once; other starts of its end may be trained
on), test (the data's own test part: new species, new families) and all (nothing is held out).
What it gave (but for variants) counts in the table of `bpttviz reproduce --out trial`.

A variant (on folds, in a folder of its own in --out; `bpttviz ablation --out` shows them side by
side) is the recipe as it is (recipe), with own minima replayed (replay) or own pressure kept
(pressure), the paper's way (paper), or the recipe with something left out or changed: starts-alone,
ends-alone, not-through-time, pressure-not-through-time, twice-as-long, paper-not-through-time,
paper-rehearsed, last-weights, no-resolution, no-rehearsal."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_potential(parser)
    parser.add_argument("--dataset", default="si-defects", help="si-defects or crystals")
    parser.add_argument("--parts", nargs="+", metavar="PART", help="do just these; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a training for each")
    parser.add_argument("--folds", type=whole, default=5, help="by structure")
    parser.add_argument(
        "--replay", action="store_true",
        help="keep the potential's own minima too: its relaxations of the data's unlabelled "
        "structures are replayed (half as long again)",
    )  # fmt: skip
    parser.add_argument("--variant", metavar="NAME", help="of the recipe; see below")
    parser.add_argument("--curve", action="store_true", help="measure after every epoch too")
    parser.add_argument(
        "--alphas", type=float, nargs="+", default=[], metavar="ALPHA",
        help="with --variant: measure blends too, each so much of the way from pretrained weights",
    )  # fmt: skip
    add_memory(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(choices: argparse.Namespace) -> int:
    """Writes runs, report.txt, and rows/*.jsonl for `bpttviz reproduce`; of a variant, tables."""
    from bpttviz.datasets.library import load_dataset
    from bpttviz.experiments.ablation_tables import write_tables
    from bpttviz.experiments.claims.trials import write_trial
    from bpttviz.experiments.trial import FOLDS, Trial
    from bpttviz.experiments.variants import variant

    chosen = None if choices.variant is None else variant(choices.variant)
    if choices.alphas and chosen is None:
        raise ValueError("--alphas is for a --variant, whose blends `bpttviz ablation` shows")
    if chosen is not None:
        choices.parts = _folds_of_a_variant(choices)
    out = Path(choices.out) / (chosen.name if chosen is not None else "")
    data = load_dataset(choices.dataset)
    potential = load_chosen(choices.potential, choices).potential
    recipe = _recipe(choices.replay or (chosen is not None and chosen.replay), data, potential)
    if chosen is not None:
        recipe = chosen.applied(recipe)
    trial = Trial(
        potential,
        data,
        recipe,
        out,
        choices.folds,
        not choices.quiet,
        choices.memory,
        choices.curve,
        choices.alphas,
        None if chosen is None else Path(choices.out),
    )
    if not trial.run(choices.parts, choices.seeds):
        raise KeyboardInterrupt
    called = label(choices.potential, choices)
    command = f"bpttviz trial {told(choices.potential, choices)} --dataset {choices.dataset}"
    command += f" --out {'trial' if chosen is None else 'ablation'}"
    command += "".join(f" --{name}" for name in ("replay", "curve") if getattr(choices, name))
    if choices.folds != FOLDS:
        command += f" --folds {choices.folds}"
    if chosen is None:
        write_trial(trial, choices.dataset, called, command)
    else:
        if choices.alphas:
            command += f" --alphas {' '.join(f'{alpha:g}' for alpha in choices.alphas)}"
        command += f" --variant {chosen.name}"
        write_tables(trial, chosen.name, called, choices.dataset, command)
    print((out / "report.txt").read_text(encoding="utf-8"))
    return 0


def _folds_of_a_variant(choices: argparse.Namespace) -> list[str]:
    """The folds that a variant is tried on, all by default.

    Raises:
        ValueError: another part, or --replay.
    """
    if choices.replay:
        raise ValueError("--replay is a variant of its own: --variant replay")
    parts = choices.parts or [f"fold-{number}" for number in range(choices.folds)]
    if not all(part.startswith("fold-") for part in parts):
        raise ValueError(
            "variants are compared on folds: the test part is looked at once, after a choice"
        )
    return parts


def _recipe(replay: bool, data: DatasetSplits, potential: Potential) -> Recipe:
    """The recipe on a data set; with ``replay`` the potential's own minima are kept as well.

    Raises:
        ValueError: the data has no unlabelled structures to relax.
    """
    from bpttviz.experiments.unlabelled import own_relaxations, starts_among
    from bpttviz.training.recipe import Recipe

    if not replay:
        return Recipe(data.unlabelled)
    if data.unlabelled is None:
        raise ValueError("--replay relaxes unlabelled structures, and this data set has none")
    minima = own_relaxations(potential, starts_among(data.unlabelled))
    return Recipe(data.unlabelled, minima=minima)
