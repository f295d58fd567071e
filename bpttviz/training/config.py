"""`TrainingConfig`: the numbers of a training, checked once."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, replace
from typing import Any

from bpttviz._checks import instance_of, number, positive_or_none, whole, whole_or_none

LARGEST_LEARNING_RATE = 10.0  # Adam moves a weight by about this much in every update


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train.

    Args:
        epochs: passes over the training relaxations.
        learning_rate: of Adam; about what a weight moves in one update.
        clip: the gradient's norm is limited to this; None for no limit.
        batch_size: structures whose mean gradient makes one update.
        patience: stop when validation has not improved for so many epochs; None: never.
        seed: of the order in which structures come.

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
        known = [field.name for field in fields(cls)]
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

        Epochs and patience only say when to stop: a run can be prolonged.
        """
        return {
            "learning_rate": self.learning_rate,
            "clip": self.clip,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }
