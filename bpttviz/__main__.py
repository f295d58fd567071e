"""``python -m bpttviz reproduce``: the paper's experiment on the shipped data, from a terminal."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run what it asks for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bpttviz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    reproduce = commands.add_parser(
        "reproduce",
        help="cross-validated fine-tuning of a pretrained CHGNet on the shipped relaxations",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    reproduce.add_argument("--out", required=True, help="folder for results; resumed if it has any")
    reproduce.add_argument("--checkpoint", default="0.3.0", help="0.3.0, 0.2.0 or r2scan")
    reproduce.add_argument("--dataset", default="si-defects")
    recipe = reproduce.add_argument_group("recipe")
    recipe.add_argument("--steps", type=int, default=20, help="K, steps of each relaxation")
    recipe.add_argument("--step-size", type=float, default=0.06, help="eta, Å²/eV")
    recipe.add_argument("--epochs", type=int, default=3)
    recipe.add_argument("--learning-rate", type=float, default=5e-4, help="of Adam")
    recipe.add_argument("--seed", type=int, default=0)
    reproduce.add_argument("--folds", type=int, default=4)
    reproduce.add_argument("--only", type=int, nargs="*", help="do just these folds (from 0)")
    reproduce.add_argument("--device", default="cpu", help="cpu or cuda")
    reproduce.add_argument("--threads", type=int, help="CPU threads; torch's choice if not given")
    reproduce.add_argument("--quiet", action="store_true", help="no progress bars")
    choices = parser.parse_args(arguments)

    import torch  # after parsing, so that --help is instant

    from bpttviz.datasets.shipped import load_dataset
    from bpttviz.potentials.chgnet import CHGNet
    from bpttviz.reproduce import Recipe, cross_validate

    if choices.threads:
        torch.set_num_threads(choices.threads)
    warnings.filterwarnings("ignore", category=UserWarning, module="pymatgen")
    report = cross_validate(
        CHGNet(choices.checkpoint, choices.device),
        load_dataset(choices.dataset),
        choices.out,
        Recipe(
            step_size=choices.step_size,
            steps=choices.steps,
            epochs=choices.epochs,
            learning_rate=choices.learning_rate,
            seed=choices.seed,
        ),
        folds=choices.folds,
        only=choices.only,
        progress=not choices.quiet,
    )
    if report is None:
        print("not all folds are done yet")
    else:
        print((Path(choices.out) / "report.txt").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
