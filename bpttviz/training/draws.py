"""`Draw`: random numbers that depend on seed, epoch and structure, and on nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from bpttviz._checks import text, whole


@dataclass(frozen=True)
class Draw:
    """The random numbers of one epoch, a stream for each structure and purpose.

    Streams are told apart by a hash of all four. So it does not matter which structures came before
    or how often a training was interrupted: a resumed one draws the same numbers.

    Args:
        seed: of the training.
        epoch: counted from 0.

    Raises:
        TypeError, ValueError: no whole number, or a negative one.
    """

    seed: int
    epoch: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole("seed", self.seed, least=0))
        object.__setattr__(self, "epoch", whole("epoch", self.epoch, least=0))

    def generator(self, name: str, purpose: str) -> torch.Generator:
        """A fresh stream (on the CPU).

        Args:
            name: of the structure.
            purpose: what the numbers are for, so that two uses do not share theirs.

        Raises:
            TypeError: a name or purpose that is no string.
        """
        named = repr((self.seed, self.epoch, text("name", name), text("purpose", purpose)))
        digest = hashlib.sha256(named.encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    def uniform(self, name: str, purpose: str) -> float:
        """One number from 0 to below 1."""
        stream = self.generator(name, purpose)
        return float(torch.rand((), generator=stream, dtype=torch.float64))

    def normal(self, name: str, purpose: str, like: Tensor) -> Tensor:
        """Standard normal numbers in the shape, type and place of ``like``."""
        stream = self.generator(name, purpose)
        return torch.randn(like.shape, generator=stream, dtype=torch.float64).to(like)

    def some(self, name: str, purpose: str, total: int, count: int) -> list[int]:
        """``count`` different places among ``total``; all of them where there are fewer."""
        stream = self.generator(name, purpose)
        return torch.randperm(total, generator=stream)[:count].tolist()
