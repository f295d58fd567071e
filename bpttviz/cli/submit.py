"""Many command lines as independent jobs, on this machine or a cluster."""

from __future__ import annotations

import argparse
import importlib
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bpttviz._files import write_atomic
from bpttviz.cli.options import positive, require_ours, whole

if TYPE_CHECKING:
    from bpttviz.experiments.jobs import Cluster

HELP = "run a bpttviz command for each value of its options, as jobs here or under SLURM"

EXAMPLES = """\
  bpttviz submit --each parts --each seeds --out jobs -- trial --potential chgnet \\
      --parts fold-0 fold-1 fold-2 fold-3 fold-4 --seeds 0 1 2 --out trial
  bpttviz submit --each learning-rate --cluster slurm --hours 8 --gpus 1 --out jobs -- \\
      finetune train/*/OUTCAR --potential chgnet --device cuda \\
      --learning-rate 1e-3 3e-4 --out runs/{learning-rate}

After -- stands a command with every value of the options named by --each; a job gets one of each.
{learning-rate} and the like stand for a job's value, as in its folder. Needs
pip install 'bpttviz[cluster]' (submitit). A job that its cluster takes away is sent again, and goes
on where it was; so does a job that is submitted again."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--each", action="append", required=True, metavar="OPTION",
        help="an option of the command, without dashes; a job for each of its values",
    )  # fmt: skip
    parser.add_argument("--cluster", choices=("local", "slurm"), default="local", help="where")
    parser.add_argument("--workers", type=whole, default=1, help="jobs at the same time")
    parser.add_argument("--hours", type=positive, default=24.0, help="at most, of a job")
    parser.add_argument("--cpus", type=whole, default=1, help="of a job")
    parser.add_argument("--gpus", type=int, default=0, help="of a job")
    parser.add_argument("--partition", help="of SLURM")
    parser.add_argument("line", nargs="+", metavar="COMMAND", help="after --: a bpttviz command")


def run(choices: argparse.Namespace) -> int:
    """Writes jobs.txt: each job's number, command line, state and log."""
    from bpttviz.experiments.jobs import run_jobs

    command, *rest = choices.line
    # By name, as the program knows this command, too.
    commands = importlib.import_module("bpttviz.cli.main").COMMANDS
    if command not in commands or command == "submit":
        known = ", ".join(name for name in commands if name != "submit")
        raise ValueError(f"after -- there must be a bpttviz command ({known}), got {command!r}")
    lines = [[command, *line] for line in expanded(rest, choices.each)]
    out = Path(choices.out)
    require_ours(out, ("jobs.txt",), "logs")
    jobs = run_jobs(lines, out / "logs", cluster(choices))
    table = "\n".join(
        f"{job.number}  {job.state:9}  {job.log}  {shlex.join(job.line)}" for job in jobs
    )
    write_atomic(out / "jobs.txt", table + "\n")
    print(table)
    return int(any(job.state == "failed" for job in jobs))


def cluster(choices: argparse.Namespace) -> Cluster:
    """Where jobs run, and what one of them gets."""
    from bpttviz.experiments.jobs import Cluster

    if choices.gpus < 0:
        raise ValueError(f"--gpus must be 0 or more, got {choices.gpus}")
    return Cluster(
        choices.cluster, choices.workers, choices.hours, choices.cpus, choices.gpus,
        choices.partition,
    )  # fmt: skip


def expanded(line: Sequence[str], each: Sequence[str]) -> list[list[str]]:
    """A command line for each combination of the values that some of its options have.

    Args:
        line: arguments, options with all their values.
        each: names of options, without dashes.

    Raises:
        ValueError: one is not there, or has no value; or two jobs would be the same.
    """
    values = {name: _values(line, name) for name in each}
    found = []
    for chosen in itertools.product(*values.values()):
        mine = dict(zip(values, chosen, strict=True))
        made = _without(line, each)
        for name, value in mine.items():
            made = [word.replace(f"{{{name}}}", value) for word in made] + [f"--{name}", value]
        found.append(made)
    if len({tuple(made) for made in found}) < len(found):
        raise ValueError(f"a value of {' or '.join(f'--{name}' for name in each)} is there twice")
    return found


def _values(line: Sequence[str], name: str) -> list[str]:
    option = f"--{name}"
    if line.count(option) != 1:
        raise ValueError(f"--each {name}: {option} must stand once in the command, with its values")
    after = line[line.index(option) + 1 :]
    values = list(itertools.takewhile(lambda word: not word.startswith("--"), after))
    if not values:
        raise ValueError(f"--each {name}: {option} has no value in the command")
    return values


def _without(line: Sequence[str], each: Sequence[str]) -> list[str]:
    """The line without these options and their values."""
    kept, skipping = [], False
    for word in line:
        if word.startswith("--"):
            skipping = word.removeprefix("--") in each
        if not skipping:
            kept.append(word)
    return kept
