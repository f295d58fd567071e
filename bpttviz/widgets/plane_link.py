"""What joins an `ErrorPlane` to a `CompareRelaxations`, until one of them is closed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from traitlets.utils.bunch import Bunch

if TYPE_CHECKING:
    from bpttviz.widgets.compare_relaxations import CompareRelaxations
    from bpttviz.widgets.error_plane import ErrorPlane


class PlaneLink:
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
        after = plane.shown_layers()[0].potentials[-1]
        if compare.can_show(after=after):
            compare.after = after

    def _mark(self, change: Bunch) -> None:
        plane = self._plane()
        if plane is not None and change["new"] in plane.report.structures:
            plane.selected = change["new"]

    def _closed(self, change: Bunch) -> None:
        if change["new"] is None:  # a widget without a channel to the browser is closed
            self.end()
