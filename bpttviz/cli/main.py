"""Fine-tune interatomic potentials through whole relaxations, and measure what that did."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bpttviz import __version__
from bpttviz.cli import (
    ablation,
    answers,
    assign,
    basins,
    benchmark,
    cost,
    cross_validate,
    evaluate,
    finetune,
    grade,
    gradient,
    relax,
    reproduce,
    solutions,
    speed,
    submit,
    trial,
)
from bpttviz.cli.errors import sentence
from bpttviz.cli.options import NAMES, folder, threads

COMMANDS = {
    "relax": relax,
    "finetune": finetune,
    "evaluate": evaluate,
    "benchmark": benchmark,
    "reproduce": reproduce,
    "cross-validate": cross_validate,
    "trial": trial,
    "ablation": ablation,
    "cost": cost,
    "speed": speed,
    "submit": submit,
    "gradient": gradient,
    "basins": basins,
    "answers": answers,
    "solutions": solutions,
    "assign": assign,
    "grade": grade,
}
RESUMED = "folder for results; resumed if it has any"
OUT = {  # what else --out is
    "ablation": "folder of trials with --variant, read; ablation.txt is written there",
    "answers": "folder for table, text and pictures; those of an earlier call are replaced",
    "assign": "folder for the assignments, a folder each; those made there before are replaced",
    "grade": "folder for grades and feedback; what is graded there and unchanged is kept",
    "solutions": "folder for the copies; one that is there and differs is refused",
    "submit": "folder for jobs.txt and what jobs print; jobs resume in folders of their own",
}
WITHOUT_DEVICE = ("ablation", "answers", "assign", "grade", "solutions", "submit")
INTERRUPTED = 130  # what shells say of a program that Ctrl-C has ended


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults shown where there are any, examples left as they are."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False) or action.required:
            return action.help
        return super()._get_help_string(action)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run what it asks for; returns the exit status.

    0: all is done. 1: something is wrong that a sentence on stderr names, or not all structures
    came through (the tables say which). 2: the command line itself makes no sense (argparse).
    130: stopped by Ctrl-C. ``--traceback`` shows where an error happened.
    """
    choices = _parser().parse_args(arguments)
    try:
        with _short_warnings():
            _prepare(choices)
            return COMMANDS[choices.command].run(choices)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `bpttviz ... | head` has seen enough
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if choices.traceback:
            raise
        print(f"bpttviz {choices.command}: {sentence(error)}", file=sys.stderr)
        return 1


def _prepare(choices: argparse.Namespace) -> None:
    """What all commands need: a place for results, a device, threads.

    Raises:
        ValueError: there is none such.
    """
    out = None if choices.out is None else Path(choices.out)
    for place in () if out is None else (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise ValueError(f"--out {out}: {place} is a file, not a folder")
        if place.is_symlink() and not place.exists():
            raise ValueError(f"--out {out}: {place} is a link that leads nowhere")

    import torch  # after parsing, so that --help is instant

    _require_one_process(choices)
    if "device" in choices:
        from bpttviz._tensor_checks import device_of_rank

        choices.device = str(device_of_rank(choices.device))  # under torchrun, of this process
    if choices.threads:
        torch.set_num_threads(choices.threads)


def _require_one_process(choices: argparse.Namespace) -> None:
    """Refuse several processes where a command is for one.

    Raises:
        ValueError: torchrun has started such a command.
    """
    from bpttviz._tensor_checks import started_by_torchrun

    if started_by_torchrun() and not hasattr(COMMANDS[choices.command], "TORCHRUN"):
        raise ValueError(
            "this command runs in one process, and torchrun has started several, which would all "
            "do the same; call it without torchrun"
        )


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Warnings in one line each, without the place in the code that they come from."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    warnings.filterwarnings("ignore", category=UserWarning, module="pymatgen")
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bpttviz", description=__doc__)
    parser.add_argument("--version", action="version", version=f"bpttviz {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        examples = getattr(command, "EXAMPLES", "")
        made = commands.add_parser(
            name,
            help=command.HELP,
            description=f"{command.HELP[0].upper()}{command.HELP[1:]}.",
            epilog=f"potentials:\n{NAMES}\n\nexamples:\n{examples}" if examples else None,
            formatter_class=_Formatter,
        )
        made.add_argument(
            "--out",
            required=not getattr(command, "OUT_OPTIONAL", False),
            type=folder,
            metavar="FOLDER",
            help=OUT.get(name, RESUMED),
        )
        if name not in WITHOUT_DEVICE:
            made.add_argument("--device", default="cpu", help="cpu or cuda")
        made.add_argument(
            "--threads", type=threads, help="CPU threads; torch's choice if not given"
        )
        made.add_argument("--traceback", action="store_true", help="show where an error happened")
        command.configure(made)
    return parser
