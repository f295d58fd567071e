"""What gradients cost."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "memory and time of one gradient against K, for every adjoint"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 20, 40, 80], help="the K")
    parser.add_argument(
        "--repeats", type=int, default=5, help="of the comparison with force losses"
    )


def run(choices: argparse.Namespace) -> int:
    """Writes cost.txt and cost.png, and the measurements they are from."""
    from bpttviz.experiments import cost
    from bpttviz.plotting.gradients import plot_costs

    out = Path(choices.out)
    costs = cost.measure_costs(out, choices.steps, device=choices.device)
    paired = cost.measure_paired(out, repeats=choices.repeats, device=choices.device)
    text = cost.format_costs(costs, paired)
    (out / "cost.txt").write_text(text + "\n", encoding="utf-8")
    plot_costs(costs).savefig(out / "cost.png", dpi=150)
    print(text)
    return 0
