"""How much the gradient through time turns the gradient: with it, and without, on the same paths.

The endpoint loss's gradient is a sum over steps. Without what goes through time (`DetachedBPTT`)
each step's force is pushed as if no later step answered to it; with it (`CheckpointedBPTT`) a step
counts, near a minimum, for less what later steps put right anyway. A factor that all structures
share is nothing to Adam; one that differs among them gives them other weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bpttviz._checks import instance_of
from bpttviz._files import FolderLock, read_json, require_unused, write_atomic
from bpttviz._tensor_checks import gradients_enabled
from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.experiments.machine import machine_here
from bpttviz.experiments.origin import Provenance, add_note, commit_here
from bpttviz.experiments.trial import parts_of
from bpttviz.potentials.base import Potential
from bpttviz.potentials.pretrained.chgnet import CHGNet
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT, DetachedBPTT
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.training.objectives import EndpointLoss
from bpttviz.training.recipe import Recipe

STORED = Path(__file__).with_name("stored") / "through_time"
TABLE, ORIGIN = "chgnet.csv", "provenance.json"
COLUMNS = ("structure", "group", "dq_k", "cosine", "length")


def through_time(
    potential: Potential, references: RelaxationDataset, rule: UpdateRule, stop: StoppingCriterion
) -> pd.DataFrame:
    """Both gradients of ΔQ after K steps with respect to all weights, structure by structure.

    Args:
        potential: with weights to be trained.
        references: B relaxations, from their own starts.
        rule: moves the atoms.
        stop: after how many steps.

    Returns:
        A line a structure: ``structure`` and ``group``; ``dq_k``, amu^½ Å; ``cosine`` of the angle
        between the two gradients; ``length`` of that through time, in lengths of the other.

    Raises:
        TypeError: an argument of another kind.
        StructureError: a structure that the potential cannot evaluate.
        ValueError: no weight can be trained; or a gradient is zero or not finite, so that it has no
            direction.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    instance_of("references", references, RelaxationDataset, "data.train")
    instance_of("rule", rule, UpdateRule, "bv.GradientDescent()")
    instance_of("stop", stop, StoppingCriterion, "bv.StoppingCriterion(20)")
    if not any(weight.requires_grad for weight in potential.parameters()):
        raise ValueError(
            "no weight of the potential can be trained: potential.requires_grad_(True)"
        )
    return pd.DataFrame(_lines(potential, references, rule, stop), columns=list(COLUMNS))


def _lines(
    potential: Potential, references: RelaxationDataset, rule: UpdateRule, stop: StoppingCriterion
) -> Iterator[tuple]:
    through = EndpointLoss(rule, stop, CheckpointedBPTT())
    without = EndpointLoss(rule, stop, DetachedBPTT())
    for reference in references:
        one = RelaxationDataset([reference])
        loss, whole = _gradient(through, potential, one)
        _, part = _gradient(without, potential, one)
        lengths = float(whole.norm()), float(part.norm())
        if not 0 < min(lengths) <= max(lengths) < float("inf"):
            raise ValueError(
                f"{reference.name}: its gradients have lengths {lengths[0]:g} and {lengths[1]:g}, "
                "and so no directions to compare; it rests where it should, or ran away"
            )
        cosine = float(whole @ part) / (lengths[0] * lengths[1])
        yield reference.name, reference.group, loss, cosine, lengths[0] / lengths[1]


def _gradient(
    objective: EndpointLoss, potential: Potential, one: RelaxationDataset
) -> tuple[float, Tensor]:
    """ΔQ after K steps, and its gradient with respect to all weights as one vector."""
    weights = [w for w in potential.parameters() if w.requires_grad]
    with gradients_enabled():
        loss = objective.loss(potential, one).sum()
        found = torch.autograd.grad(loss, weights, materialize_grads=True)
    return float(loss.detach()), torch.cat([g.reshape(-1) for g in found])


def stored_through_time() -> tuple[pd.DataFrame, Provenance]:
    """What comes with the package: pretrained CHGNet on silicon defects, and where it is from."""
    return pd.read_csv(STORED / TABLE), Provenance(**read_json(STORED / ORIGIN)[TABLE])


def in_words(table: pd.DataFrame) -> str:
    """How alike the two gradients are, in a sentence."""
    cosine, length = table["cosine"], table["length"]
    return (
        f"With what goes through time the gradient keeps its direction to a cosine of "
        f"{np.median(cosine):.2f} ({cosine.min():.2f} to {cosine.max():.2f}) and has "
        f"{np.median(length):.2g} times the length ({length.min():.2g} to {length.max():.2g}): "
        f"median and range of {len(table)} structures."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what comes with the package again: a quarter of an hour of one core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    out = parser.parse_args(arguments).out
    torch.set_num_threads(1)
    potential, recipe = CHGNet(), Recipe()
    held_out = parts_of(load_dataset("si-defects"))["fold-0"].held_out
    with FolderLock(out):
        require_unused(out, (TABLE, ORIGIN))
        table = through_time(potential, held_out, recipe.rule, recipe.stop)
        write_atomic(out / TABLE, table.to_csv(index=False, float_format="%.4g"))
        origin = Provenance(
            "python -m bpttviz.experiments.through_time --out through_time", commit_here(),
            held_out.fingerprint(), None, machine_here(potential.device),
        )  # fmt: skip
        add_note(out / ORIGIN, TABLE, asdict(origin))
    print(in_words(table))


if __name__ == "__main__":
    main()
