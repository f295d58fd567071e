"""`PlaygroundView`: errors and atoms side by side, of what was measured."""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np

from bpttviz._checks import instance_of, mapping_of, text
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.evaluation.report import Report
from bpttviz.plotting import error_plane
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.plotting.trajectory import trajectory_pair
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.widgets.error_plane import ErrorPlane
from bpttviz.widgets.payload import comparison_payload, with_text_for_bytes
from bpttviz.widgets.player import SHOWN, Player
from bpttviz.widgets.recipe_form import Field, RecipeForm
from bpttviz.widgets.relax_now import RelaxNow, with_paths
from bpttviz.widgets.static import REPORT_HINT, SelfContained, close_all

ENTRY = "playground/index.js"
LOOK = "bpttviz-playground"  # by which stylesheets know that there is little room
WITHOUT_PATHS = "without-paths"  # and that there are errors alone
LETTERS = 1.4  # of the error plane, which is drawn at two thirds of its size
MOST_BYTES = 1_000_000  # of atoms' paths in a page

STORED = (
    "Stored: all of this was measured before. There is no potential here, so nothing can be "
    "trained; bv.Playground(potential, training, held_out) trains one."
)
NO_PATHS = (
    "No atoms to show: this report is a table, which keeps errors but not the paths of atoms. "
    "bv.evaluate keeps them where it is called without out=."
)
NOT_HERE = "The paths of this structure are not in this page, which is to stay small."


class PlaygroundView(SelfContained, ipywidgets.VBox):
    """What was measured before and after a training: `Playground` without a potential to train.

    Get it from `Playground.of`.

    Args:
        report, before, after: as of `ErrorPlane`.
        fields, recipe: of the form below. None: a sentence in its place.
    """

    def __init__(
        self,
        report: Report,
        before: str | None = None,
        after: error_plane.After | None = None,
        fields: Sequence[Field] = (),
        recipe: dict[str, float] | None = None,
    ):
        super().__init__()
        self.add_class(LOOK)
        self._place = ""  # of the static picture, once it is displayed
        self.plane = ErrorPlane(report, before, after)
        self.form = RecipeForm(fields, recipe or {}, self._wanted)
        self.form.state = STORED
        self.player: Player | None = None
        self.relax_now: RelaxNow | None = None
        self._without = ipywidgets.HTML(f"<p>{html.escape(NO_PATHS)}</p>")
        self._without.add_class("no-atoms")
        self._right, self._below = ipywidgets.VBox(), ipywidgets.Box([self.form])
        above = ipywidgets.Box([self.plane, self._right])
        above.add_class("above")
        self._below.add_class("below-both")
        self.show_atoms()
        if self.player is None:
            self.add_class(WITHOUT_PATHS)
        self.plane.observe(lambda _: self.show_atoms(), "selected")
        self.children = [above, self._below]

    @property
    def report(self) -> Report:
        """What is shown."""
        return self.plane.report

    def picture(self) -> AccessibleFigure:
        """The error plane so far as a static figure with alternative text."""
        return self.plane.picture()

    def heading(self) -> str:
        return f"Playground: {self.plane.plane.title}"

    def view(self) -> dict:
        """Errors and atoms, as many structures' paths as `MOST_BYTES` hold."""
        plane = self.plane
        first = self._structure_shown()
        atoms, room = {}, MOST_BYTES
        for name in dict.fromkeys([first, *plane.plane.structures, *plane.report.structures]):
            payload = self._payload(name)
            if payload is None:
                continue
            atoms[name] = with_text_for_bytes(payload)
            room -= len(json.dumps(atoms[name]))
            if room < 0:
                del atoms[name]
                break
        data = {
            "plane": plane.view()["data"],
            "atoms": atoms,
            "first": first,
            "missing": NOT_HERE if atoms else NO_PATHS,
            "words": STORED,
            "shown": {name: getattr(self.player, name) for name in SHOWN if self.player},
        }
        return {"entry": ENTRY, "data": data, "live": self.form.name}

    def show(
        self,
        report: Report,
        before: str,
        after: error_plane.After,
        least: np.ndarray | None = None,
    ) -> None:
        """Show another report; arguments as of `ErrorPlane.update`."""
        self.plane.update(report, before, after, least)
        self.show_atoms()

    def _wanted(self, name: str, value: float | str) -> None:
        """The form asks for another number; here it has none to ask for."""

    def _payload(self, name: str) -> dict | None:
        """Both paths of a structure, as the player takes them; None where they are not known."""
        (before, after), shown = self._ends(), self.plane.report
        try:
            return comparison_payload(trajectory_pair(shown, name, before, after), shown)
        except KeyError:
            return None

    def _ends(self) -> tuple[str, str]:
        """Names of the potentials that arrows begin and end with."""
        plane = self.plane.plane
        return plane.before, plane.layers[-1].potentials[-1]

    def _structure_shown(self) -> str:
        """The one whose atoms are shown; "" if there is none."""
        return self.plane.selected or next(iter(self.plane.report.structures), "")

    def add_paths(self, found: Report) -> None:
        """Show the atoms of structures that were relaxed meanwhile; errors stay as they were."""
        self.plane.report = with_paths(self.plane.report, found)
        self.show_atoms()

    def show_atoms(self) -> None:
        """Show the atoms of the structure selected, or of the first."""
        name = self._structure_shown()
        payload = self._payload(name) if name else None
        if payload is None:
            self._right.children = [self._without]
            if self.relax_now and name:
                self.relax_now.offer(name)
                self._right.children = [self._without, self.relax_now]
            return
        if self.player is None:
            self.player = Player(payload=payload, step=payload["steps"])
            self.remove_class(WITHOUT_PATHS)
            self.plane.letters = LETTERS
        else:
            shown = self.player.payload
            step, at_rest = self.player.step, self.player.step >= shown["steps"]
            with self.player.hold_sync():
                if payload["structure"] != shown["structure"]:
                    self.player.atom = -1
                self.player.payload = payload
                self.player.step = payload["steps"] if at_rest else min(step, payload["steps"])
        under = [self.relax_now.words] if self.relax_now else []
        if self._right.children != (self.player, *under):
            self._right.children = [self.player, *under]

    def _show_static(self, **options: Any) -> None:
        self._place = f"bpttviz-{uuid.uuid4().hex}"
        super()._show_static(display_id=self._place, **options)

    def _update_static(self, caption: str) -> None:
        """Put what is known now in place of what was first displayed, if anything was."""
        if self._place:
            self.caption = caption
            super()._show_static(display_id=self._place, update=True)

    def close(self) -> None:
        """Take it away, with all its parts: what stays open is kept for good."""
        for part in self.children:
            close_all(part)
        super().close()

    def __repr__(self) -> str:
        return f"<Playground, stored> {self.plane.plane.describe()}"


def stored_view(
    report: Report,
    after: str | None,
    potentials: Mapping[str, Potential] | None,
    references: RelaxationDataset | None,
    rule: UpdateRule | None,
    stop: StoppingCriterion | None,
) -> PlaygroundView:
    """What `Playground.of` returns; arguments and errors are those of it."""
    if not instance_of("report", report, Report, REPORT_HINT).rows:
        raise ValueError("this report is empty: there is nothing to show")
    last = report.potentials[-1] if after is None else text("after", after)
    shown = PlaygroundView(report, None, last)
    if potentials is None and references is None:
        return shown
    if potentials is None or references is None:
        raise ValueError("to relax a structure, both potentials and references are needed")
    known = mapping_of("potentials", potentials, Potential, '{"fine-tuned": run.potential}')
    ends = dict.fromkeys((report.potentials[0], last))
    for name in ends:
        if name not in known:
            raise KeyError(f"potentials has no {name!r}; it has {', '.join(known)}")
    if rule is not None:
        instance_of("rule", rule, UpdateRule, "bv.GradientDescent()")
    if stop is not None:
        instance_of("stop", stop, StoppingCriterion, "bv.StoppingCriterion(max_steps=20)")
    shown.relax_now = RelaxNow(
        {name: known[name] for name in ends},
        filled("references", references), rule, stop, shown.add_paths,
    )  # fmt: skip
    shown.show_atoms()
    return shown


def filled(name: str, data: RelaxationDataset) -> RelaxationDataset:
    """``data`` itself, if there is something in it. Raises TypeError, ValueError."""
    instance_of(name, data, RelaxationDataset, "bv.load_dataset().train[:10]")
    if not len(data):
        raise ValueError(f"{name} must hold at least one relaxation")
    return data
