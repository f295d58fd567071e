"""`CompareRelaxations`: one structure relaxing under two potentials, side by side, on one clock."""

from __future__ import annotations

import uuid

import ipywidgets
import traitlets
from traitlets.utils.bunch import Bunch

from bpttviz._checks import instance_of
from bpttviz.evaluation.report import Report
from bpttviz.plotting import trajectory
from bpttviz.plotting.figure import UNIT, AccessibleFigure
from bpttviz.plotting.results import plot_frames
from bpttviz.widgets.payload import comparison_payload, with_text_for_bytes
from bpttviz.widgets.player import ENTRY, SHOWN, Canvas, Player, Viewer
from bpttviz.widgets.static import REPORT_HINT, SelfContained, close_all

CHOSEN = ("structure", "before", "after")


class CompareRelaxations(SelfContained, ipywidgets.VBox):
    """Before and after, on one clock: atoms coloured by their distance to the reference end.

    The reference end stands behind the atoms as a blue ghost; drift is removed and the defect is in
    the middle. Dragging in one pane turns both. Below, energy, largest force and ΔQ against the
    step; a click on a curve goes there. After the map's last step, K, the clock goes on to rest,
    through the frames that the report has of that way. On demand: arrows from every atom to its
    place in the reference end, atoms repeated beyond the cell's faces, and displacements drawn
    larger than they are. A click on an atom tells how far it is from its place by step, its share
    of ΔQ² and its force error. An empty site of the crystal is drawn as a dashed circle.

    Where a report has no path of some structure under some potential (one that was merged, say),
    the menus offer what there is beside the other two choices.

    Keys: left and right go a step, Home and End to the ends, k to K, space plays, Escape lets the
    atom go; in a pane the arrow keys turn both, plus and minus zoom, 0 goes back.

    In a page without a kernel (nbconvert, `save_html`) the same player stands in for the widget.

    Args:
        report: what was measured.
        structure: number or name of the first one to show.
        before, after: names of two potentials; by default the report's first and last.
        viewer: what shows the atoms: by default `bpttviz.widgets.Canvas()`, the player's own. It
            needs neither a graphics card nor another extension, looks the same in a saved page,
            and adds nothing to what a notebook keeps. `bpttviz.widgets.NGLPanes()` shows the same
            in nglview's windows, in which atoms can also be picked and measured; where its front
            end is missing in the browser (VS Code and Colab without it) the canvas takes over:
            only the browser knows, so it decides there, and Python hears of it.

    Attributes:
        structure: name of the structure shown (a trait: set, observe or link it; so are all here).
        before, after: names of the two potentials.
        step: the step shown, kept between 0 and `steps`; beyond the map's last step it counts those
            of the way to rest. A path that has ended, or was given up, stays at its last frame.
        arrows, images: whether displacement arrows, and periodic images, are shown.
        exaggeration: how many times as far from the reference end atoms are drawn, 1 to 20.
        atom: index of the atom that is told about; -1: none.
        paths: the two `bpttviz.plotting.trajectory.AlignedTrajectory` (not a trait).

    Raises:
        TypeError: something else than a report, or than a viewer.
        KeyError: the report holds no such structure or potential, or no path of the one under the
            other.
        traitlets.TraitError: when that is set later; what was shown stays. Two or three at once are
            set within ``hold_trait_notifications()``.
    """

    structure = traitlets.Unicode()
    before = traitlets.Unicode()
    after = traitlets.Unicode()
    step = traitlets.Int(0)
    arrows = traitlets.Bool(False)
    images = traitlets.Bool(False)
    exaggeration = traitlets.Int(1, min=1, max=20)
    atom = traitlets.Int(-1)

    def __init__(
        self,
        report: Report,
        structure: int | str = 0,
        before: str | None = None,
        after: str | None = None,
        viewer: Viewer | None = None,
    ):
        self.report = instance_of("report", report, Report, REPORT_HINT)
        before = report.potentials[0] if before is None else before
        after = report.potentials[-1] if after is None else after
        first = report.row(before, structure).structure
        for potential in (before, after):
            self._require_path(first, potential)
        super().__init__()
        self.viewer = Canvas() if viewer is None else _checked_viewer(viewer)
        self.set_trait("structure", first)
        self.set_trait("before", before)
        self.set_trait("after", after)
        views = [view.model_id for view in self.viewer.views]
        self.player = Player(views=views, name=f"compare-{uuid.uuid4().hex}")
        self._load()

        self._offering = False  # while menus are filled they choose nothing
        self._dropdowns = {name: self._dropdown(name) for name in CHOSEN}
        self._above = ipywidgets.HBox(
            list(self.viewer.panes),
            layout={"flex_flow": "row nowrap", "grid_gap": "10px", "max_width": "1100px"},
        )
        self.children = [
            ipywidgets.HBox(
                list(self._dropdowns.values()),
                layout={"flex_flow": "row nowrap", "max_width": "1100px"},
            ),
            *([self._above] if views else []),
            self.player,
        ]
        for name in SHOWN:
            traitlets.link((self, name), (self.player, name))
        self.player.observe(self._without_panes, "missing")
        self.observe(lambda _: self._load(), list(CHOSEN))
        self.observe(lambda _: self._offer(), list(CHOSEN))

    def can_show(
        self, structure: str | None = None, before: str | None = None, after: str | None = None
    ) -> bool:
        """Whether the report has both paths; what is not given is what is shown now."""
        structure = self.structure if structure is None else structure
        try:
            self._require_path(structure, self.before if before is None else before)
            self._require_path(structure, self.after if after is None else after)
        except KeyError:
            return False
        return True

    def _require_path(self, structure: str, potential: str) -> None:
        """Raises KeyError where the report has no path to show."""
        self.report.row(potential, structure)
        self.report.relaxation(potential, structure)
        self.report.reference(structure)

    def _dropdown(self, name: str) -> ipywidgets.Dropdown:
        dropdown = ipywidgets.Dropdown(
            options=self._possible(name), value=getattr(self, name), description=name,
            layout={"flex": "1 1 0", "min_width": "0"}, style={"description_width": "initial"},
        )  # fmt: skip

        def choose(change: Bunch) -> None:
            if not self._offering:
                setattr(self, name, change["new"])

        dropdown.observe(choose, "value")
        return dropdown

    def _possible(self, name: str) -> list[str]:
        """What can be chosen beside the other two choices."""
        known = self.report.structures if name == "structure" else self.report.potentials
        return [one for one in known if self.can_show(**{name: one})]

    def _offer(self) -> None:
        """Have the menus show what is chosen, among what can be."""
        self._offering = True
        try:
            for name, dropdown in self._dropdowns.items():
                with dropdown.hold_sync():
                    possible = self._possible(name)
                    if list(dropdown.options) != possible:  # which chooses the first of them
                        dropdown.options = possible
                    dropdown.value = getattr(self, name)
        finally:
            self._offering = False

    @traitlets.validate(*CHOSEN)
    def _known(self, proposal: Bunch) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        known = self.report.structures if name == "structure" else self.report.potentials
        what = "structure" if name == "structure" else "potential"
        _one_of(what, value, known)
        chosen = {one: getattr(self, one) for one in CHOSEN} | {name: value}
        if all(chosen.values()):  # else it is being made
            try:
                for potential in (chosen["before"], chosen["after"]):
                    self._require_path(chosen["structure"], potential)
            except KeyError as error:
                raise traitlets.TraitError(error.args[0]) from error
        return value

    @traitlets.validate("atom")
    def _some_atom(self, proposal: Bunch) -> int:
        count = len(self.paths[0].symbols)
        if not -1 <= proposal["value"] < count:
            raise traitlets.TraitError(
                f"no atom {proposal['value']} in {self.structure}; there are 0 to {count - 1}, and "
                "-1 for none"
            )
        return proposal["value"]

    @traitlets.validate("step")
    def _on_the_clock(self, proposal: Bunch) -> int:
        return min(max(proposal["value"], 0), self.steps)

    @property
    def steps(self) -> int:
        """The last step of the clock: that of the longer path, its way to rest included."""
        return self.player.payload["steps"]

    def picture(self) -> AccessibleFigure:
        """The last step of both as a static figure with alternative text."""
        return plot_frames(self.report, self.structure, before=self.before, after=self.after)

    def heading(self) -> str:
        return f"{self.structure}: two relaxations"

    def view(self) -> dict:
        """The player as it stands, about 0.2 MB for 64 atoms and 60 steps."""
        return {
            "entry": ENTRY,
            "data": with_text_for_bytes(self.player.payload)
            | {"shown": {name: getattr(self, name) for name in SHOWN}},
            "live": self.player.name,
        }

    def __repr__(self) -> str:
        numbers = "; ".join(
            f"{p.potential}: ΔQ {p.delta_q[0]:.2f} → {p.delta_q[p.last]:.2f} {UNIT} in "
            f"{p.last} steps" + (f", {p.lost}" if p.lost else "")
            for p in self.paths
        )
        return f"<CompareRelaxations of {self.structure}> {numbers}"

    def _load(self) -> None:
        """Show the chosen structure and pair from the start."""
        paths = trajectory.trajectory_pair(self.report, self.structure, self.before, self.after)
        payload = comparison_payload(paths, self.report)
        if self.player.payload.get("structure", self.structure) != self.structure:
            self.atom = -1
        self.paths, self.player.payload = paths, payload
        self.step = 0
        self.viewer.load(self.paths, trajectory.colour_limit(self.paths))

    def close(self) -> None:
        """Take it away, with all its parts; an `ErrorPlane` that it was linked to lets go."""
        for part in self.children:
            close_all(part)
        super().close()

    def _without_panes(self, _: Bunch) -> None:
        self._above.layout.display = "none" if self.player.missing else None


def _checked_viewer(viewer: Viewer) -> Viewer:
    if isinstance(viewer, type) or not isinstance(viewer, Viewer):
        name = viewer.__name__ if isinstance(viewer, type) else type(viewer).__name__
        kind = f"the class {name}" if isinstance(viewer, type) else name
        raise TypeError(
            f"viewer must be an object such as bpttviz.widgets.Canvas() or "
            f"bpttviz.widgets.NGLPanes(), got {kind}"
        )
    return viewer


def _one_of(what: str, name: str, known: list[str]) -> str:
    if name not in known:
        raise traitlets.TraitError(
            f"no {what} {name!r} in the report; there are {', '.join(known)}"
        )
    return name
