"""`Robustness`: one training, made with every procedure, step size and number of steps; on disk."""

from __future__ import annotations

import base64
import json
import lzma
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from bpttviz._checks import file_path, text
from bpttviz._files import write_atomic

METRICS = {"dq_rest": "end at rest", "dq_k": "end after K steps", "force_mae": "forces"}

# What is to be expected of a cell before anything is trained.
ARRIVES, TOO_SHORT, UNSTABLE = "arrives", "too short", "beyond the stable step"
LEFT = 0.05  # of the way to rest: K steps that leave more are too short
HARDLY = 0.5  # of the largest gain: where the least is as large, results hardly depend


@dataclass(frozen=True)
class RobustnessCell:
    """One training of the many, and what came of it on the held-out relaxations.

    Attributes:
        procedure: name of the update rule's kind.
        step_size: η, Å²/eV.
        steps: K.
        left: what K steps of the untrained map leave of the way to where it rests: a mean.
        before, after: metric → mean (amu^½ Å, amu^½ Å, eV/Å).
        change: metric → geometric mean of after/before; what is below the resolution counts as the
            resolution. None: nothing to compare.
        worse: metric → how many of the relaxations got worse.
        lost: those that diverged or did not come to rest, before or after.
        losses: of training, one an update; None where an update had none.
        stages: updates after which paths were taken; the first is 0.
        paths: (stages, walkers shown, steps + 1, 2): where they go, to two digits; None: lost.
        ground: base64 of (stages, rows, columns) bytes, row 0 lowest: the energy, 0 the lowest; or
            "".
    """

    procedure: str
    step_size: float
    steps: int
    left: float | None
    before: dict[str, float | None]
    after: dict[str, float | None]
    change: dict[str, float | None]
    worse: dict[str, int]
    lost: list[str]
    losses: list[float | None]
    stages: list[int]
    paths: list[list[list[list[float] | None]]]
    ground: str = ""

    @property
    def key(self) -> tuple[str, float, int]:
        """Procedure, step size and steps."""
        return self.procedure, self.step_size, self.steps

    def describe(self) -> str:
        """What came of it, in a sentence or two."""
        changes = ", ".join(
            f"{title} {format_change(self.change[name])}"
            + (f" ({self.worse[name]} worse)" if self.worse[name] else "")
            for name, title in METRICS.items()
        )
        lost = f" Lost: {', '.join(self.lost)}." if self.lost else ""
        return f"{self.procedure}, η = {self.step_size:g} Å²/eV, K = {self.steps}: {changes}.{lost}"


def format_change(ratio: float | None) -> str:
    """A ratio as a change: −97 %, or ×5."""
    if ratio is None:
        return "nothing to compare"
    if ratio >= 1.995:
        return f"×{ratio:.2g}"
    percent = 100 * (ratio - 1)
    digits = 1 if percent < -99 else 0
    return f"{percent:+.{digits}f} %".replace("-", "−")


@dataclass(frozen=True, eq=False)
class Robustness:
    """The same training, again and again.

    Attributes:
        name: of the problem.
        axes: what the two coordinates of paths are.
        window: low and high of each.
        goals: (walkers shown, 2): where each should end.
        held_out: names of the relaxations that were judged.
        noise_floor: resolution of ends, amu^½ Å.
        stiffest: the largest curvature at the held-out ends of the untrained potential, eV/Å².
        limits: procedure → the step size beyond which it does not settle there; None: it adapts.
        ground_shape: rows and columns of a cell's ``ground``; [] without.
        made: by what, with what.
        cells: in the order in which they came.
    """

    name: str
    axes: list[str]
    window: list[list[float]]
    goals: list[list[float]]
    held_out: list[str]
    noise_floor: float
    stiffest: float
    limits: dict[str, float | None]
    ground_shape: list[int] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)
    cells: list[RobustnessCell] = field(default_factory=list)

    @property
    def procedures(self) -> list[str]:
        """In the order in which they came."""
        return list(dict.fromkeys(cell.procedure for cell in self.cells))

    @property
    def step_sizes(self) -> list[float]:
        """Ascending, Å²/eV."""
        return sorted({cell.step_size for cell in self.cells})

    @property
    def steps(self) -> list[int]:
        """Ascending."""
        return sorted({cell.steps for cell in self.cells})

    def cell(self, procedure: str, step_size: float, steps: int) -> RobustnessCell:
        """One training. Raises KeyError where there is none."""
        for cell in self.cells:
            if cell.key == (procedure, step_size, steps):
                return cell
        raise KeyError(
            f"no training with {procedure}, η = {step_size:g} and K = {steps}; there are "
            f"{', '.join(self.procedures)} with η = {_listed(self.step_sizes)} and K = "
            f"{_listed(self.steps)}"
        )

    def condition(self, cell: RobustnessCell) -> str:
        """What was to be expected: "arrives", "too short" or "beyond the stable step"."""
        limit = self.limits.get(cell.procedure)
        if limit is not None and cell.step_size > limit:
            return UNSTABLE
        return TOO_SHORT if cell.left is None or cell.left > LEFT else ARRIVES

    def those(self, condition: str) -> list[RobustnessCell]:
        """Cells of one condition."""
        return [cell for cell in self.cells if self.condition(cell) == condition]

    def spread(self, metric: str, cells: Sequence[RobustnessCell]) -> tuple[float, float] | None:
        """Lowest and highest change (ratios) of a metric; None where there is nothing."""
        found = [r for cell in cells if (r := cell.change[metric]) is not None]
        return (min(found), max(found)) if found else None

    def hardly_depends(self, cells: Sequence[RobustnessCell] | None = None) -> bool:
        """Whether the end at rest gains everywhere, the least at least half of the most.

        Args:
            cells: of which; by default all.
        """
        cells = self.cells if cells is None else cells
        share = self.least_share(cells)
        return share is not None and share >= HARDLY and not any(cell.lost for cell in cells)

    def least_share(self, cells: Sequence[RobustnessCell]) -> float | None:
        """Least gain of the end at rest, as a share of the largest; negative where one loses.

        None where nothing was compared; −inf where none gains.
        """
        spread = self.spread("dq_rest", cells)
        if spread is None:
            return None
        best, least = 1 - spread[0], 1 - spread[1]
        return least / best if best > 0 else -math.inf

    def verdict(self) -> list[str]:
        """What the trainings say, condition by condition, and whether results hardly depend."""
        sentences = []
        for condition in (ARRIVES, TOO_SHORT, UNSTABLE):
            cells = self.those(condition)
            if not cells:
                continue
            parts = [
                f"{METRICS[metric]} {format_change(spread[0])} to {format_change(spread[1])}"
                for metric in METRICS
                if (spread := self.spread(metric, cells)) is not None
            ]
            word = "hardly depends" if self.hardly_depends(cells) else "depends"
            sentences.append(
                f"{condition} ({len(cells)} of {len(self.cells)}): {'; '.join(parts)}: the end at "
                f"rest {word} on the settings"
            )
        return sentences

    def write(self, path: str | Path) -> Path:
        """Keep it: JSON, xz-compressed. Raises OSError."""
        path = file_path("path", path)
        content = json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)
        write_atomic(path, lzma.compress(content.encode(), preset=9 | lzma.PRESET_EXTREME))
        return path

    @classmethod
    def read(cls, path: str | Path) -> Robustness:
        """What `write` left.

        Raises:
            ValueError: something else.
            OSError: it cannot be read.
        """
        path = file_path("path", path)
        try:
            held = json.loads(lzma.decompress(path.read_bytes()))
            cells = [RobustnessCell(**cell) for cell in held.pop("cells")]
            return cls(cells=cells, **held)
        except (lzma.LZMAError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} holds no Robustness ({type(error).__name__}: {error})") from (
                error
            )

    def __repr__(self) -> str:
        return f"<Robustness of {self.name}: {len(self.cells)} trainings> " + (
            ". ".join(self.verdict()) + "."
        )


def stored_robustness(name: str = "landscape") -> Robustness:
    """A result that comes with the package, as `bpttviz.experiments.robustness` made it.

    "landscape": walkers in a plane. "silicon": defects, with the `PaiNN` of this package.

    Raises:
        ValueError: there is none of that name.
    """
    shelf = Path(str(files("bpttviz") / "experiments" / "stored"))
    available = sorted(path.name.split(".")[0] for path in shelf.glob("*.json.xz"))
    if text("name", name) not in available:
        raise ValueError(f"no stored result {name!r}; there are {', '.join(available)}")
    return Robustness.read(shelf / f"{name}.json.xz")


def rounded(points: np.ndarray) -> list:
    """(..., T, 2) as nested lists to two digits; a point that is not finite is None."""
    if points.ndim > 1:
        return [rounded(part) for part in points]
    return [round(float(x), 2) for x in points] if np.isfinite(points).all() else None  # type: ignore[return-value]  # the innermost


def packed(energy: np.ndarray, highest: float) -> str:
    """Energies (stages, rows, columns) eV as base64 of bytes, 255 at ``highest`` above the lowest.

    The lowest of each stage is 0: the zero of an energy means nothing.
    """
    above = energy - energy.min(axis=(1, 2), keepdims=True)
    levels = np.sqrt(np.clip(above / highest, 0, 1))  # low ground, where walkers rest, in detail
    return base64.b64encode((255 * levels).round().astype(np.uint8).tobytes()).decode()


def finite(value: float) -> float | None:
    """For JSON, which knows no NaN; four digits."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
