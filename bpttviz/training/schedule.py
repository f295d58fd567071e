"""How the learning rate goes over a training's updates."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from bpttviz._checks import number, whole, whole_or_none


class Schedule(ABC):
    """Base of all schedules: a factor on the learning rate, update by update."""

    needs_length: bool = True  # whether the factor depends on how many updates there will be

    @abstractmethod
    def factor(self, update: int, updates: int) -> float:
        """From 0 to 1.

        Args:
            update: counted from 0; those that were undone count too.
            updates: how many the whole training has.
        """

    def require_length(self, updates: int) -> None:
        """Raise ValueError where the first of so many factors is no number from 0 to 1."""
        number("the schedule's first factor", self.factor(0, updates), least=0, most=1)


@dataclass(frozen=True)
class ConstantSchedule(Schedule):
    """The same learning rate from the first update to the last."""

    needs_length = False

    def factor(self, update: int, updates: int) -> float:
        return 1.0


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """Up in a straight line, then down along half a cosine, to zero after the last update.

    I. Loshchilov and F. Hutter, ICLR 2017 (arXiv 1608.03983), without restarts.

    Args:
        warm_up: updates until the full learning rate is reached; Adam knows little of the
            gradients' size before.
        updates: at which it would be zero; None: all of the training's. A number of its own leaves
            a run free to be prolonged by more epochs: without one, it cannot be.

    Raises:
        TypeError, ValueError: no whole number, a negative one, or a warm-up that does not end
            before the last update.
    """

    warm_up: int = 8
    updates: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "warm_up", whole("warm_up", self.warm_up, least=0))
        object.__setattr__(self, "updates", whole_or_none("updates", self.updates))
        if self.updates is not None:
            self.require_length(self.updates)

    @property
    def needs_length(self) -> bool:  # type: ignore[override]  # here it depends
        """Without a number of updates of its own."""
        return self.updates is None

    def require_length(self, updates: int) -> None:
        """Raise ValueError where the warm-up does not end before the last update."""
        end = updates if self.updates is None else self.updates
        if self.warm_up >= end:
            raise ValueError(
                f"a warm-up of {self.warm_up} updates leaves nothing of {end}; shorten it or "
                "train for longer"
            )

    def factor(self, update: int, updates: int) -> float:
        end = updates if self.updates is None else self.updates
        if update < self.warm_up:
            return (update + 1) / (self.warm_up + 1)
        gone = min((update - self.warm_up) / max(end - self.warm_up, 1), 1.0)
        return 0.5 * (1 + math.cos(math.pi * gone))
