"""Paired comparisons and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Below this many structures an interval or a verdict would claim more than can be known: with five
# of one sign a coin would do the same one time in sixteen.
MIN_SAMPLES = 6


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Paired change of one column from one potential to another, over the same structures.

    Attributes:
        column: name of the column in `StructureResult`.
        before, after: (n,) values of the structures where both are finite.
        names: those structures.
        ratio: geometric mean of after/before; below 1 is better.
        interval: 95 % bootstrap interval of the ratio over what was drawn: structures, or groups.
        drawn: how many of those there are.
        mean_before, mean_after: arithmetic means.
        worse: how many structures got worse.
        left_out: structures without both values.
    """

    column: str
    before: np.ndarray
    after: np.ndarray
    names: tuple[str, ...]
    ratio: float
    interval: tuple[float, float]
    mean_before: float
    mean_after: float
    worse: int
    left_out: tuple[str, ...]
    drawn: int

    @property
    def direction(self) -> str:
        """ "falls" or "rises" where that is beyond chance, "" where it cannot be told."""
        low, high = self.interval
        if self.drawn < MIN_SAMPLES:
            return ""
        return "falls" if high < 1 else "rises" if low > 1 else ""

    def __str__(self) -> str:
        low, high = self.interval
        text = (
            f"{self.column}: {100 * (self.ratio - 1):+.1f} % (geometric mean; 95 % interval "
            f"{100 * (low - 1):+.1f} to {100 * (high - 1):+.1f}); mean {self.mean_before:.4g} → "
            f"{self.mean_after:.4g}; {self.worse} of {len(self.before)} worse"
        )
        if self.drawn < len(self.before):
            text += f"; {self.drawn} groups drawn whole"
        if self.left_out:
            text += f"; left out: {', '.join(self.left_out)}"
        return text


def compare(
    column: str,
    names: Sequence[str],
    before: np.ndarray,
    after: np.ndarray,
    groups: Sequence[str] | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Paired comparison of positive numbers; see `PairedComparison`.

    Args:
        column: what the numbers are.
        names: of the structures.
        before, after: (n,) the numbers.
        groups: (n,) of the structures. Those of one group are then drawn together, because several
            starts of one defect are little more evidence than one (the cluster bootstrap). Each
            structure is drawn for itself where none are given.
        resamples, seed: of the bootstrap.

    Raises:
        ValueError: no structure has both values.
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    usable = np.isfinite(before) & np.isfinite(after) & (before > 0) & (after > 0)
    if not usable.any():
        raise ValueError(f"no structure has {column} both before and after")
    logs = np.log(after[usable] / before[usable])
    member = np.arange(len(logs))  # of what is drawn
    if groups is not None:
        member = np.unique(np.asarray(groups)[usable], return_inverse=True)[1]
    size, total = np.bincount(member), np.bincount(member, logs)
    draws = np.random.default_rng(seed).integers(len(size), size=(resamples, len(size)))
    means = total[draws].sum(1) / size[draws].sum(1)
    low, high = np.exp(np.percentile(means, [2.5, 97.5]))
    return PairedComparison(
        column=column,
        before=before[usable],
        after=after[usable],
        names=tuple(n for n, u in zip(names, usable, strict=True) if u),
        ratio=float(np.exp(logs.mean())),
        interval=(float(low), float(high)),
        mean_before=float(before[usable].mean()),
        mean_after=float(after[usable].mean()),
        worse=int((logs > 0).sum()),
        left_out=tuple(n for n, u in zip(names, usable, strict=True) if not u),
        drawn=len(size),
    )
