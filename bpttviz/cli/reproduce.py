"""The paper's claims, one by one, with a verdict; and how their rows are computed."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bpttviz.cli.options import add_potential, add_recipe, changed, label, load_several, told, whole

if TYPE_CHECKING:
    from bpttviz.experiments.claims.study import Setting
    from bpttviz.experiments.registry import PotentialEntry

HELP = "every claim of the paper with a verdict, from committed rows; or compute rows anew"
OUT_OPTIONAL = True

EXAMPLES = """\
  bpttviz reproduce                                  the table, in seconds
  bpttviz reproduce --claim 1 --rows                 what it is made from
  bpttviz reproduce --out table                      as Markdown and JSON
  bpttviz reproduce --claim 5 --run --potential painn --out rows    all of its rows anew
  bpttviz reproduce --claim 6 --run path bulk --tuned si-defects/chgnet-test \\
      --potential chgnet --out rows
  bpttviz submit --each run --workers 4 --out jobs -- reproduce --claim 5 --potential chgnet \\
      --run 2 4 8 16 32 42 --out rows

Rows are computed with the data's own training and test part, without any choice. What a folder
holds is not computed again, and counts in its table in place of the committed row."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--claim", type=whole, nargs="+", help="just these; all by default")
    parser.add_argument("--rows", action="store_true", help="print every row of evidence too")
    parser.add_argument(
        "--run", nargs="*", metavar="ROW", help="compute these rows of one claim, all without names"
    )
    add_potential(parser, several=True)
    parser.add_argument("--dataset", default="si-defects", help="si-defects or crystals")
    parser.add_argument(
        "--tuned", metavar="RUN", help="for claim 6: a run of finetune, instead of training one"
    )
    add_recipe(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(choices: argparse.Namespace) -> int:
    """Writes rows/*.jsonl with --run; claims.md and claims.json with --out."""
    from bpttviz.experiments.claims.paper import CLAIMS, claim
    from bpttviz.experiments.claims.table import ClaimsTable

    numbers = [claim(number).number for number in choices.claim or ()]
    if choices.out is not None:
        _require_table(Path(choices.out))
    if choices.run is not None:
        _compute(choices, numbers)
    elif of_rows := [o for o in changed(configure, choices) if o not in ("--claim", "--rows")]:
        raise ValueError(
            f"{', '.join(of_rows)}: how rows are computed, and without --run none is; what is "
            "committed was computed as its rows say"
        )
    table = ClaimsTable.read(None if choices.out is None else Path(choices.out))
    shown = table.subset(numbers or [one.number for one in CLAIMS])
    print(shown.to_text(rows=choices.rows))
    if choices.out is not None:
        shown.write(Path(choices.out))
    return 0


def _require_table(out: Path) -> None:
    """Refuse a folder in which somebody's claims.md and claims.json would be written over.

    Raises:
        ValueError: names the file.
    """
    from bpttviz._files import read_json, require_unused
    from bpttviz.experiments.claims.table import JSON, MARKDOWN

    with suppress(ValueError, OSError, KeyError, TypeError):
        if all(one["claim"] and one["verdict"] for one in read_json(out / JSON)):
            return
    require_unused(out, (MARKDOWN, JSON))


def _compute(choices: argparse.Namespace, numbers: list[int]) -> None:
    """Rows of one claim, each printed as it comes."""
    from bpttviz.experiments.claims.studies import STUDIES

    if len(numbers) != 1:
        raise ValueError("--run computes rows of one claim: say which with --claim")
    if choices.out is None:
        raise ValueError("--run needs --out FOLDER, where rows and trainings are kept")
    if choices.tuned is not None and numbers != [6]:
        raise ValueError("--tuned is for claim 6: what the others say is of trainings of their own")
    study = STUDIES[numbers[0]]
    choices.potential = choices.potential or ["painn"]
    for name, entry in load_several(choices).items():
        setting = _setting(name, entry, choices)
        for which in choices.run or study.runs(setting):
            study.compute(setting, which, lambda row: print(row, file=sys.stderr, flush=True))


def _setting(name: str, entry: PotentialEntry, choices: argparse.Namespace) -> Setting:
    """Potential, data and recipe that were chosen."""
    from bpttviz.datasets.library import load_dataset
    from bpttviz.experiments.claims.study import setting_of
    from bpttviz.experiments.protocol import PaperRecipe
    from bpttviz.experiments.registry import load_potential

    recipe = PaperRecipe(
        step_size=choices.step_size, steps=choices.steps, epochs=choices.epochs,
        learning_rate=choices.learning_rate, seed=choices.seed,
    )  # fmt: skip
    usual = PaperRecipe()
    options = {
        "--epochs": (choices.epochs, usual.epochs),
        "--steps": (choices.steps, usual.steps),
        "--step-size": (choices.step_size, usual.step_size),
        "--learning-rate": (choices.learning_rate, usual.learning_rate),
        "--seed": (choices.seed, usual.seed),
        "--tuned": (choices.tuned, None),
    }
    differing = "".join(f" {option} {x}" for option, (x, usual) in options.items() if x != usual)
    tuned = None if choices.tuned is None else load_potential(choices.tuned, choices.device)
    seen = [*entry.seen, *([] if tuned is None else tuned.seen)]
    return setting_of(
        label(name, choices), entry.potential, load_dataset(choices.dataset), choices.dataset,
        Path(choices.out), seen=seen, recipe=recipe, progress=not choices.quiet,
        tuned=None if tuned is None else tuned.potential, tuned_name=choices.tuned or "",
        command=f"bpttviz reproduce {told(name, choices)} --dataset {choices.dataset}{differing}",
    )  # fmt: skip
