"""The error plane: what fine-tuning did to forces and to endpoints, structure by structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bpttviz.report import FEWEST_FOR_A_VERDICT, Report

# What an arrow can say, by (endpoint better, force better).
MEANINGS = {
    (True, True): "endpoint and forces better",
    (True, False): "endpoint better, forces worse",
    (False, True): "endpoint worse, forces better",
    (False, False): "endpoint and forces worse",
}
PARADOX = MEANINGS[True, False]


@dataclass(frozen=True)
class Arrow:
    """One structure: (force MAE in eV/Å, ΔQ at rest in amu^½ Å) before and after."""

    structure: str
    before: tuple[float, float]
    after: tuple[float, float]

    @property
    def meaning(self) -> str:
        """One of `MEANINGS`."""
        (x0, y0), (x1, y1) = self.before, self.after
        return MEANINGS[y1 < y0, x1 < x0]


@dataclass(frozen=True, eq=False)
class Plane:
    """Everything that a picture of the error plane shows.

    Attributes:
        before, after: names of the two potentials.
        arrows: one a structure that has both errors under both potentials.
        mean: arithmetic means (2, 2): [before, after] × [force, endpoint].
        interval: (2, 2, 2) its 95 % bootstrap interval over structures: [..., (low, high)]; None
            where there are too few structures for one.
        left_out: structure → why it has no arrow.
        noise_floor: amu^½ Å, or None.
    """

    before: str
    after: str
    arrows: tuple[Arrow, ...]
    mean: np.ndarray
    interval: np.ndarray | None
    left_out: dict[str, str]
    noise_floor: float | None

    def count(self, meaning: str) -> int:
        """How many arrows say ``meaning``."""
        return sum(arrow.meaning == meaning for arrow in self.arrows)

    def limits(self) -> np.ndarray:
        """(2, 2): [force, endpoint] × (low, high) of logarithmic axes that hold everything."""
        points = np.array([p for a in self.arrows for p in (a.before, a.after)])
        if self.interval is not None:
            points = np.concatenate([points, self.interval.transpose(0, 2, 1).reshape(-1, 2)])
        low, high = points.min(0), points.max(0)
        if self.noise_floor:
            low[1] = min(low[1], self.noise_floor)
        margin = np.maximum(0.12 * np.log(high / low), 0.05)
        return np.stack([low * np.exp(-margin), high * np.exp(margin)], axis=1)


def error_plane(report: Report, before: str | None = None, after: str | None = None) -> Plane:
    """Arrange a report on the error plane, by default from its first to its last potential."""
    before = report.potentials[0] if before is None else before
    after = report.potentials[-1] if after is None else after
    arrows, left_out = [], {}
    for name in report.structures:
        rows = [report.row(p, name) for p in (before, after)]
        points = [(row.force_mae, row.dq_rest) for row in rows]
        values = np.array(points, float)
        if any(row.diverged for row in rows):
            left_out[name] = "diverged"
        elif not np.isfinite(values[:, 0]).all():
            left_out[name] = "no reference forces"
        elif not all(row.rest_converged for row in rows):
            left_out[name] = "did not come to rest"
        elif not (np.isfinite(values) & (values > 0)).all():
            left_out[name] = "no endpoint error that a logarithmic axis can show"
        else:
            arrows.append(Arrow(name, *points))
    mean, interval = _means(arrows)
    return Plane(before, after, tuple(arrows), mean, interval, left_out, report.noise_floor)


def _means(arrows: list[Arrow]) -> tuple[np.ndarray, np.ndarray | None]:
    """Means (2, 2) and their bootstrap intervals (2, 2, 2), structures resampled whole."""
    if not arrows:
        return np.full((2, 2), np.nan), None
    points = np.array([(a.before, a.after) for a in arrows])
    if len(points) < FEWEST_FOR_A_VERDICT:
        return points.mean(0), None
    draws = np.random.default_rng(0).integers(len(points), size=(5000, len(points)))
    interval = np.percentile(points[draws].mean(1), [2.5, 97.5], axis=0)
    return points.mean(0), np.moveaxis(interval, 0, -1)


def ticks(low: float, high: float) -> list[float]:
    """Readable places between ``low`` and ``high`` on a logarithmic axis: 1, 2, 5 of each decade.

    On a short axis that leaves too few; there the steps are even ones.
    """
    if high / low > 6:
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        places = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    else:
        rough = (high - low) / 4
        unit = 10.0 ** np.floor(np.log10(rough))
        step = unit * min((1, 2, 5, 10), key=lambda m: abs(np.log(m * unit / rough)))
        places = [k * step for k in range(int(np.ceil(low / step)), int(high / step) + 1)]
    return [float(f"{place:.6g}") for place in places if low <= place <= high]
