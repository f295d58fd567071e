"""Measure potentials on reference relaxations."""

from __future__ import annotations

import argparse
from pathlib import Path

from bpttviz.cli.options import add_potential, add_relaxations, read_files, require_one_source

HELP = "compare where potentials' relaxations end, and their forces, with references"

EXAMPLES = """\
  python -m bpttviz evaluate held-out/*/OUTCAR --potential chgnet runs/mine --out measured
  python -m bpttviz evaluate --dataset si-defects --part val --potential chgnet --out measured"""


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
    parser.add_argument("--steps", type=int, default=20, help="K, steps of each relaxation")
    parser.add_argument("--step-size", type=float, default=0.06, help="eta, Å²/eV")
    parser.add_argument("--fmax", type=float, default=0.005, help="rest is below this force, eV/Å")
    parser.add_argument("--rest-steps", type=int, default=500, help="at most so many to get there")
    parser.add_argument(
        "--from-start", action="store_true",
        help="also bring the start to rest without the K steps, as a user would",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(choices: argparse.Namespace) -> int:
    """Writes report.csv (a line a structure and potential, as they come) and report.txt."""
    from tqdm.auto import tqdm

    from bpttviz._files import lock_settings, write
    from bpttviz.evaluation.evaluate import evaluate
    from bpttviz.evaluation.report import Report
    from bpttviz.evaluation.rest import Relaxer
    from bpttviz.experiments.registry import load_potential
    from bpttviz.provenance import fingerprint
    from bpttviz.relaxation.rules import GradientDescent
    from bpttviz.relaxation.stopping import StoppingCriterion

    references = _references(choices)
    if not choices.potential:
        raise ValueError("evaluate needs --potential and at least one name; the first is 'before'")
    if len(set(choices.potential)) < len(choices.potential):
        raise ValueError("a potential is listed twice")
    named = {
        name: load_potential(name, choices.device, choices.trust) for name in choices.potential
    }
    for name, one in named.items():
        seen = [member for member in references.names if member in one.seen]
        if seen:
            print(
                f"{name} has learned from relaxations named {', '.join(seen)}: if these are they, "
                "their figures flatter it"
            )
    potentials = {name: one.potential for name, one in named.items()}
    rule, stop = GradientDescent(choices.step_size), StoppingCriterion(choices.steps)
    rest = Relaxer(choices.fmax, choices.rest_steps)
    out = Path(choices.out)
    lock_settings(
        out,
        {
            # a list, because the first is "before"
            "potentials": [[name, fingerprint(p)] for name, p in potentials.items()],
            "references": references.fingerprint(),
            "rule": repr(rule),
            "stop": repr(stop),
            "rest": [rest.fmax, rest.steps],
            "from_start": choices.from_start,
        },
    )
    table = out / "report.csv"
    rows = list(Report.from_csv(table).rows) if table.exists() else []
    done = {row.structure for row in rows}
    for reference in tqdm(references, desc="evaluate", disable=choices.quiet):
        if reference.name in done:
            continue
        report = evaluate(
            potentials,
            references[[reference.name]],
            rule,
            stop,
            rest,
            progress=False,
            from_start=choices.from_start,
        )
        rows += report.rows
        write(table, Report(rows).to_csv())
    text = str(Report(rows))
    write(out / "report.txt", text + "\n")
    print(text)
    return 0


def _references(choices: argparse.Namespace):
    """The relaxations to measure on, with the ends to judge by."""
    from bpttviz.datasets.library import load_dataset

    require_one_source(choices)
    if choices.files:
        if choices.part:
            raise ValueError("--part divides a shipped data set; it has no meaning for files")
        part = read_files(choices.files, choices.pairs)
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
