"""Fine-tune interatomic potentials through whole relaxations, and measure what that did."""

from __future__ import annotations

import argparse
import sys
import warnings

from bpttviz.cli import basins, benchmark, cost, evaluate, finetune, relax, reproduce
from bpttviz.cli.options import NAMES

COMMANDS = {
    "relax": relax,
    "finetune": finetune,
    "evaluate": evaluate,
    "benchmark": benchmark,
    "reproduce": reproduce,
    "cost": cost,
    "basins": basins,
}


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults shown where there are any, examples left as they are."""

    def _get_help_string(self, action):
        if action.default in (None, False) or action.required:
            return action.help
        return super()._get_help_string(action)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run what it asks for; returns the exit status.

    What a user can put right is told in a sentence; ``--traceback`` shows where it happened.
    """
    choices = _parser().parse_args(arguments)

    import torch  # after parsing, so that --help is instant

    from bpttviz.training.runs import RunError

    if choices.threads:
        torch.set_num_threads(choices.threads)
    warnings.filterwarnings("ignore", category=UserWarning, module="pymatgen")
    try:
        return COMMANDS[choices.command].run(choices)
    except (ValueError, ImportError, RunError) as error:
        if choices.traceback:
            raise
        print(f"bpttviz {choices.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bpttviz", description=__doc__)
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
            required=True,
            metavar="FOLDER",
            help="folder for results; resumed if it has any",
        )
        made.add_argument("--device", default="cpu", help="cpu or cuda")
        made.add_argument("--threads", type=int, help="CPU threads; torch's choice if not given")
        made.add_argument("--traceback", action="store_true", help="show where an error happened")
        command.configure(made)
    return parser
