"""What gradients cost."""

from __future__ import annotations

import argparse
from pathlib import Path

from bpttviz._files import write_atomic
from bpttviz.cli.options import whole

HELP = "memory and time of one gradient against K, for every adjoint"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--steps", type=whole, nargs="+", default=[5, 10, 20, 40, 80], help="the K")
    parser.add_argument(
        "--repeats", type=whole, default=5, help="of the comparison with force losses"
    )


def run(choices: argparse.Namespace) -> int:
    """Writes cost.txt and cost.png, and the measurements they are from."""
    from bpttviz._files import FolderLock, lock_settings
    from bpttviz.experiments import cost
    from bpttviz.plotting.gradients import plot_costs

    out = Path(choices.out)
    with FolderLock(out):
        # How each measurement was made stands beside it; here, that the folder is ours.
        files = (cost.FILE, cost.PAIRED_FILE, "cost.txt", "cost.png")
        lock_settings(out, {"command": "cost"}, files)
        costs = cost.measure_costs(out, choices.steps, device=choices.device)
        paired = cost.measure_paired(out, repeats=choices.repeats, device=choices.device)
        text = cost.format_costs(costs, paired)
        write_atomic(out / "cost.txt", text + "\n")
        figure = plot_costs(costs)
        write_atomic(out / "cost.png", lambda path: figure.savefig(path, dpi=150, format="png"))
    print(text)
    return 0
