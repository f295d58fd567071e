"""`ErrorPlane`: force error against endpoint error, an arrow per structure, each one clickable."""

from __future__ import annotations

import uuid
import weakref
from typing import TYPE_CHECKING

import anywidget
import numpy as np
import traitlets
from traitlets.utils.bunch import Bunch

from bpttviz._checks import instance_of, text
from bpttviz.evaluation.report import Report
from bpttviz.plotting import error_plane, error_plane_figure
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.static import REPORT_HINT, SelfContained
from bpttviz.widgets.thumbnails import thumbnails

if TYPE_CHECKING:
    from bpttviz.widgets.compare_relaxations import CompareRelaxations

ENTRY = "error_plane/index.js"


class ErrorPlane(SelfContained, anywidget.AnyWidget):
    """An arrow per structure from (force error, endpoint error at rest) before to after.

    Hovering or focusing an arrow names its structure; clicking it (or Enter) selects it, Escape
    takes the selection back. The arrow keys, Home and End go from structure to structure. Where
    there are several layers, a button for each shows and hides it. Where an arrow goes through
    several potentials (ever more updates, or blends with ever more of the tuned weights), a slider
    says how far: only what was measured is shown. Means, with 95 % intervals, are drawn in the
    plane and along its edges; the quarter of the paradox is named. Where the report has the
    structures, the one pointed at is drawn as it rests.

    In a page without a kernel (nbconvert, `save_html`) all of that works too.

        bv.ErrorPlane(report)  # every potential but the first is a layer; the last one is shown
        bv.ErrorPlane(report, after=["force-matched", "BPTT"])  # two layers, both shown
        bv.ErrorPlane(report, after={"BPTT": ["4 updates", "8 updates"]})  # stages
        bv.ErrorPlane(report, after={"blend": ["α = 0.5", "α = 1"]})  # of `bv.blend`, as evaluated

    Args:
        report: what was measured.
        before: name of the potential that arrows start from; by default the report's first.
        after: where they go. A name, or several, of which each is a layer; or title → name, or
            title → names of the potentials after ever more updates, through which an arrow then
            goes. By default every other potential of the report is a layer.

    Attributes:
        selected: name of the selected structure, or "" (a trait: observe or link it; so is the
            next).
        shown: titles of the layers that are shown; by default those that were asked for, or the
            last.
        stage: how far arrows go, counted in potentials after ``before``; by default to the last.
        letters: how many times their size letters have, 0.5 to 3: more where it is shown small.
        plane: the `bpttviz.plotting.error_plane.ErrorPlaneData` of all layers (not a trait).

    Raises:
        TypeError: something else than a report.
        KeyError: the report holds no such potential.
        ValueError: no layer.
        traitlets.TraitError: an unknown structure is selected, an unknown layer or none shown, or a
            stage that is none.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(ENTRY)

    selected = traitlets.Unicode("").tag(sync=True)
    shown = traitlets.List(traitlets.Unicode()).tag(sync=True)
    stage = traitlets.Int(1).tag(sync=True)
    letters = traitlets.Float(1, min=0.5, max=3).tag(sync=True)
    data = traitlets.Dict(read_only=True).tag(sync=True)
    name = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(
        self, report: Report, before: str | None = None, after: error_plane.After | None = None
    ):
        self.report = instance_of("report", report, Report, REPORT_HINT)
        layers = after
        if after is None:
            start = report.potentials[0] if before is None else text("before", before)
            layers = [name for name in report.potentials if name != start] or [start]
        self.plane = error_plane.error_plane_data(report, before, layers)
        super().__init__()
        # Of each comparison, as long as it is there.
        self._links = weakref.WeakKeyDictionary["CompareRelaxations", _Link]()
        self.set_trait("data", _plane_payload(self.plane, self.report))
        self.set_trait("name", f"plane-{uuid.uuid4().hex}")
        titles = [layer.title for layer in self.plane.layers]
        self.shown = titles[-1:] if after is None else titles
        self.stage = self.plane.stages

    @traitlets.validate("selected")
    def _known(self, proposal: Bunch) -> str:
        name = proposal["value"]
        if name and name not in self.report.structures:
            known = ", ".join(self.report.structures)
            raise traitlets.TraitError(f"no structure {name!r} in the report; there are {known}")
        return name

    @traitlets.validate("shown")
    def _some_known(self, proposal: Bunch) -> list[str]:
        titles = [layer.title for layer in self.plane.layers]
        if unknown := [title for title in proposal["value"] if title not in titles]:
            raise traitlets.TraitError(f"no layer {unknown[0]!r}; there are {', '.join(titles)}")
        if not proposal["value"]:
            raise traitlets.TraitError(f"one layer at least is shown, of {', '.join(titles)}")
        return [title for title in titles if title in proposal["value"]]

    @traitlets.validate("stage")
    def _measured(self, proposal: Bunch) -> int:
        if not 1 <= proposal["value"] <= self.plane.stages:
            raise traitlets.TraitError(
                f"stage counts the potentials of a layer, 1 to {self.plane.stages}, got "
                f"{proposal['value']}"
            )
        return proposal["value"]

    def update(
        self,
        report: Report,
        before: str | None = None,
        after: error_plane.After | None = None,
        least: np.ndarray | None = None,
    ) -> None:
        """Show another report, to the last of its potentials, while a training goes on, say.

        Args:
            report, before, after: as of the class.
            least: (2, 2) [force, endpoint] × (low, high) that the axes show at least.
        """
        self.plane = error_plane.error_plane_data(report, before, after)
        self.report = report
        with self.hold_sync():
            if self.selected not in ("", *report.structures):
                self.selected = ""
            self.set_trait("data", _plane_payload(self.plane, report, least))
            titles = [layer.title for layer in self.plane.layers]
            self.shown = [title for title in titles if title in self.shown] or titles
            self.stage = self.plane.stages

    def link(self, compare: CompareRelaxations) -> ErrorPlane:
        """Let a selection here choose the structure in a `CompareRelaxations`, and vice versa.

        Where one layer alone is chosen to be shown, the comparison turns to its potential. What the
        comparison has no paths of, it does not turn to. One that is closed is let go, and one that
        is linked again is still linked once.

        Raises:
            TypeError: something else than a `CompareRelaxations`.
        """
        if not hasattr(compare, "can_show"):
            raise TypeError(
                f"link() takes a CompareRelaxations, got {type(compare).__name__}; make one with "
                "bv.CompareRelaxations(report)"
            )

        if before := self._links.get(compare):
            before.end()
        self._links[compare] = _Link(self, compare)
        return self

    def picture(self) -> AccessibleFigure:
        """The layers that are shown as a static figure with alternative text."""
        ways = {layer.title: layer.potentials for layer in self._shown_layers()}
        return error_plane_figure.plot_error_plane(self.report, self.plane.before, ways)

    def heading(self) -> str:
        return f"Error plane: {self.plane.title}"

    def view(self) -> dict:
        return {
            "entry": ENTRY,
            "data": {
                "data": self.data,
                "shown": self.shown,
                "selected": self.selected,
                "stage": self.stage,
                "letters": self.letters,
            },
            "live": self.name,
        }

    def __repr__(self) -> str:
        chosen = f", selected {self.selected!r}" if self.selected else ""
        return f"<ErrorPlane{chosen}> {self.plane.describe()}"

    def _shown_layers(self) -> list[error_plane.Layer]:
        chosen = [layer for layer in self.plane.layers if layer.title in self.shown]
        return [layer.until(self.stage) for layer in chosen]


class _Link:
    """A selection in the plane chooses the structure of the comparison, and vice versa.

    It keeps neither of them alive: a notebook's cell that is run again makes new ones.
    """

    def __init__(self, plane: ErrorPlane, compare: CompareRelaxations):
        self._plane, self._compare = weakref.ref(plane), weakref.ref(compare)
        self._ended = False
        plane.observe(self._choose, "selected")
        plane.observe(self._follow, ["shown", "stage"])
        compare.observe(self._mark, "structure")
        for one in (plane, compare):
            one.observe(self._closed, "comm")

    def end(self) -> None:
        """Each goes its own way again."""
        if self._ended:
            return
        self._ended = True
        plane, compare = self._plane(), self._compare()
        if plane is not None:
            plane.unobserve(self._choose, "selected")
            plane.unobserve(self._follow, ["shown", "stage"])
            plane.unobserve(self._closed, "comm")
        if compare is not None:
            compare.unobserve(self._mark, "structure")
            compare.unobserve(self._closed, "comm")

    def _choose(self, change: Bunch) -> None:
        compare = self._compare()
        if compare is not None and change["new"] and compare.can_show(change["new"]):
            compare.structure = change["new"]

    def _follow(self, _: Bunch) -> None:
        plane, compare = self._plane(), self._compare()
        if plane is None or compare is None or len(plane.shown) != 1:
            return
        after = plane._shown_layers()[0].potentials[-1]
        if compare.can_show(after=after):
            compare.after = after

    def _mark(self, change: Bunch) -> None:
        plane = self._plane()
        if plane is not None and change["new"] in plane.report.structures:
            plane.selected = change["new"]

    def _closed(self, change: Bunch) -> None:
        if change["new"] is None:  # a widget without a channel to the browser is closed
            self.end()


def _plane_payload(
    data: error_plane.ErrorPlaneData, report: Report, least: np.ndarray | None = None
) -> dict:
    """The plane for the front end: numbers, words and colours, nothing left to work out."""
    potentials = [data.before, *(p for layer in data.layers for p in layer.potentials)]
    result = {
        "words": data.describe(),
        "before": data.before,
        "paradox": error_plane.PARADOX.split(", "),
        "notes": data.describe_left_out(),
        "structures": data.structures,
        "layers": [_layer_payload(data.before, *each) for each in enumerate(data.layers)],
        "looks": {
            meaning: {"colour": colour, "dashed": line == "dashed"}
            for meaning, (colour, line) in error_plane_figure.LOOK.items()
        },
        "mean": None if data.mean is None else data.mean.tolist(),
        "noise_floor": data.noise_floor,
        "intervals": data.intervals,
        "thumbnails": thumbnails(report, data.structures, list(dict.fromkeys(potentials))),
    }
    if data.structures:
        limits = data.limits()
        if least is not None:
            low, high = np.minimum(limits, least)[:, 0], np.maximum(limits, least)[:, 1]
            limits = np.stack([low, high], axis=1)
        result["limits"] = limits.tolist()
        result["ticks"] = [error_plane.ticks(low, high) for low, high in limits]
    return result


def _layer_payload(before: str, number: int, layer: error_plane.Layer) -> dict:
    colour, filled = error_plane_figure.layer_look(number)
    return {
        "title": layer.title,
        "colour": colour,
        "filled": filled,
        "potentials": [before, *layer.potentials],
        "stages": [_stage_payload(layer.until(n + 1)) for n in range(len(layer.potentials))],
        "mean": None if layer.mean is None else layer.mean.tolist(),
        "interval": None if layer.interval is None else layer.interval.tolist(),
    }


def _stage_payload(layer: error_plane.Layer) -> dict:
    """What a layer says if its last potential is the one that arrows lead to."""
    return {
        "better": layer.describe_better(),
        "arrows": [
            {
                "name": arrow.structure,
                "points": [list(point) for point in arrow.points],
                "meaning": arrow.meaning,
                "words": arrow.describe(),
            }
            for arrow in layer.arrows
        ],
        "counts": {m: layer.count(m) for m in error_plane.MEANINGS if layer.count(m)},
    }
