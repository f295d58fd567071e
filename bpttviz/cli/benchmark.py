"""Methods of fine-tuning side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from bpttviz.cli.options import (
    add_potential,
    add_recipe,
    changed,
    load_several,
    require_ours,
    whole,
)

HELP = "pretrained, force-matched and fine-tuned through relaxations, for the same budget"

EXAMPLES = """\
  bpttviz benchmark --potential chgnet painn --out table           train and measure
  bpttviz benchmark --potential chgnet --methods BPTT --out table  share the work
  bpttviz benchmark --out table                                    just make the table

With --folds, --only shares the work too; a table needs the method "pretrained". A method's weights
are in the last of the runs that POTENTIAL/PART-METHOD.json names as "chosen", in the folder of the
potential: for `evaluate --potential` and `load_run`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_potential(parser, several=True)
    parser.add_argument("--dataset", default="si-defects", help="si-defects or crystals")
    parser.add_argument(
        "--folds", type=whole,
        help="cross-validate with so many folds; by default 4 where the data has no test part",
    )  # fmt: skip
    parser.add_argument("--only", type=int, nargs="+", help="do just these folds (from 0)")
    parser.add_argument(
        "--methods", nargs="+", metavar="METHOD",
        help='do just these: pretrained, scalar, force-matched, BPTT, "forces, then BPTT", '
        '"BPTT from both ends", "both ends, not through time", "near the end alone", '
        '"no forces at the end"',
    )  # fmt: skip
    add_recipe(parser, learning_rates=True)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(choices: argparse.Namespace) -> int:
    """Writes a folder a potential, table.txt and table.csv."""
    from bpttviz.datasets.library import load_dataset
    from bpttviz.experiments.benchmark import METHODS, SCALES, benchmark
    from bpttviz.experiments.benchmark_report import ACCOUNT, TABLE, summarise
    from bpttviz.experiments.protocol import PaperRecipe, as_file_name

    if not choices.potential and (how := changed(configure, choices)):
        raise ValueError(f"{', '.join(how)}: how is trained and measured, which needs --potential")
    out = Path(choices.out)
    require_ours(out, (ACCOUNT, TABLE), "*/settings.json")
    data = load_dataset(choices.dataset)
    for name, named in load_several(choices).items():
        benchmark(
            named.potential,
            data,
            out / as_file_name(name),
            PaperRecipe(
                step_size=choices.step_size,
                steps=choices.steps,
                epochs=choices.epochs,
                learning_rate=choices.learning_rate[0],
                seed=choices.seed,
                scales=SCALES,
            ),
            folds=choices.folds,
            seen=named.seen,
            learning_rates=choices.learning_rate,
            methods=choices.methods or METHODS,
            only=choices.only,
            about={"name": name, "external": named.external, "caveat": named.caveat},
            progress=not choices.quiet,
        )
    print(summarise(out))
    return 0
