"""Variants of the recipe side by side."""

from __future__ import annotations

import argparse

HELP = "show what each ingredient of the recipe buys: variants on the same held-out structures"
OUT_OPTIONAL = True  # without it what is committed is shown

EXAMPLES = """\
  bpttviz ablation                     what is committed
  bpttviz ablation --front front.png   both errors against each other, and a picture
  bpttviz ablation --front front.png --widest    only what all structures were measured with
  bpttviz ablation --out ablation      what `bpttviz trial --variant NAME --out ablation` made there

Changes are against pretrained: geometric means over structures and seeds, 95 % intervals with
groups taken whole; n are measured, those within the labels' error cannot be worse. Weak forces are
those below 0.1 eV/Å in DFT; the slope is that of predicted against DFT's forces, mean over
structures. A minimum is lost where start and DFT end come to rest apart and did not before; a site
that both leave shows as "three times as far". The last columns compare a variant with the whole
recipe, structure by structure; intervals are of structures, not of trainings."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--curve",
        metavar="PNG",
        help="draw both errors over updates, of the first that has a curve",
    )
    parser.add_argument(
        "--front",
        metavar="PNG",
        help="draw both errors against each other, of the first potential's variants",
    )
    parser.add_argument(
        "--widest",
        action="store_true",
        help="with --front: draw only what was measured on the most structures",
    )


def run(choices: argparse.Namespace) -> int:
    """Prints tables; writes ``ablation.txt`` into the folder, if one was named."""
    from pathlib import Path

    from bpttviz._files import write_atomic
    from bpttviz.experiments.ablation import Ablation, stored_ablations

    if choices.widest and choices.front is None:
        raise ValueError("--widest is for --front, which names the picture's file")
    all_found = (
        [*stored_ablations().values()] if choices.out is None else [Ablation.read(choices.out)]
    )
    told = "\n\n".join(map(str, all_found))
    if choices.out is not None:
        write_atomic(Path(choices.out) / "ablation.txt", f"{told}\n")
    print(told)
    if choices.curve is not None:
        from bpttviz.plotting.ablation import plot_dose

        curves = [one.curve() for one in all_found if one.curves]
        figure = plot_dose(curves[0] if curves else [])
        write_atomic(choices.curve, lambda path: figure.savefig(path, dpi=150, format="png"))
    if choices.front is not None:
        from bpttviz.plotting.front import plot_front

        front = plot_front(all_found[0].front(choices.widest))
        write_atomic(choices.front, lambda path: front.savefig(path, dpi=150, format="png"))
    return 0
