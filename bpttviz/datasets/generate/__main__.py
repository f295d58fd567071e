"""Make the shipped relaxations: starts from a seed, relaxed by an ASE calculator.

    python3 -m bpttviz.datasets.generate si-defects --out DIR --index 0/4
    python3 -m bpttviz.datasets.generate crystals --out DIR --index 0/4
    python3 -m bpttviz.datasets.generate continue FILE... --out DIR
    python3 -m bpttviz.datasets.generate restart FILE... --out DIR --cutoff 350 --kpts 2

Each relaxation becomes DIR/NAME.extxyz, written whole when it is at rest, every frame with energy
(eV) and forces (eV/Å). Until then NAME.partial.extxyz holds what is known, and a second call goes
on from there. One folder holds one kind of label: other settings are refused.

It needs the Python that has GPAW (Debian's package gpaw: /usr/bin/python3), with numpy and ASE but
without torch; bpttviz need not be installed there, if PYTHONPATH names the folder that holds it.

On a cluster: a job array of n jobs with --index i/n, i from 0 (Slurm, --array=0-19:
--index $SLURM_ARRAY_TASK_ID/20), submitted again until nothing is left to do; and MPI within a job
(mpirun -np 4 python3 -m ...).

To make a shipped set grow, let DIR begin as a copy of it, unpacked (cp SET/*.xz DIR; unxz DIR/*):
what it has is left alone, and labels that would not fit (another GPAW, other settings) are refused
before the first step. Afterwards `python -m bpttviz.datasets.pack FILE... --out SET` takes in the
new files, and refuses what is not one unbroken path to rest.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from bpttviz.datasets.generate.crystals import CRYSTALS, CrystalTask
from bpttviz.datasets.generate.engines import CHGNetEngine, EMTEngine, Engine, GPAWEngine
from bpttviz.datasets.generate.production import continue_from, produce, restart_from, run
from bpttviz.datasets.generate.silicon import SILICON_DEFECTS, DefectTask

Item = TypeVar("Item")

TASKS = {"si-defects": SILICON_DEFECTS, "crystals": CRYSTALS}
FROM_FILES = {"continue": continue_from, "restart": restart_from}

HELPS = {
    "si-defects": "point defects in 64-site silicon",
    "crystals": "small crystals of one to three elements",
    "continue": "take relaxations with the same settings on to 0.01 eV/Å, appending their frames",
    "restart": "relax again from the ends of finished relaxations, with settings of their own",
}


def take_slice(items: Sequence[Item], index: str) -> list[Item]:
    """The items of slice i of n, given as "i/n" with i from 0: every item is in exactly one.

    Raises:
        ValueError: no such slice.
    """
    try:
        i, n = (int(piece) for piece in index.split("/"))
    except ValueError:
        raise ValueError(f"--index is i/n, as in 0/4, not {index!r}") from None
    if not 0 <= i < n:
        raise ValueError(f"--index i/n needs 0 <= i < n, not {index!r}")
    return list(items)[i::n]


def main(arguments: list[str] | None = None) -> int:
    """The command line.

    Args:
        arguments: those of the process where None.

    Returns:
        The number of relaxations that failed.

    Raises:
        SystemExit: status 2 for arguments that make no sense, a missing engine, or labels of
            another kind.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (ImportError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def _run(options: argparse.Namespace) -> int:
    from_file = FROM_FILES.get(options.command)
    work = options.files if from_file else TASKS[options.command]
    work = take_slice(work, options.index)[: options.limit]
    if options.list:
        for item in work:
            print(item if from_file else item.name)
        return 0
    engine, out, steps = _engine(options), options.out, options.max_steps
    out.mkdir(parents=True, exist_ok=True)
    if from_file:
        return run([partial(from_file, file, engine, out, steps) for file in work])
    return run([partial(_produce, task, engine, out, steps) for task in work])


def _produce(task: DefectTask | CrystalTask, engine: Engine, out: Path, max_steps: int) -> None:
    produce(
        task.name,
        task.start,
        task.info,
        engine,
        out,
        max_steps=max_steps,
        initial_hessian=task.initial_hessian,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m bpttviz.datasets.generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in HELPS.items():
        options = commands.add_parser(command, help=text, description=text)
        if command in FROM_FILES:
            options.add_argument("files", nargs="+", type=Path, help="extended XYZ, or that in .xz")
        _add_what_to_do(options)
        _add_labels(options, command)
    return parser


def _add_what_to_do(options: argparse.ArgumentParser) -> None:
    add = options.add_argument
    add("--out", type=Path, required=True, help="folder; what it has is resumed")
    add("--index", default="0/1", help="slice i of n, i from 0: i/n")
    add("--limit", type=_count, help="only the first N of the slice")
    add(
        "--max-steps",
        type=_count,
        default=200,
        help="of one relaxation, steps known included (default: %(default)s)",
    )
    add("--list", action="store_true", help="name the tasks and stop")


def _add_labels(options: argparse.ArgumentParser, command: str) -> None:
    """Engine, cutoff and k-points; a restart has no defaults, as it is made to try others."""
    chosen, crystals = command == "restart", command == "crystals"
    options.add_argument(
        "--engine",
        choices=("gpaw", "emt", "chgnet"),
        default="gpaw",
        help="default: %(default)s; the others are quick checks",
    )
    options.add_argument(
        "--cutoff",
        type=_positive,
        default=None if chosen else 400.0 if crystals else 250.0,
        help="GPAW only, eV" + ("" if chosen else " (default: %(default)g)"),
    )
    points = options.add_mutually_exclusive_group()
    usual = "" if chosen or crystals else " (default: 1)"
    points.add_argument(
        "--kpts", type=_mesh, metavar="N", help=f"GPAW only: N × N × N k-points{usual}"
    )
    usual = " (default: 3)" if crystals else ""
    points.add_argument(
        "--kpts-density", type=_positive, help=f"GPAW only: k-points per 1/Å{usual}"
    )
    options.set_defaults(default_kpts=None if chosen else 3.0 if crystals else (1, 1, 1))


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _mesh(text: str) -> tuple[int, int, int]:
    n = _count(text)
    if n == 0:
        raise argparse.ArgumentTypeError("a mesh has one k-point or more")
    return n, n, n


# argparse says "invalid ... value" with these names when the text is no number at all
_count.__name__, _positive.__name__, _mesh.__name__ = "whole number", "number", "whole number"


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "gpaw":
        kpts = options.kpts or options.kpts_density or options.default_kpts
        if options.cutoff is None or kpts is None:
            raise ValueError(
                "restart needs the settings it is for: --cutoff, and --kpts or --kpts-density"
            )
        return GPAWEngine(options.cutoff, kpts)
    return EMTEngine() if options.engine == "emt" else CHGNetEngine()


if __name__ == "__main__":
    raise SystemExit(min(main(), 125))
