"""`CompareRelaxations`: one structure relaxing under two potentials, side by side, on one clock."""

from __future__ import annotations

import html

import ipywidgets
import traitlets

from bpttviz import frames, plots
from bpttviz.palette import DISTANCE, GHOST
from bpttviz.picture import Picture
from bpttviz.report import Report
from bpttviz.widgets.static import WithPicture

SPEEDS = (("½×", 400), ("1×", 200), ("2×", 100), ("4×", 50))  # milliseconds a step


class CompareRelaxations(WithPicture, ipywidgets.VBox):
    """Before and after, on one clock: atoms coloured by their distance to the reference end.

    The reference end stands behind the atoms as a blue ghost; drift is removed and the defect is in
    the middle. Dragging in one pane turns both.

    Args:
        report: what was measured.
        structure: number or name of the first one to show.
        before, after: names of two potentials; by default the report's first and last.

    Attributes:
        structure: name of the structure shown (a trait: set, observe or link it).
        step: the step shown (a trait). A path that has ended, or was given up, stays at its end.
        panes: the two panes; ``panes[0].view`` is an ``nglview.NGLWidget``.
    """

    structure = traitlets.Unicode()
    step = traitlets.Int(0)

    def __init__(
        self,
        report: Report,
        structure: int | str = 0,
        before: str | None = None,
        after: str | None = None,
    ):
        from bpttviz.widgets.pane import Pane  # loads nglview, which is slow and not always there

        self.report = report
        self.before = report.potentials[0] if before is None else before
        self.after = report.potentials[-1] if after is None else after
        name = report.row(self.before, structure).structure
        self.panes = (Pane(), Pane())
        views = [pane.view for pane in self.panes]
        views[0]._set_sync_camera([views[1]])
        views[1]._set_sync_camera([views[0]])

        self._choice = ipywidgets.Dropdown(
            options=report.structures, value=name, description="structure",
            tooltip="Which structure to show",
        )  # fmt: skip
        self._play = ipywidgets.Play(value=0, interval=200, repeat=True, show_repeat=True)
        self._slider = ipywidgets.IntSlider(
            value=0, description="step", layout={"flex": "1 1 200px"}, tooltip="Step shown"
        )
        self._speed = ipywidgets.Dropdown(
            options=SPEEDS, value=200, description="speed", layout={"width": "140px"}
        )
        self._play.add_class("bpttviz-play")
        self._slider.add_class("bpttviz-step")
        # Linked in the browser: the clock ticks without asking Python, which draws what it can.
        ipywidgets.jslink((self._play, "value"), (self._slider, "value"))
        traitlets.link((self._speed, "value"), (self._play, "interval"))
        traitlets.link((self._choice, "value"), (self, "structure"))
        traitlets.link((self._slider, "value"), (self, "step"))

        self._legend = ipywidgets.HTML()
        self._message = ipywidgets.HTML()
        row = {"flex_flow": "row wrap", "align_items": "center"}
        super().__init__(
            [
                self._choice,
                ipywidgets.HBox(list(self.panes), layout={"flex_flow": "row wrap"}),
                ipywidgets.HBox([self._play, self._slider, self._speed], layout=row),
                self._legend,
                self._message,
            ]
        )
        self._load()
        self.observe(lambda _: self._load(), "structure")
        self.observe(lambda _: self._show(), "step")

    @traitlets.validate("structure")
    def _known(self, proposal):
        name = proposal["value"]
        if name not in self.report.structures:
            known = ", ".join(self.report.structures)
            raise traitlets.TraitError(f"no structure {name!r} in the report; there are {known}")
        return name

    @property
    def steps(self) -> int:
        """The last step of the clock: that of the longer path."""
        return max(path.steps for path in self.paths)

    def picture(self) -> Picture:
        """The last step of both as a static figure with alternative text."""
        return plots.compare_frames(
            self.report, self.structure, before=self.before, after=self.after
        )

    def __repr__(self) -> str:
        numbers = "; ".join(
            f"{p.potential}: ΔQ {p.delta_q[0]:.2f} → {p.delta_q[p.last]:.2f} {plots.UNIT} in "
            f"{p.last} steps" + (f", {p.lost}" if p.lost else "")
            for p in self.paths
        )
        return f"<CompareRelaxations of {self.structure}> {numbers}"

    def _load(self) -> None:
        """Show the chosen structure from its start."""
        self.paths = frames.pair(self.report, self.structure, self.before, self.after)
        limit = frames.colour_limit(self.paths)
        self._play.playing = False
        for control in (self._play, self._slider):
            control.max = self.steps
            control.disabled = self.steps == 0
        for pane, path in zip(self.panes, self.paths, strict=True):
            pane.load(path, limit)
        self._legend.value = _legend(limit)
        self._message.value = "".join(
            f"<p role='alert'>⚠ <b>{html.escape(p.potential)}</b> {html.escape(p.lost)}; "
            f"it stays at its last frame, step {p.last}.</p>"
            for p in self.paths
            if p.lost
        ) or ("<p>Only one frame: nothing to play.</p>" if self.steps == 0 else "")
        self.step = 0
        self._show()

    def _show(self) -> None:
        for pane, path in zip(self.panes, self.paths, strict=True):
            pane.show(self.step, _title(path, self.step))


def _title(path: frames.Path, step: int) -> str:
    held = path.held(step)
    state = f"step {held}: ΔQ {path.delta_q[held]:.2f} amu<sup>½</sup> Å"
    if path.lost and step > path.last:
        state = f"{html.escape(path.lost)} (shown: step {held})"
    return f"<b>{html.escape(path.potential)}</b> &nbsp; {state}"


def _legend(limit: float) -> str:
    shades = ", ".join(DISTANCE)
    return (
        '<div style="display:flex; flex-wrap:wrap; gap:4px 16px; align-items:center; '
        'line-height:1.4">'
        "<span>distance to the reference end: 0 "
        '<span role="img" aria-label="colour scale from light to dark" style="display:inline-block;'
        f"width:120px;height:11px;border:1px solid #888;vertical-align:middle;"
        f'background:linear-gradient(to right,{shades})"></span> {limit:.2f} Å or more</span>'
        f'<span><span aria-hidden="true" style="display:inline-block;width:11px;height:11px;'
        f"border-radius:50%;border:1px solid {GHOST};background:{GHOST}55;vertical-align:middle"
        '"></span> the reference end</span>'
        "<span>drag to turn both, scroll to zoom</span></div>"
    )
