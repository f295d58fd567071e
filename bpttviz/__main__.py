"""``python -m bpttviz``: the paper's experiment, and what its gradients cost, from a terminal."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

ADJOINTS = ("full", "implicit", "guided")


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run what it asks for; returns the exit status."""
    choices = _parser().parse_args(arguments)

    import torch  # after parsing, so that --help is instant

    if choices.threads:
        torch.set_num_threads(choices.threads)
    warnings.filterwarnings("ignore", category=UserWarning, module="pymatgen")
    return {"reproduce": _reproduce, "cost": _cost, "basins": _basins}[choices.command](choices)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bpttviz", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        made.add_argument("--out", required=True, help="folder for results; resumed if it has any")
        made.add_argument("--device", default="cpu", help="cpu or cuda")
        made.add_argument("--threads", type=int, help="CPU threads; torch's choice if not given")
        return made

    reproduce = command(
        "reproduce", "cross-validated fine-tuning of a pretrained CHGNet on the shipped relaxations"
    )
    reproduce.add_argument("--checkpoint", default="0.3.0", help="0.3.0, 0.2.0 or r2scan")
    reproduce.add_argument("--dataset", default="si-defects")
    recipe = reproduce.add_argument_group("recipe")
    recipe.add_argument("--steps", type=int, default=20, help="K, steps of each relaxation")
    recipe.add_argument("--step-size", type=float, default=0.06, help="eta, Å²/eV")
    recipe.add_argument("--epochs", type=int, default=3)
    recipe.add_argument("--learning-rate", type=float, default=5e-4, help="of Adam")
    recipe.add_argument("--seed", type=int, default=0)
    recipe.add_argument(
        "--adjoint", choices=ADJOINTS, default="full",
        help="through all steps; at the resting place; through a window and at the resting place",
    )  # fmt: skip
    recipe.add_argument("--window", type=int, default=10, help="steps of a guided window")
    recipe.add_argument("--weight", type=float, default=1.0, help="of the guided window's loss")
    reproduce.add_argument("--folds", type=int, default=4)
    reproduce.add_argument("--only", type=int, nargs="*", help="do just these folds (from 0)")
    reproduce.add_argument("--quiet", action="store_true", help="no progress bars")

    cost = command("cost", "memory and time of one gradient against K, for every adjoint")
    cost.add_argument("--steps", type=int, nargs="+", default=[5, 10, 20, 40, 80], help="the K")
    cost.add_argument("--repeats", type=int, default=5, help="of the comparison with force losses")

    basins = command("basins", "how often each gradient leads to the right one of two minima")
    basins.add_argument("--seeds", type=int, default=5)
    basins.add_argument(
        "--problem", choices=("landscape", "silicon"), default="landscape",
        help="two valleys in a plane (minutes), or split interstitials with CHGNet (an hour)",
    )  # fmt: skip
    return parser


def _reproduce(choices: argparse.Namespace) -> int:
    from bpttviz.adjoints import Checkpointed, Guided, Implicit
    from bpttviz.datasets.shipped import load_dataset
    from bpttviz.potentials.chgnet import CHGNet
    from bpttviz.reproduce import Recipe, cross_validate

    implicit = Implicit(strict=False)  # one bad member must not end hours of work
    adjoint = {
        "full": Checkpointed(),
        "implicit": implicit,
        "guided": Guided(choices.window, choices.weight, implicit),
    }[choices.adjoint]
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
            adjoint=adjoint,
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


def _cost(choices: argparse.Namespace) -> int:
    from bpttviz import cost, plots

    out = Path(choices.out)
    costs = cost.measure_costs(out, choices.steps, device=choices.device)
    paired = cost.measure_paired(out, repeats=choices.repeats, device=choices.device)
    text = cost.in_words(costs, paired)
    (out / "cost.txt").write_text(text + "\n", encoding="utf-8")
    plots.cost(costs).savefig(out / "cost.png", dpi=150)
    print(text)
    return 0


def _basins(choices: argparse.Namespace) -> int:
    from bpttviz import basins
    from bpttviz.datasets.shipped import load_dataset
    from bpttviz.evaluate import Rest
    from bpttviz.potentials.chgnet import CHGNet

    out = Path(choices.out) / "basins.jsonl"
    if choices.problem == "landscape":
        problem_of, rest = basins.two_valleys, Rest(fmax=1e-3)
    else:
        data = load_dataset("si-defects").everything
        potential = CHGNet(device=choices.device)
        rest = Rest()

        def problem_of(seed: int) -> basins.Problem:
            return basins.split_interstitials(data, seed, potential)

    counts = basins.count_basins(choices.problem, problem_of, range(choices.seeds), out, rest)
    text = basins.in_words(counts)
    (out.parent / "basins.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
