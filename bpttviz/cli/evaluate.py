"""Measure potentials on reference relaxations."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bpttviz._files import write_atomic
from bpttviz.cli.options import (
    add_potential,
    add_relaxations,
    load_several,
    positive,
    read_files,
    require_one_source,
    whole,
)

if TYPE_CHECKING:
    from bpttviz.datasets.relaxations import RelaxationDataset

HELP = "compare where potentials' relaxations end, and their forces, with references"

EXAMPLES = """\
  bpttviz evaluate held-out/*/OUTCAR --potential chgnet runs/mine --out measured
  bpttviz evaluate --dataset si-defects --part val --potential chgnet --out measured"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_relaxations(parser, "reference relaxations")
    parser.add_argument(
        "--part", choices=("train", "val", "test", "all"),
        help="which part of a shipped data set (all of it where not given)",
    )  # fmt: skip
    parser.add_argument(
        "--ends", metavar="DATASET",
        help="judge by the ends of another shipped data set, where it has the same relaxation: "
        "si-defects-dense",
    )  # fmt: skip
    add_potential(parser, several=True)
    parser.add_argument("--steps", type=whole, default=20, help="K, steps of each relaxation")
    parser.add_argument("--step-size", type=positive, default=0.06, help="eta, Å²/eV")
    parser.add_argument(
        "--fmax", type=positive, default=0.005, help="rest is below this force, eV/Å"
    )
    parser.add_argument(
        "--rest-steps", type=whole, default=500, help="at most so many to get there"
    )
    parser.add_argument(
        "--from-start", action="store_true",
        help="also bring the start to rest without the K steps, as a user would",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(choices: argparse.Namespace) -> int:
    """Writes report.csv (a line a structure and potential, as they come) and report.txt.

    The exit status is 1 where a potential could not describe a structure.
    """
    from bpttviz.evaluation.evaluate import evaluate
    from bpttviz.evaluation.metrics import UNDESCRIBED
    from bpttviz.evaluation.rest import Relaxer
    from bpttviz.relaxation.rules import GradientDescent
    from bpttviz.relaxation.stopping import StoppingCriterion

    references = _references(choices)
    if not choices.potential:
        raise ValueError("evaluate needs --potential and at least one name; the first is 'before'")
    named = load_several(choices)
    for name, one in named.items():
        seen = [member for member in references.names if member in one.seen]
        if seen:
            print(
                f"{name} has learned from relaxations named {', '.join(seen)}: if these are they, "
                "their figures flatter it"
            )
    report = evaluate(
        {name: one.potential for name, one in named.items()},
        references,
        GradientDescent(choices.step_size),
        StoppingCriterion(choices.steps),
        Relaxer(choices.fmax, choices.rest_steps),
        progress=not choices.quiet,
        from_start=choices.from_start,
        out=choices.out,
    )
    text = str(report)
    write_atomic(Path(choices.out) / "report.txt", text + "\n")
    print(text)
    refused = [row for row in report.rows if row.diverged.startswith(UNDESCRIBED)]
    for row in refused:
        print(f"{row.structure} under {row.potential}: {row.diverged}", file=sys.stderr)
    return 1 if refused else 0


def _references(choices: argparse.Namespace) -> RelaxationDataset:
    """The relaxations to measure on, with the ends to judge by."""
    from bpttviz.datasets.library import load_dataset

    require_one_source(choices)
    if choices.files:
        if choices.part:
            raise ValueError("--part divides a shipped data set; it has no meaning for files")
        part = read_files(choices.files, choices, choices.groups)
    else:
        data = load_dataset(choices.dataset)
        part = data.all if choices.part in (None, "all") else getattr(data, choices.part)
        if not len(part):
            raise ValueError(f"{choices.dataset} has nothing in its part {choices.part!r}")
    if not choices.ends:
        return part
    judged = part.with_ends_of(load_dataset(choices.ends).all)
    left_out = [name for name in part.names if name not in judged.names]
    if left_out:
        print(f"not in {choices.ends}, left out: {', '.join(left_out)}")
    return judged
