"""How fast it is, beside others, and how that grows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bpttviz._files import require_unused, write_atomic
from bpttviz.cli.options import changed, positive, whole

if TYPE_CHECKING:
    from bpttviz.experiments.speed_work import Work

HELP = "time relaxations and gradients beside other programs, and their growth with size"
OUT_OPTIONAL = True  # without it what is committed is shown

EXAMPLES = """\
  bpttviz speed                                         what is committed, in a second
  bpttviz speed --rows rest --threads 1 --out speed     32 silicon defects to rest (half an hour)
  bpttviz speed --rows steps --mace small.model --out speed    a MACE beside torch-sim, if installed
  bpttviz speed --rows gpu growth --device cuda --repeats 3 --out speed-gpu    under ten minutes

Rows: rest, steps, gradient, ranks, gpu, growth; all that this machine can do by default. Ratios are
within one run on one machine: a folder that was begun on another is refused."""

ROWS = ("rest", "steps", "gradient", "ranks", "gpu", "growth")

OF = {"--structures": "rest", "--fmax": "rest", "--steps": "steps", "--mace": "steps"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--rows", nargs="+", choices=ROWS, help="measure just these (with --out); all by default"
    )
    parser.add_argument("--repeats", type=whole, default=3, help="of each timing, in turn")
    parser.add_argument("--structures", type=whole, default=32, help="brought to rest")
    parser.add_argument("--steps", type=whole, default=100, help="of FIRE, for steps")
    parser.add_argument("--fmax", type=positive, default=0.05, help="eV/Å, of these")
    parser.add_argument("--mace", metavar="FILE", help="MACE checkpoint that you trust, for steps")


def run(choices: argparse.Namespace) -> int:
    """Writes speed.json, paired.json, growth.json, growth.png and provenance.json."""
    from bpttviz.experiments import cost
    from bpttviz.experiments.growth import measure_growth
    from bpttviz.experiments.speed import measure_speed
    from bpttviz.experiments.speed_record import GROWTH, SpeedRecord, write_origin
    from bpttviz.plotting.gradients import plot_growth

    if choices.out is None:
        if how := changed(configure, choices):
            raise ValueError(f"{', '.join(how)}: what is measured needs a folder: give --out")
        print(SpeedRecord.read())
        return 0
    choices.rows = list(ROWS) if choices.rows is None else choices.rows
    for option in changed(configure, choices):
        if OF.get(option, choices.rows[0]) not in choices.rows:
            raise ValueError(f"{option} is of the row {OF[option]!r}, which is not measured here")
    out = Path(choices.out)
    _require_timings(out)
    out.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def noted(what: str, file: Path) -> Iterator[None]:
        """Where ``what`` comes from, if it was measured now: what was there keeps its note."""
        before = file.read_bytes() if file.exists() else None
        yield
        if file.read_bytes() != before:
            write_origin(out, what, _command(choices), choices.device)

    for work in _works(choices):
        if work.missing() is not None:
            measure_speed([work], out / "speed.json", choices.repeats)  # says why
            continue
        with noted(work.name, out / "speed.json"):
            measure_speed([work], out / "speed.json", choices.repeats)
    if "gradient" in choices.rows:
        with noted("gradient", out / cost.PAIRED_FILE):
            cost.measure_paired(out, 20, choices.repeats, choices.device)
    if "growth" in choices.rows:
        with noted("growth", out / GROWTH):
            figure = plot_growth(measure_growth(out / GROWTH, device=choices.device))
        write_atomic(out / "growth.png", lambda path: figure.savefig(path, dpi=150, format="png"))
    record = str(SpeedRecord.read(out))
    write_atomic(out / "speed.txt", record + "\n")
    print(record)
    return 0


def _require_timings(out: Path) -> None:
    """Refuse a folder in which somebody's files would be written over. Raises ValueError."""
    from bpttviz.experiments.cost import PAIRED_FILE
    from bpttviz.experiments.speed_record import GROWTH, ORIGINS, SpeedRecord

    if any((out / name).exists() for name in ("speed.json", PAIRED_FILE, GROWTH)):
        SpeedRecord.read(out)  # refuses what only has their names
    else:
        require_unused(out, ("speed.txt", "growth.png", ORIGINS))


def _command(choices: argparse.Namespace) -> str:
    """What measures it again."""
    words = ["bpttviz speed --rows", *choices.rows, f"--device {choices.device}"]
    if choices.threads is not None:
        words.append(f"--threads {choices.threads}")
    words.append(f"--repeats {choices.repeats}")
    if "rest" in choices.rows:
        words.append(f"--structures {choices.structures} --fmax {choices.fmax:g}")
    if "steps" in choices.rows:
        words.append(f"--steps {choices.steps}")
        words += [] if choices.mace is None else [f"--mace {choices.mace}"]
    return " ".join(words)


def _works(choices: argparse.Namespace) -> list[Work]:
    """The rows that are timed beside another program."""
    from bpttviz.experiments.speed_work import FixedSteps, OnDevice, Ranks, ToRest

    file = None if choices.mace is None else Path(choices.mace)
    if file is not None and not file.is_file():
        raise ValueError(f"--mace {file}: there is no such file")
    known: dict[str, Work] = {
        "rest": ToRest(choices.structures, choices.fmax),
        "steps": FixedSteps(steps=choices.steps, file=file, device=choices.device),
        "ranks": Ranks(),
        "gpu": OnDevice(choices.device if choices.device != "cpu" else "cuda"),
    }
    return [known[name] for name in choices.rows if name in known]
