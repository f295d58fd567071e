"""Runs as they are handed on: the weights' changes in half precision, and what they came from.

A run's file holds the weights twice or three times and the optimiser's state, so that it can be
resumed. To be looked at and used, the change of each weight suffices, and sixteen bits of it: for
CHGNet 0.8 MB instead of 6.7. The pretrained weights are where they always were, in their package.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bpttviz.provenance import fingerprint, specification
from bpttviz.training import checkpoint
from bpttviz.training.checkpoint import RunError, all_finite

CHANGES = "change"  # prefix of the tensors
SIGNIFICANT_DIGITS = 4  # of the history's numbers


def save_changes(
    folder: Path,
    potential: nn.Module,
    pretrained: nn.Module,
    rule: nn.Module | None,
    header: Mapping[str, Any],
) -> None:
    """Write a run's weights as changes to those it began with. See `bpttviz.Run.export`.

    Raises:
        RunError: other weights than those the run began with, another architecture, or a change
            that half precision cannot hold.
    """
    settings = header["settings"]
    if fingerprint(pretrained) != settings["initial_weights"]:
        raise RunError(
            "the potential passed as pretrained does not have the weights that this run began "
            "with; build it as it was before finetune"
        )
    before, after = pretrained.state_dict(), potential.state_dict()
    if before.keys() != after.keys():
        raise RunError("the run's potential and the pretrained one differ in more than weights")
    changes = {}
    for name, value in after.items():
        if torch.equal(value.cpu(), before[name].cpu()):
            continue
        change = (value.detach().cpu().double() - before[name].cpu().double()).half()
        if not all_finite([change]):
            raise RunError(f"{name} changed by more than half precision can hold")
        changes[f"{CHANGES}/{name}"] = change
    tensors = {} if rule is None else {f"rule/{k}": v for k, v in rule.state_dict().items()}
    whole = dict(header)
    whole["rule"] = None if rule is None else specification(rule)
    whole["history"] = [_shortened(update) for update in header["history"]]
    checkpoint.write(folder, whole, {**changes, **tensors})


def add_changes(
    potential: nn.Module, tensors: Mapping[str, Tensor], initial: str, path: Path
) -> None:
    """Add the changes of a file to a pretrained potential.

    Args:
        potential: as it was before the run; changed in place. In double precision too where the
            run was in single: the sums are then the single-precision ones, converted.
        tensors: weight's name → change.
        initial: the fingerprint of the weights that the run began with.
        path: for messages.

    Raises:
        RunError: the potential's weights are others, or the changes do not fit them.
    """
    weights = potential.state_dict()
    pretrained = _pretrained(potential, initial, path)
    for name, change in tensors.items():
        fits = name in weights and weights[name].shape == change.shape
        if not fits or not change.is_floating_point() or not all_finite([change]):
            raise RunError(f"{path} holds a change of a weight that does not fit ({name})")
    with torch.no_grad():
        for name, change in tensors.items():
            weight = pretrained[name]
            changed = (weight.double() + change.to(weight.device).double()).to(weight.dtype)
            weights[name].copy_(changed)  # shares its memory with the potential's own


def _pretrained(potential: nn.Module, initial: str, path: Path) -> Mapping[str, Tensor]:
    """The weights, in the type that they had when a run began with them. Raises RunError."""
    if fingerprint(potential) == initial:
        return potential.state_dict()
    kinds = {p.dtype for p in potential.parameters()}
    if torch.float64 in kinds:
        single = copy.deepcopy(potential).float()
        if fingerprint(single) == initial:
            return single.state_dict()
    shown = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    raise RunError(
        f"{path} holds changes to pretrained weights, and those of this potential ({shown}) are "
        "others: pass the potential as it was before the run, in its type of number, with the "
        "version of its package that the run names"
    )


def _shortened(record: Mapping[str, Any]) -> dict[str, Any]:
    """An update's record with its numbers to a few digits."""

    def short(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
        if isinstance(value, list):
            return [short(one) for one in value]
        return value

    return {name: short(value) for name, value in record.items()}
