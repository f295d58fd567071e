"""Our own player of two relaxations: as a widget, alone in a page, or under a widget that may fail.

One ES module, no library, no request: what it shows is what nglview shows, on a 2-D canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import anywidget
import ipywidgets
import traitlets

from bpttviz.plotting.trajectory import AlignedTrajectory
from bpttviz.widgets.bundle import bundle, stylesheet

ENTRY = "player/index.js"
SHOWN = ("step", "arrows", "images", "exaggeration", "atom")  # traits that a page is saved with


class Player(anywidget.AnyWidget):
    """Two relaxations on one clock, their controls, curves and legend.

    Attributes:
        payload: what `bpttviz.widgets.payload.comparison_payload` returns (a trait, as all that
            follow).
        step: the step shown.
        arrows: whether arrows go from every atom to its place in the reference end.
        images: whether atoms are repeated beyond the cell's faces.
        exaggeration: how many times as far from the reference end atoms are drawn, 1 to 20.
        atom: index of the atom that is told about; -1: none.
        views: model ids of nglview's widgets, which then show the atoms in place of the canvas.
        missing: True once the browser found that it cannot show those; the canvas took over.
        name: by which a page finds the player again.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(ENTRY)

    payload = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    arrows = traitlets.Bool(False).tag(sync=True)
    images = traitlets.Bool(False).tag(sync=True)
    exaggeration = traitlets.Int(1, min=1, max=20).tag(sync=True)
    atom = traitlets.Int(-1).tag(sync=True)
    views = traitlets.List(traitlets.Unicode()).tag(sync=True)
    missing = traitlets.Bool(False).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)


@runtime_checkable
class Viewer(Protocol):
    """What can show a `CompareRelaxations`'s atoms.

    Attributes:
        views: other widgets that show the atoms, one a path; none: the player draws them itself.
        panes: what holds them, to stand above the player.
    """

    views: Sequence[ipywidgets.DOMWidget]
    panes: Sequence[ipywidgets.Widget]

    def load(self, paths: tuple[AlignedTrajectory, AlignedTrajectory], limit: float) -> None:
        """Show the starts of two paths, colours ending at ``limit`` Å."""


class Canvas:
    """How a `CompareRelaxations` shows atoms: with the player's own canvas.

    Attributes:
        views: other widgets that show the atoms; none, the player draws them itself.
        panes: what holds them, to stand above the player.
    """

    views: Sequence[ipywidgets.DOMWidget] = ()
    panes: Sequence[ipywidgets.Widget] = ()

    def load(self, paths: tuple[AlignedTrajectory, AlignedTrajectory], limit: float) -> None:
        """Nothing to prepare: all that the canvas needs is in the player's payload."""
