"""What `finetune` is given, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bpttviz._checks import file_path, shown
from bpttviz.datasets.read import as_relaxations
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, specification
from bpttviz.training.checkpoint import VALIDATION_FIELDS, all_finite
from bpttviz.training.config import TrainingConfig
from bpttviz.training.objectives import Objective

# What to measure at each validation: name -> function of the potential and the relaxations.
Metrics = Mapping[str, Callable[[Potential, RelaxationDataset], float | None]]


def check_metrics(metrics: Metrics | None) -> Metrics:
    """``metrics`` of `finetune`, none where it is None.

    Raises:
        TypeError: no mapping of names to functions.
        ValueError: a name that a validation's record has a column of.
    """
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(
            f"metrics must be a mapping of names to functions, got a {type(metrics).__name__}"
        )
    for name, measure in metrics.items():
        if not isinstance(name, str) or not callable(measure):
            raise TypeError(f"metrics must map names to functions; {name!r}: {measure!r} does not")
        if name in VALIDATION_FIELDS:
            raise ValueError(
                f"a metric cannot be called {name!r}: that is a column of every validation "
                f"({', '.join(VALIDATION_FIELDS)})"
            )
    return metrics


def require_callable(**given: object) -> None:
    """Refuse what can be left out (None), but has to be a function. Raises TypeError."""
    for name, value in given.items():
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be a function, got {shown(value)}")


def training_parts(
    data: object, validation: object
) -> tuple[RelaxationDataset, RelaxationDataset | None]:
    """What to train on, and what to validate on, as `finetune` is given them.

    What can only mean a set of relaxations is taken for one (`as_relaxations`): files, one
    `ReferenceRelaxation`, a list of them.

    Raises:
        TypeError: something else than relaxations.
        ValueError: files that cannot be read, none to train or to validate on, or two validation
            parts.
    """
    if isinstance(data, DatasetSplits):
        if validation is not None:
            raise ValueError("DatasetSplits bring their own validation part; pass data.train")
        return training_parts(data.train, data.val if len(data.val) else None)
    train = as_relaxations(data)
    if not len(train):
        raise ValueError("there are no relaxations to train on")
    if validation is None:
        return train, None
    chosen = as_relaxations(validation, "validation")
    if not len(chosen):
        raise ValueError("there are no relaxations to validate on; leave validation out")
    return train, chosen


def folder_of(out: str | Path | None) -> Path | None:
    """The folder of a run, if it is to have one. Raises TypeError, ValueError for what is none."""
    return None if out is None else file_path("out", out)


def require_finite(potential: Potential) -> None:
    """Refuse a potential with a weight that is NaN, infinite, or no number at all: ValueError."""
    for name, parameter in potential.named_parameters():
        if parameter.is_meta:
            raise ValueError(
                f"the potential cannot be trained: its weight {name} is on the device 'meta', "
                "which keeps no numbers; load it on the CPU or a GPU"
            )
        if not all_finite([parameter]):
            raise ValueError(
                f"the potential cannot be trained: its weight {name} is not finite (NaN or inf)"
            )


def settings_of(
    potential: Potential,
    objective: Objective,
    config: TrainingConfig,
    train: RelaxationDataset,
    validation: RelaxationDataset | None,
) -> dict[str, Any]:
    """All that the result of a training depends on."""
    frozen = [name for name, p in potential.named_parameters() if not p.requires_grad]
    return {
        "potential": specification(potential),
        "initial_weights": fingerprint(potential),
        "frozen": frozen,
        "objective": specification(objective),
        **config.settings(),
        "train": list(train.names),
        "data": [part.fingerprint() for part in (train, validation) if part],
        "validation": list(validation.names) if validation else [],
    }
