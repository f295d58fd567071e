"""The error plane: what fine-tuning did to forces and to endpoints, structure by structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bpttviz._checks import sequence_of, text
from bpttviz.evaluation.report import Report
from bpttviz.evaluation.statistics import MIN_SAMPLES, group_interval, resolution_of
from bpttviz.plotting.arguments import require_report
from bpttviz.plotting.figure import UNIT

# What an arrow can say, by (endpoint better, force better).
QUADRANTS = {
    (True, True): "endpoint and forces better",
    (True, False): "endpoint better, forces worse",
    (False, True): "endpoint worse, forces better",
    (False, False): "endpoint and forces worse",
}
PARADOX = QUADRANTS[True, False]
KEPT_RIGHT = "endpoint kept right"  # within the resolution before and after
UNCHANGED = "unchanged"
MEANINGS = (*QUADRANTS.values(), KEPT_RIGHT, UNCHANGED)
FAR = 0.4  # of the axis (or of a factor e): a noise floor further below is no longer in view

# What becomes of "before": a potential; several, each a layer; or layers by title, each a potential
# or the potentials on the way to it (after ever more updates).
After = str | Sequence[str] | Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Arrow:
    """One structure's way over the plane.

    Attributes:
        structure: its name.
        group: of the structure.
        points: (force MAE in eV/Å, ΔQ at rest in amu^½ Å) before, on the way, and after. Errors
            below what numbers can tell apart are put there.
        floor: amu^½ Å; ends within it are right.
    """

    structure: str
    group: str
    points: tuple[tuple[float, float], ...]
    floor: float = 0.0

    @property
    def meaning(self) -> str:
        """One of `MEANINGS`."""
        if self.points[0] == self.points[-1]:
            return UNCHANGED
        if self.kept_right:
            return KEPT_RIGHT
        (x0, _), (x1, _) = self.points[0], self.points[-1]
        return QUADRANTS[self.better, x1 < x0]

    @property
    def kept_right(self) -> bool:
        """Whether the endpoint is within the resolution before and after."""
        return max(self.points[0][1], self.points[-1][1]) <= self.floor

    @property
    def better(self) -> bool:
        """Whether the endpoint is; not where it was right and still is."""
        return not self.kept_right and self.points[-1][1] < self.points[0][1]

    def describe(self) -> str:
        """What the errors were, and what that means."""
        force, endpoint = zip(*self.points, strict=True)
        return (
            f"endpoint error {' → '.join(f'{e:.3f}' for e in endpoint)} {UNIT}, "
            f"force error {' → '.join(f'{f:.4f}' for f in force)} eV/Å; {self.meaning}"
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """One way of fine-tuning.

    Attributes:
        title: what it is called.
        potentials: names, in the order of training; the last one is "after".
        arrows: one a structure that has both errors under all of them, and before.
        left_out: structure → why it has no arrow.
        mean: arithmetic means (P + 1, 2): [before, *potentials] × [force, endpoint], over the
            structures that every layer of the plane shows; None where there are none.
        interval: (P + 1, 2, 2) its 95 % interval over structures, groups taken whole (a t interval
            of its logarithm): [..., (low, high)]; None where there are too few groups for one.
    """

    title: str
    potentials: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    left_out: dict[str, str]
    mean: np.ndarray | None
    interval: np.ndarray | None

    def until(self, stage: int) -> Layer:
        """The layer as it would be if its potential number ``stage`` (from 1) were the last."""
        end = min(stage, len(self.potentials))
        return replace(
            self,
            potentials=self.potentials[:end],
            arrows=tuple(replace(arrow, points=arrow.points[: end + 1]) for arrow in self.arrows),
            mean=None if self.mean is None else self.mean[: end + 1],
            interval=None if self.interval is None else self.interval[: end + 1],
        )

    def count(self, meaning: str) -> int:
        """How many arrows say ``meaning``."""
        return sum(arrow.meaning == meaning for arrow in self.arrows)

    def describe_counts(self) -> str:
        """How many arrows say what."""
        return "; ".join(f"{m}: {self.count(m)}" for m in MEANINGS if self.count(m))

    def describe_better(self) -> str:
        """How many ends got better."""
        better = sum(arrow.better for arrow in self.arrows)
        kept = sum(arrow.kept_right for arrow in self.arrows)
        text = f"endpoint better in {better} of {len(self.arrows)}"
        return text + (f", kept right in {kept}" if kept else "")


@dataclass(frozen=True, eq=False)
class ErrorPlaneData:
    """Everything that a picture of the error plane shows.

    Attributes:
        before: name of the potential that all layers start from.
        layers: the ways from there.
        noise_floor: amu^½ Å, or None.
    """

    before: str
    layers: tuple[Layer, ...]
    noise_floor: float | None

    @property
    def title(self) -> str:
        """From where to where."""
        return f"{self.before} → {', '.join(layer.title for layer in self.layers)}"

    @property
    def mean(self) -> np.ndarray | None:
        """The mean before (2,): [force, endpoint]; None where layers share no structure."""
        means = [layer.mean[0] for layer in self.layers if layer.mean is not None]
        return means[0] if means else None

    @property
    def intervals(self) -> bool:
        """Whether there are enough groups for intervals of the means."""
        return any(layer.interval is not None for layer in self.layers)

    @property
    def structures(self) -> list[str]:
        """Those with an arrow in at least one layer, in the report's order within a layer."""
        names = (arrow.structure for layer in self.layers for arrow in layer.arrows)
        return list(dict.fromkeys(names))

    @property
    def stages(self) -> int:
        """How many potentials an arrow can lead to: those of the longest layer."""
        return max(len(layer.potentials) for layer in self.layers)

    def limits(self) -> np.ndarray:
        """(2, 2): [force, endpoint] × (low, high) of logarithmic axes that fit arrows and means.

        The noise floor is in view where it is not far below them; intervals may reach beyond.
        """
        ways = [arrow.points for layer in self.layers for arrow in layer.arrows]
        means = [layer.mean for layer in self.layers if layer.mean is not None]
        places = np.concatenate([np.array(way) for way in (*ways, *means)])
        low, high = places.min(0), places.max(0)
        span = np.log(high / low)
        floor = self.noise_floor
        if floor and floor < low[1] and np.log(low[1] / floor) < FAR * max(span[1], 1.0):
            low[1] = floor
            span = np.log(high / low)
        margin = np.maximum(0.1 * span, 0.05)
        return np.stack([low * np.exp(-margin), high * np.exp(margin)], axis=1)

    def describe_left_out(self) -> list[str]:
        """Which structures have no arrow: one phrase a layer and reason."""
        reasons: dict[str, list[str]] = {}
        for layer in self.layers:
            under = f" under {layer.title}" if len(self.layers) > 1 else ""
            for name, reason in layer.left_out.items():
                reasons.setdefault(f"{reason}{under}", []).append(name)
        return [f"Not shown ({reason}): {', '.join(names)}" for reason, names in reasons.items()]

    def describe(self) -> str:
        """The plane as a paragraph."""
        if not self.structures:
            return "; ".join(
                ["No structure can be placed on the error plane", *self.describe_left_out()]
            )
        several = len(self.layers) > 1
        text = [f"Error plane, {len(self.structures)} structures, an arrow each from {self.before}"]
        if several:
            text[0] += " in each layer."
        for layer in self.layers:
            on_the_way = ", ".join(layer.potentials[:-1])
            by_way = f" by way of {on_the_way}" if on_the_way else ""
            text.append(f"{'To' if several else 'to'} {layer.title}{by_way}.")
            text += [f"{layer.describe_counts()}."] * bool(layer.arrows) + [_describe_mean(layer)]
        return " ".join([*text, *(f"{note}." for note in self.describe_left_out())])


def error_plane_data(
    report: Report, before: str | None = None, after: After | None = None
) -> ErrorPlaneData:
    """Arrange a report on the error plane.

    Args:
        report: what was measured.
        before: name of a potential; by default the report's first.
        after: names of one or more potentials; by default the report's last. A name, or several of
            which each is a layer; or title → name, or names of the potentials after ever more
            updates, the last of which is "after".

    Raises:
        KeyError: the report holds no such potential.
        TypeError: no report, or no names.
        ValueError: no layer.
    """
    require_report(report)
    before = report.potentials[0] if before is None else text("before", before)
    ways = _ways(report, after)
    if unknown := {before, *(n for names in ways.values() for n in names)} - {*report.potentials}:
        known = ", ".join(report.potentials)
        raise KeyError(f"no potential {min(unknown)!r} in the report; there are {known}")
    placed = {title: _arrows(report, (before, *names)) for title, names in ways.items()}
    common = set.intersection(*({a.structure for a in arrows} for arrows, _ in placed.values()))
    layers = []
    for title, (arrows, left_out) in placed.items():
        shared = [arrow for arrow in arrows if arrow.structure in common]
        layers.append(Layer(title, ways[title], tuple(arrows), left_out, *_means(shared)))
    return ErrorPlaneData(before, tuple(layers), report.noise_floor)


def known(values: np.ndarray | None) -> np.ndarray:
    """Means that are there.

    Raises:
        ValueError: no structure is common to all layers, so that there are none.
    """
    if values is None:
        raise ValueError("no structure is common to all layers, so there are no means")
    return values


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


def _ways(report: Report, after: After | None) -> dict[str, tuple[str, ...]]:
    """Title → names of potentials, of what ``after`` means."""
    hint = '{"BPTT": ["4 updates", "8 updates"]}'
    if after is None:
        after = report.potentials[-1]
    if isinstance(after, str):
        after = [after]
    if not isinstance(after, Mapping):
        after = {name: name for name in sequence_of("after", after, str, '["fine-tuned"]')}
    ways = {
        title: tuple(sequence_of("after", [names] if isinstance(names, str) else names, str, hint))
        for title, names in after.items()
    }
    if not ways or not all(ways.values()):
        raise ValueError("the error plane needs at least one potential after, in each layer")
    return ways


def _arrows(report: Report, potentials: tuple[str, ...]) -> tuple[list[Arrow], dict[str, str]]:
    """An arrow for every structure that can be placed, and why the others cannot."""
    arrows, left_out = [], {}
    resolution = np.array([resolution_of("force_mae"), resolution_of("dq_rest")])
    floor = max(report.noise_floor or 0.0, resolution[1])
    both = report.shared(*potentials)
    for name, group in zip(report.structures, report.groups, strict=True):
        if name not in both:
            left_out[name] = "not measured under both"
            continue
        rows = [report.row(potential, name) for potential in potentials]
        values = np.array([(row.force_mae, row.dq_rest) for row in rows], float)
        if any(row.undescribed for row in rows):
            left_out[name] = "cannot be described"
        elif any(row.diverged for row in rows):
            left_out[name] = "diverged"
        elif not np.isfinite(values[:, 0]).all():
            left_out[name] = "no reference forces"
        elif not all(row.rest_converged for row in rows):
            left_out[name] = "did not come to rest"
        elif not np.isfinite(values).all():
            left_out[name] = "no endpoint error"
        else:
            points = np.maximum(values, resolution).tolist()
            arrows.append(Arrow(name, group, tuple((x, y) for x, y in points), floor))
    return arrows, left_out


def _means(arrows: Sequence[Arrow]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Means (T, 2) over structures of the arrows' points, and their intervals (T, 2, 2).

    The interval is of the logarithm of the mean, so that it stays positive, as the axes are.
    """
    if not arrows:
        return None, None
    points = np.array([arrow.points for arrow in arrows])  # (S, T, 2)
    groups = [arrow.group for arrow in arrows]
    if len(set(groups)) < MIN_SAMPLES:
        return points.mean(0), None
    low, high = group_interval(lambda chosen: np.log(points[chosen].mean(0)), groups)
    return points.mean(0), np.exp(np.stack([low, high], axis=-1))


def _describe_mean(layer: Layer) -> str:
    mean = layer.mean
    if mean is None:
        return "No structure is common to all layers, so there are no means."

    def value(step: int, error: int) -> str:
        """A mean with its interval."""
        text = f"{mean[step, error]:.3g}"
        if layer.interval is None:
            return text
        low, high = layer.interval[step, error]
        return f"{text} ({low:.3g} to {high:.3g})"

    note = "" if layer.interval is None else " (95 % intervals)"
    return (
        f"Mean force error {value(0, 0)} to {value(-1, 0)} eV/Å, mean endpoint error at rest "
        f"{value(0, 1)} to {value(-1, 1)} {UNIT}{note}."
    )
