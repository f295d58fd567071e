"""`RobustnessMap`: a heat map of trainings, one cell each, every one of which can be replayed."""

from __future__ import annotations

import uuid

import anywidget
import numpy as np
import traitlets
from traitlets.utils.bunch import Bunch

from bpttviz._checks import instance_of
from bpttviz.experiments.robustness_result import (
    ARRIVES,
    LEFT,
    METRICS,
    TOO_SHORT,
    UNSTABLE,
    Robustness,
    RobustnessCell,
)
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.plotting.heat_maps import Ways, format_percent, plot_heat_maps
from bpttviz.plotting.palette import BLUE, ORANGE, VERMILION
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.static import SelfContained

ENTRY = "robustness_map/index.js"
CONDITIONS = {
    ARRIVES: f"before training, K steps leave less than {100 * LEFT:.0f} % of the way to rest",
    TOO_SHORT: "they leave more",
    UNSTABLE: "the untrained map does not settle at rest",
}
WEAKEST, STRONGEST = 1.25, 10.0  # ratios: the range in which the last colours' one lies


class RobustnessMap(SelfContained, anywidget.AnyWidget):
    """A table of colours a procedure: rows are step sizes η, columns numbers of steps K.

    Buttons choose what is coloured: the change of the end at rest, of the end after K steps, or of
    the force error. A cell that is clicked (or reached by the arrow keys, and Enter) is replayed:
    where the held-out walkers go as training goes on, and the loss. Escape lets go. In a page
    without a kernel all of that works too.

        bv.RobustnessMap(bv.stored_robustness("landscape"))

    Args:
        result: of `bpttviz.robustness`, or `bpttviz.stored_robustness`.

    Attributes:
        selected: number of the selected cell in ``result.cells``, or -1 (a trait).
        metric: what is coloured, a key of ``METRICS`` (a trait).
        result: as given.

    Raises:
        TypeError: something else than a result.
        ValueError: it has no trainings.
        traitlets.TraitError: a cell or metric is set that there is not.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(ENTRY)

    selected = traitlets.Int(-1).tag(sync=True)
    metric = traitlets.Unicode("dq_rest").tag(sync=True)
    data = traitlets.Dict(read_only=True).tag(sync=True)
    name = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, result: Robustness):
        hint = 'bv.stored_robustness("landscape")'
        self.result = instance_of("result", result, Robustness, hint)
        if not result.cells:
            raise ValueError("there are no trainings to show")
        super().__init__()
        self.set_trait("data", _map_payload(result))
        self.set_trait("name", f"robustness-{uuid.uuid4().hex}")

    @traitlets.validate("selected")
    def _some_cell(self, proposal: Bunch) -> int:
        index, count = proposal["value"], len(self.result.cells)
        if not -1 <= index < count:
            raise traitlets.TraitError(f"there is no cell {index}; there are 0 to {count - 1}")
        return index

    @traitlets.validate("metric")
    def _known_metric(self, proposal: Bunch) -> str:
        if proposal["value"] not in METRICS:
            known = ", ".join(METRICS)
            raise traitlets.TraitError(f"no metric {proposal['value']!r}; there are {known}")
        return proposal["value"]

    @property
    def cell(self) -> RobustnessCell | None:
        """The selected one."""
        return self.result.cells[self.selected] if self.selected >= 0 else None

    def select(self, procedure: str, step_size: float, steps: int) -> RobustnessMap:
        """Choose a cell, as a click does. Raises KeyError where there is none."""
        self.selected = self.result.cells.index(self.result.cell(procedure, step_size, steps))
        return self

    def picture(self) -> AccessibleFigure:
        """The tables, and the selected cell's ways before and after, with alternative text."""
        result = self.result
        ratios = {name: _table(result, name, self.metric) for name in result.procedures}
        return plot_heat_maps(
            ratios,
            result.step_sizes,
            result.steps,
            "step size η / Å²/eV",
            "steps K",
            f"{result.name}: change of the {METRICS[self.metric]}, held out",
            _strongest(result, self.metric),
            None if self.cell is None else _ways(result, self.cell),
        )

    def heading(self) -> str:
        return f"Robustness: {self.result.name}"

    def view(self) -> dict:
        state = {"data": self.data, "selected": self.selected, "metric": self.metric}
        return {"entry": ENTRY, "data": state, "live": self.name}

    def __repr__(self) -> str:
        chosen = f", selected {self.cell.describe()}" if self.cell else ""
        return f"<RobustnessMap of {self.result!r}{chosen}>"


def _table(result: Robustness, procedure: str, metric: str) -> np.ndarray:
    """Ratios (step sizes, steps); NaN where there is no training or nothing to compare."""
    table = np.full((len(result.step_sizes), len(result.steps)), np.nan)
    for cell in result.cells:
        ratio = cell.change[metric]
        if cell.procedure == procedure and ratio is not None:
            place = result.step_sizes.index(cell.step_size), result.steps.index(cell.steps)
            table[place] = ratio
    return table


def _strongest(result: Robustness, metric: str) -> float:
    """The ratio that has the last colour."""
    ratios = [r for cell in result.cells if (r := cell.change[metric]) is not None]
    return min(max([WEAKEST, *(max(r, 1 / r) for r in ratios)]), STRONGEST)


def _ways(result: Robustness, cell: RobustnessCell) -> Ways:
    def arrays(stage: int) -> list[np.ndarray]:
        return [
            np.array([place or (np.nan, np.nan) for place in way], float)
            for way in cell.paths[stage]
        ]

    (x0, x1), (y0, y1) = result.window
    across, up = result.axes
    title = f"{cell.procedure}, η = {cell.step_size:g}, K = {cell.steps}"
    window = ((x0, x1), (y0, y1))
    return Ways(title, arrays(0), arrays(-1), np.array(result.goals), (across, up), window)


def _map_payload(result: Robustness) -> dict:
    """The result for the front end: numbers, words and colours, nothing left to work out."""
    strongest = {metric: _strongest(result, metric) for metric in METRICS}
    return {
        "words": f"Robustness of {result.name}, {len(result.cells)} trainings: "
        + ". ".join(result.verdict()),
        "procedures": result.procedures,
        "step_sizes": result.step_sizes,
        "steps": result.steps,
        "metrics": [
            {
                "key": metric,
                "title": title,
                "least": f"{format_percent(1 / strongest[metric])} or less",
                "most": f"{format_percent(strongest[metric])} or more",
            }
            for metric, title in METRICS.items()
        ],
        "cells": [_cell_payload(result, cell, strongest) for cell in result.cells],
        "conditions": CONDITIONS,
        "limits": {
            name: "shortens its steps by itself" if limit is None else f"stable to η = {limit:.2g}"
            for name, limit in result.limits.items()
        },
        "axes": result.axes,
        "window": result.window,
        "goals": result.goals,
        "ground_shape": result.ground_shape,
        "verdict": result.verdict(),
        "colours": {"better": BLUE, "worse": VERMILION, "before": ORANGE, "after": BLUE},
    }


def _cell_payload(result: Robustness, cell: RobustnessCell, strongest: dict[str, float]) -> dict:
    def level(metric: str) -> float | None:
        ratio = cell.change[metric]
        if ratio is None:
            return None
        return round(float(np.clip(np.log(ratio) / np.log(strongest[metric]), -1, 1)), 3)

    def label(metric: str) -> str:
        ratio = cell.change[metric]
        return "none" if ratio is None else format_percent(ratio)

    title, _, words = cell.describe().partition(": ")
    return {
        "procedure": cell.procedure,
        "step_size": cell.step_size,
        "steps": cell.steps,
        "condition": result.condition(cell),
        "title": title,
        "words": f"{words} ({result.condition(cell)}: {_left(cell)})",
        "labels": {metric: label(metric) for metric in METRICS},
        "levels": {metric: level(metric) for metric in METRICS},
        "losses": cell.losses,
        "stages": cell.stages,
        "paths": cell.paths,
        "ground": cell.ground,
    }


def _left(cell: RobustnessCell) -> str:
    if cell.left is None:
        return "none of them came to rest"
    return f"{100 * cell.left:.0f} % of the way left before training"
