"""Which gradient leads to the right minimum."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from bpttviz._files import write_atomic
from bpttviz.cli.options import whole

HELP = "how often each gradient leads to the right one of two minima"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--seeds", type=whole, default=5, help="how many")
    parser.add_argument(
        "--problem", choices=("landscape", "silicon"), default="landscape",
        help="two valleys in a plane (minutes), or interstitials in silicon with CHGNet (an hour)",
    )  # fmt: skip


def run(choices: argparse.Namespace) -> int:
    """Writes basins.jsonl and basins.txt."""
    from bpttviz._files import FolderLock, lock_settings
    from bpttviz.datasets.library import load_dataset
    from bpttviz.evaluation.rest import Relaxer
    from bpttviz.experiments import basins
    from bpttviz.potentials.pretrained.chgnet import CHGNet

    out = Path(choices.out)
    problem_of: Callable[[int], basins.Problem] = basins.two_valleys
    rest = Relaxer(fmax=1e-3)
    if choices.problem == "silicon":
        data = load_dataset("si-defects").all
        potential = CHGNet(device=choices.device)
        rest = Relaxer()

        def interstitials(seed: int) -> basins.Problem:
            """The problem with starts that this seed disturbs."""
            return basins.interstitials(data, seed, potential)

        problem_of = interstitials

    with FolderLock(out):
        # How each count was made stands beside it; here, that the folder is ours.
        lock_settings(out, {"command": "basins"}, ("basins.jsonl", "basins.txt"))
        file, seeds = out / "basins.jsonl", range(choices.seeds)
        counts = basins.count_basins(choices.problem, problem_of, seeds, file, rest)
        text = basins.format_counts(counts)
        write_atomic(out / "basins.txt", text + "\n")
    print(text)
    return 0
