"""How fast it is, beside others, and how that grows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bpttviz._files import write_atomic
from bpttviz.cli.options import positive, whole

if TYPE_CHECKING:
    from bpttviz.experiments.speed_work import Work

HELP = "time relaxations and gradients beside other programs, and their growth with size"

EXAMPLES = """\
  bpttviz speed --rows rest --threads 1 --out speed     32 silicon defects to rest (half an hour)
  bpttviz speed --rows steps --mace small.model --out speed    a MACE beside torch-sim, if installed
  bpttviz speed --rows gpu growth --device cuda --repeats 3 --out speed-gpu    under ten minutes

Rows: rest, steps, gradient, ranks, gpu, growth; all that this machine can do by default. Ratios are
within one run on one machine: a folder that was begun on another is refused."""

ROWS = ("rest", "steps", "gradient", "ranks", "gpu", "growth")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="do just these")
    parser.add_argument("--repeats", type=whole, default=3, help="of each timing, in turn")
    parser.add_argument("--structures", type=whole, default=32, help="brought to rest")
    parser.add_argument("--fmax", type=positive, default=0.05, help="eV/Å, of these")
    parser.add_argument("--mace", metavar="FILE", help="MACE checkpoint that you trust, for steps")


def run(choices: argparse.Namespace) -> int:
    """Writes speed.json and speed.txt, gradient.txt, growth.json and growth.png."""
    from bpttviz.experiments import cost
    from bpttviz.experiments.growth import measure_growth
    from bpttviz.experiments.speed import measure_speed, speed_table
    from bpttviz.plotting.gradients import plot_growth

    out = Path(choices.out)
    out.mkdir(parents=True, exist_ok=True)
    if works := _works(choices):
        text = speed_table(measure_speed(works, out / "speed.json", choices.repeats))
        write_atomic(out / "speed.txt", text + "\n")
        print(text)
    if "gradient" in choices.rows:
        paired = cost.measure_paired(out, 20, choices.repeats, choices.device)
        text = cost.format_paired(paired)
        write_atomic(out / "gradient.txt", text + "\n")
        print(text)
    if "growth" in choices.rows:
        figure = plot_growth(measure_growth(out / "growth.json", device=choices.device))
        write_atomic(out / "growth.png", lambda path: figure.savefig(path, dpi=150, format="png"))
        print(figure.alt_text)
    return 0


def _works(choices: argparse.Namespace) -> list[Work]:
    """The rows that are timed beside another program."""
    from bpttviz.experiments.speed_work import FixedSteps, OnDevice, Ranks, ToRest

    file = None if choices.mace is None else Path(choices.mace)
    if file is not None and not file.is_file():
        raise ValueError(f"--mace {file}: there is no such file")
    known: dict[str, Work] = {
        "rest": ToRest(choices.structures, choices.fmax),
        "steps": FixedSteps(file=file, device=choices.device),
        "ranks": Ranks(),
        "gpu": OnDevice(choices.device if choices.device != "cpu" else "cuda"),
    }
    return [known[name] for name in choices.rows if name in known]
