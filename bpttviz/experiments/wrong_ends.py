"""What moved held-out ends: less that pushes, or more that holds (see `push_and_stiffness`).

On the five folds of the silicon defects, each end by the weights that were trained without it: the
pretrained ones, the recipe's that come with the package, and those of other trials.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from bpttviz._files import FolderLock, read_json, require_unused, write_atomic
from bpttviz.datasets.library import load_dataset
from bpttviz.evaluation.wrong_ends import WrongEnd, WrongEnds, push_and_stiffness
from bpttviz.experiments.machine import machine_here
from bpttviz.experiments.origin import Provenance, add_note, commit_here
from bpttviz.experiments.protocol import PRETRAINED
from bpttviz.experiments.trial import parts_of
from bpttviz.potentials.base import Potential
from bpttviz.potentials.pretrained.chgnet import CHGNet
from bpttviz.training.runs import load_run

STORED = Path(__file__).with_name("stored") / "wrong_ends"
TABLE, ORIGIN = "chgnet.csv", "provenance.json"
RECIPE, SHIPPED = "the recipe", "si-defects/chgnet"


def measure_folds(others: Mapping[str, Path]) -> WrongEnds:
    """Pushes and stiffnesses at held-out ends of the silicon defects, CHGNet.

    Args:
        others: title → folder with a run for each fold, as ``ablation/paper`` with ``fold-0-0``.

    Raises:
        RunError: a folder lacks a fold's run.
    """
    data, rows = load_dataset("si-defects"), list[WrongEnd]()
    for name, part in parts_of(data).items():
        if not name.startswith("fold-"):
            continue
        potentials: dict[str, Potential] = {
            PRETRAINED: CHGNet(),
            RECIPE: load_run(f"{SHIPPED}-{name}").potential,
        }
        for title, folder in others.items():
            potentials[title] = load_run(Path(folder) / f"{name}-0").potential
        rows += push_and_stiffness(potentials, part.held_out).rows
    return WrongEnds(tuple(rows), data.noise_floor or 0.0)


def stored_wrong_ends() -> WrongEnds:
    """What comes with the package: all sixty silicon defects, each as held out, by CHGNet.

    Pretrained, fine-tuned by the recipe and by the paper's way. Its ``changes()`` say what moved
    the ends.
    """
    floor = load_dataset("si-defects").noise_floor or 0.0
    return WrongEnds.from_csv(STORED / TABLE, floor)


def stored_origin() -> Provenance:
    """Where that is from."""
    return Provenance(**read_json(STORED / ORIGIN)[TABLE])


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what comes with the package again: a quarter of an hour of one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument(
        "--runs", nargs=2, action="append", default=[], metavar=("TITLE", "FOLDER"),
        help="trainings to measure too: a folder of `bpttviz trial`'s, with fold-0-0 and so on",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    others = {title: Path(folder) for title, folder in options.runs}
    with FolderLock(options.out):
        require_unused(options.out, (TABLE, ORIGIN))
        found = measure_folds(others)
        write_atomic(options.out / TABLE, found.to_csv())
        shown = "".join(f' --runs "{title}" {path.name}' for title, path in others.items())
        origin = Provenance(
            f"python -m bpttviz.experiments.wrong_ends --out wrong_ends{shown}", commit_here(),
            load_dataset("si-defects").all.fingerprint(), None, machine_here(torch.device("cpu")),
        )  # fmt: skip
        add_note(options.out / ORIGIN, TABLE, asdict(origin))
    print(found.changes().to_string(index=False))


if __name__ == "__main__":
    main()
