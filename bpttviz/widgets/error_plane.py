"""`ErrorPlane`: force error against endpoint error, an arrow per structure, each one clickable."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from bpttviz import plane, plots
from bpttviz.picture import Picture
from bpttviz.report import Report
from bpttviz.widgets.static import WithPicture

HERE = Path(__file__).parent


class ErrorPlane(WithPicture, anywidget.AnyWidget):
    """An arrow per structure from (force error, endpoint error at rest) before to after.

    Hovering or focusing an arrow names its structure; clicking it (or Enter) selects it, Escape
    takes the selection back. The arrow keys go from structure to structure.

    Args:
        report: what was measured.
        before, after: names of two potentials; by default the report's first and last.

    Attributes:
        selected: name of the selected structure, or "" (a trait: observe or link it).
    """

    _esm = HERE / "error_plane.js"
    _css = HERE / "error_plane.css"

    selected = traitlets.Unicode("").tag(sync=True)
    data = traitlets.Dict(read_only=True).tag(sync=True)

    def __init__(self, report: Report, before: str | None = None, after: str | None = None):
        self.report = report
        self.plane = plane.error_plane(report, before, after)
        super().__init__()
        self.set_trait("data", _as_json(self.plane))

    @traitlets.validate("selected")
    def _known(self, proposal):
        name = proposal["value"]
        if name and name not in self.report.structures:
            known = ", ".join(self.report.structures)
            raise traitlets.TraitError(f"no structure {name!r} in the report; there are {known}")
        return name

    def link(self, compare) -> ErrorPlane:
        """Let a selection here choose the structure in a `CompareRelaxations`, and vice versa."""

        def choose(change):
            if change["new"] and change["new"] in compare.report.structures:
                compare.structure = change["new"]

        def mark(change):
            if change["new"] in self.report.structures:
                self.selected = change["new"]

        self.observe(choose, "selected")
        compare.observe(mark, "structure")
        return self

    def picture(self) -> Picture:
        """The plane as a static figure with alternative text."""
        return plots.error_plane(self.report, self.plane.before, self.plane.after)

    def __repr__(self) -> str:
        chosen = f", selected {self.selected!r}" if self.selected else ""
        return f"<ErrorPlane{chosen}> {plots.plane_in_words(self.plane)}"


def _as_json(data: plane.Plane) -> dict:
    """The plane for the front end: numbers, words and colours, nothing left to work out."""
    result = {
        "words": plots.plane_in_words(data),
        "title": f"{data.before} → {data.after}",
        "before": data.before,
        "after": data.after,
        "paradox": f"the paradox: {plane.PARADOX}",
        "notes": plots.left_out_in_words(data),
        "arrows": [],
    }
    if not data.arrows:
        return result
    limits = data.limits()
    result["arrows"] = [
        {
            "name": arrow.structure,
            "before": arrow.before,
            "after": arrow.after,
            "meaning": arrow.meaning,
            "words": (
                f"{arrow.structure}: endpoint error {arrow.before[1]:.3f} → {arrow.after[1]:.3f} "
                f"{plots.UNIT}, force error {arrow.before[0]:.4f} → {arrow.after[0]:.4f} eV/Å; "
                f"{arrow.meaning}"
            ),
        }
        for arrow in data.arrows
    ]
    result["meanings"] = [
        {"text": text, "colour": colour, "dashed": line == "dashed", "count": data.count(text)}
        for text, (colour, line) in plots.LOOK.items()
        if data.count(text)
    ]
    result["limits"] = limits.tolist()
    result["ticks"] = [plane.ticks(low, high) for low, high in limits]
    result["mean"] = data.mean.tolist()
    result["interval"] = None if data.interval is None else data.interval.tolist()
    result["noise_floor"] = data.noise_floor
    return result
