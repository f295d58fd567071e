"""`Point`: which weights of a training are measured."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Point:
    """The last weights of a training; or those after an epoch; or a part of the way to the last.

    Attributes:
        epoch: after so many; None: after all.
        alpha: so much of the way from the pretrained weights, as of `bpttviz.blend`; None: all.
    """

    epoch: int | None = None
    alpha: float | None = None

    @property
    def place(self) -> str:
        """Name of the folder where it is measured, beside the run."""
        if self.alpha is not None:
            return f"evaluation-alpha-{self.alpha:g}"
        return "evaluation" if self.epoch is None else f"evaluation-{self.epoch}"

    @property
    def suffix(self) -> str:
        """What a table's name ends with; see `SUFFIX`."""
        if self.alpha is not None:
            return f"-alpha-{self.alpha:g}"
        return "" if self.epoch is None else f"-epoch-{self.epoch}"

    @classmethod
    def of(cls, told: re.Match[str]) -> Point:
        """From a name that `SUFFIX` has matched."""
        epoch, alpha = told["epoch"], told["alpha"]
        return cls(
            None if epoch is None else int(epoch),
            None if alpha is None else float(alpha),
        )


LAST = Point()
SUFFIX = r"(?:-epoch-(?P<epoch>\d+)|-alpha-(?P<alpha>0\.\d+))?"
