"""`TrainingConfig`: the numbers of a training, checked once."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bpttviz._checks import (
    instance_of,
    memory_size,
    not_negative,
    number,
    positive_or_none,
    whole,
    whole_or_none,
)
from bpttviz.provenance import specification
from bpttviz.training.schedule import ConstantSchedule, Schedule

LARGEST_LEARNING_RATE = 10.0  # Adam moves a weight by about this much in every update


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train.

    Args:
        epochs: passes over the training relaxations.
        learning_rate: of Adam; about what a weight moves in one update. The largest one, where
            there is a schedule.
        clip: the gradient's norm is limited to this; None for no limit.
        batch_size: structures whose mean gradient makes one update.
        patience: stop when validation has not improved for so many epochs; None: never.
        seed: of the order in which structures come, and of what is drawn for them (`Draw`).
        schedule: how the learning rate goes over the updates: `ConstantSchedule` or
            `CosineSchedule`.
        average: validate, keep and return an exponential average of the weights in place of the
            last ones: what the old average counts after an update, from 0 to below 1 (0.98
            averages over about 50 updates); None: no average.
        l2_sp: pull towards the initial weights: half of it times their squared distance is added
            to the loss that is differentiated, not to the one reported (X. Li et al., ICML 2018,
            arXiv 1802.01483). Step sizes are not pulled.
        memory: what each process may hold: "1.5GB", "800 MiB" or a number of bytes; of its
            resident memory on the CPU, of PyTorch's on a GPU. As many steps of a relaxation keep
            their graphs as fit, the others are recomputed: the gradient is the same, faster with
            more memory. Measured on the largest structure before the first update, kept by a
            resumed run. Structures go through one at a time (small ones together, up to the
            largest one's atoms), so ``batch_size`` needs none. None: as the objective's adjoint
            says.

    Raises:
        TypeError: something that is no number.
        ValueError: a number out of range; says which.
    """

    epochs: int = 4
    learning_rate: float = 5e-4
    clip: float | None = 1.0
    batch_size: int = 1
    patience: int | None = None
    seed: int = 0
    schedule: Schedule = field(default_factory=ConstantSchedule)
    average: float | None = None
    l2_sp: float = 0.0
    memory: str | float | None = None

    def __post_init__(self) -> None:
        checked = {
            "epochs": whole("epochs", self.epochs, most=1_000_000),
            "learning_rate": number(
                "learning_rate", self.learning_rate, above=0, most=LARGEST_LEARNING_RATE
            ),
            "clip": positive_or_none("clip", self.clip),
            "batch_size": whole("batch_size", self.batch_size),
            "patience": whole_or_none("patience", self.patience),
            "seed": whole("seed", self.seed, least=0, most=2**32),
            "schedule": instance_of(
                "schedule", self.schedule, Schedule, "bv.CosineSchedule(warm_up=8)"
            ),
            "average": _share_or_none("average", self.average),
            "l2_sp": not_negative("l2_sp", self.l2_sp),
            "memory": None if self.memory is None else memory_size("memory", self.memory),
        }
        for name, value in checked.items():  # NumPy's numbers are Python's from here on
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, config: TrainingConfig | None = None, **settings: Any) -> TrainingConfig:
        """``config`` (the default one where there is none) with single settings changed.

        Raises:
            TypeError: a setting that there is not; says which there are.
        """
        config = cls() if config is None else config
        config = instance_of("config", config, cls, "bv.TrainingConfig(epochs=3)")
        known = [one.name for one in fields(cls)]
        for name in settings:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                meant = f" (do you mean {near[0]}?)" if near else ""
                raise TypeError(
                    f"there is no training setting {name!r}{meant}; there are {', '.join(known)}"
                )
        return replace(config, **settings)

    def settings(self) -> dict[str, Any]:
        """What the weights after an update depend on, JSON-able.

        Epochs and patience only say when to stop: a run can be prolonged, except by a schedule
        that needs to know its length. What is not used is not named; ``memory`` is noted by who
        finds out what it allows.
        """
        settings: dict[str, Any] = {
            "learning_rate": self.learning_rate,
            "clip": self.clip,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }
        if self.schedule != ConstantSchedule():
            settings["schedule"] = specification(self.schedule)
            if self.schedule.needs_length:
                settings["epochs"] = self.epochs
        if self.average is not None:
            settings["average"] = self.average
        if self.l2_sp > 0:
            settings["l2_sp"] = self.l2_sp
        return settings


def _share_or_none(name: str, value: object) -> float | None:
    return None if value is None else number(f"{name} (if not None)", value, least=0, below=1)
