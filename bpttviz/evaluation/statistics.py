"""Paired comparisons: when an error can be compared at all, and how sure the change is.

Two rules hold for every relative figure of this package. An error is compared only where it is
beyond its *resolution*: the labels' own error where it is known, a stated numerical one otherwise;
a ratio of rounding errors says nothing. And an interval is a t interval of what is averaged, with
*groups taken whole*: several starts of one defect are little more evidence than one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from bpttviz.evaluation.tables import counted

# Below this many structures an interval or a verdict would claim more than can be known: with five
# of one sign a coin would do the same one time in sixteen.
MIN_SAMPLES = 6

CONFIDENCE = 0.95
METHOD = "95 % t interval of the logarithms, groups taken whole"

# What numbers can tell apart where labels are exact: forces of 0.005 eV/Å at rest, and float32.
RESOLUTIONS = {"dq": 1e-3, "rmsd": 1e-4, "force_mae": 1e-4}  # amu^½ Å, Å, eV/Å
BEYOND = 3  # times the noise floor: there an error is compared, below it is the labels' own


def resolution_of(column: str) -> float:
    """The stated numerical resolution of a column of `StructureResult`, in the column's unit."""
    return next((value for start, value in RESOLUTIONS.items() if column.startswith(start)), 1e-6)


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Paired change of one column from one potential to another, over the same structures.

    A structure with both values is *compared* where the error before is beyond three times the
    floor; *kept right* where it is within the floor before and after; *lost* where it was too close
    to the floor to be compared and is beyond it after (from right to wrong); otherwise *undecided*.

    Attributes:
        column: name of the column in `StructureResult`.
        before, after: (n,) values of the structures that are compared.
        names: those structures.
        ratio: geometric mean of after/before; below 1 is better. NaN where none is compared. An
            error within the floor counts as the floor, and a change below the resolution as none.
        interval: 95 % interval of the ratio: t interval of the logarithms, groups taken whole. NaN
            where there are fewer than two groups.
        drawn: how many groups there are. Where they are of different sizes the interval has the
            degrees of freedom of fewer, see `group_interval`.
        mean_before, mean_after: arithmetic means of before and after.
        worse: how many structures got worse, those lost included.
        left_out: structures without both values.
        kept_right, lost, undecided: names of structures, as above.
        floor: below it differences mean nothing: the noise floor, or the numerical resolution.
        resolution: the numerical resolution.
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
    kept_right: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    floor: float = 0.0
    resolution: float = 0.0

    @property
    def judged(self) -> int:
        """How many structures could get worse: those compared, and those lost."""
        return len(self.before) + len(self.lost)

    @property
    def direction(self) -> str:
        """ "falls" or "rises" where that is beyond chance, "" where it cannot be told."""
        low, high = self.interval
        if self.drawn < MIN_SAMPLES:
            return ""
        return "falls" if high < 1 else "rises" if low > 1 else ""

    def __str__(self) -> str:
        return f"{self.column}: " + "; ".join([*self._change(), *self.remarks()])

    def _change(self) -> list[str]:
        """The ratio with its interval, the means and the count of those that got worse."""
        counted = f"{self.worse} of {self.judged} worse"
        if not len(self.before):
            return [counted]
        low, high = (100 * (x - 1) for x in self.interval)
        interval = "no interval" if np.isnan(low) else f"95 % interval {low:+.1f} to {high:+.1f}"
        return [
            f"{100 * (self.ratio - 1):+.1f} % (geometric mean; {interval})",
            f"mean {self.mean_before:.4g} → {self.mean_after:.4g}",
            counted,
        ]

    def remarks(self) -> list[str]:
        """What else a reader of the change must know: groups, and who is not in the ratio."""
        lines = []
        if self.drawn < len(self.before):
            lines.append(f"{counted(self.drawn, 'group')} taken whole")
        if self.kept_right:
            lines.append(
                f"kept right, within {self.floor:g} before and after: {', '.join(self.kept_right)}"
            )
        if self.lost:
            lines.append(f"right before, wrong after: {', '.join(self.lost)}")
        if self.undecided:
            lines.append(
                f"too close to {self.floor:g} before to be compared: {', '.join(self.undecided)}"
            )
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)}")
        return lines


def compare(
    column: str,
    names: Sequence[str],
    before: Sequence[float] | np.ndarray,
    after: Sequence[float] | np.ndarray,
    groups: Sequence[Hashable] | None = None,
    noise_floor: float | None = None,
    resolution: float | None = None,
) -> PairedComparison:
    """Paired comparison of errors; see `PairedComparison`.

    Args:
        column: what the numbers are.
        names: of the structures.
        before, after: (n,) the numbers, none negative; NaN where one is not known.
        groups: (n,) of the structures. Those of one group are taken together, because several
            starts of one defect are little more evidence than one. Each structure is a group of its
            own where none are given.
        noise_floor: the labels' own error, in the unit of the numbers, where it is known.
        resolution: what numbers can tell apart; by default that of the column, see `RESOLUTIONS`.

    Raises:
        ValueError: no structure has both values, or a floor that is negative or not finite.
    """
    before, after = np.asarray(before, float), np.asarray(after, float)
    resolution = resolution_of(column) if resolution is None else resolution
    for what, value in {"noise_floor": noise_floor, "resolution": resolution}.items():
        if value is not None and not 0 <= value < np.inf:
            raise ValueError(f"{what} must be a number of at least 0, got {value}")
    usable = np.isfinite(before) & np.isfinite(after)
    if not usable.any():
        raise ValueError(f"no structure has {column} both before and after")
    floor = max(noise_floor or 0.0, resolution)
    compared, kept, lost = _sorted_out(before, after, usable, floor)
    logs = _log_ratios(before[compared], after[compared], floor, resolution)
    members = np.arange(len(before)) if groups is None else np.asarray(groups)
    ratio, interval, drawn = _geometric_mean(logs, members[compared])

    def those(where: np.ndarray) -> tuple[str, ...]:
        """Names of the structures where it is true."""
        return tuple(name for name, chosen in zip(names, where, strict=True) if chosen)

    return PairedComparison(
        column=column,
        before=before[compared],
        after=after[compared],
        names=those(compared),
        ratio=ratio,
        interval=interval,
        mean_before=_mean(before[compared]),
        mean_after=_mean(after[compared]),
        worse=int((logs > 0).sum()) + int(lost.sum()),
        left_out=those(~usable),
        drawn=drawn,
        kept_right=those(kept),
        lost=those(lost),
        undecided=those(usable & ~compared & ~kept & ~lost),
        floor=floor,
        resolution=resolution,
    )


def log_ratios(
    column: str,
    before: np.ndarray,
    after: np.ndarray,
    noise_floor: float | None = None,
    resolution: float | None = None,
) -> np.ndarray:
    """ln(after/before) (n,) as `compare` takes it; NaN where a structure is not compared."""
    resolution = resolution_of(column) if resolution is None else resolution
    floor = max(noise_floor or 0.0, resolution)
    compared, _, _ = _sorted_out(before, after, np.isfinite(before) & np.isfinite(after), floor)
    logs = np.full(len(before), np.nan)
    logs[compared] = _log_ratios(before[compared], after[compared], floor, resolution)
    return logs


def group_interval(
    statistic: Callable[[np.ndarray], np.ndarray | float], groups: Sequence[Hashable] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a mean, or of several, over structures that come in groups.

    The standard error is the jackknife's that leaves out a group at a time, and the interval has
    Student's t with G - 1 degrees of freedom (one at least), G being the effective number of
    groups, (Σ n)² / Σ n² of their sizes n. Where each structure is a group this is the ordinary t
    interval of a mean; where groups are of one size, that of their means. (Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 11; for clusters: the estimator CR3. Effective
    number: A. Carter, K. Schnepel and D. Steigerwald, Rev. Econ. Stat. 99, 698 (2017).)

    Args:
        statistic: of the structures where its argument (n,) is true.
        groups: (n,) of the structures.

    Returns:
        (low, high), each of the statistic's shape; NaN with fewer than two groups.
    """
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    value = np.asarray(statistic(np.ones(len(members), bool)), float)
    count = int(members.max()) + 1 if len(members) else 0
    if count < 2:
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    without = np.array([statistic(members != group) for group in range(count)], float)
    error = np.sqrt((count - 1) / count * ((without - without.mean(0)) ** 2).sum(0))
    sizes = np.bincount(members)
    # A large group among small ones decides alone, whatever their number.
    effective = sizes.sum() ** 2 / (sizes**2).sum()
    reach = student_t.ppf((1 + CONFIDENCE) / 2, max(effective - 1, 1.0)) * error
    return value - reach, value + reach


def _sorted_out(
    before: np.ndarray, after: np.ndarray, usable: np.ndarray, floor: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks (n,) of what is compared, kept right, and lost."""
    with np.errstate(invalid="ignore"):
        beyond = usable & (before > BEYOND * floor)
        kept = usable & (before <= floor) & (after <= floor)
        lost = usable & ~beyond & (after > BEYOND * floor) & (after - before > floor)
    return beyond, kept, lost


def _log_ratios(
    before: np.ndarray, after: np.ndarray, floor: float, resolution: float
) -> np.ndarray:
    """Logarithms of after/before: errors within the floor count as it, tiny changes as none."""
    changed = np.abs(after - before) > resolution
    return np.where(changed, np.log(np.maximum(after, floor) / before), 0.0)


def _geometric_mean(logs: np.ndarray, groups: np.ndarray) -> tuple[float, tuple[float, float], int]:
    """exp of the logarithms' mean, its interval, and the number of groups."""
    if not len(logs):
        return float("nan"), (float("nan"), float("nan")), 0
    low, high = group_interval(lambda chosen: logs[chosen].mean(), groups)
    interval = (float(np.exp(low)), float(np.exp(high)))
    return float(np.exp(logs.mean())), interval, len(np.unique(groups))


def _mean(values: np.ndarray) -> float:
    """Arithmetic mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")
