"""Cells that are run again: what they made before is shown no more, but may still be at work."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from IPython import get_ipython

# Cell → the execution that made something there last, and how to end each of those things.
_made: dict[str, tuple[str, list[Callable[[], object]]]] = {}


def end_when_rerun(end: Callable[[], object]) -> None:
    """Have a bound method called, once its cell is run again; first those of the run before are.

    Nothing happens where cells have no name (a terminal) or the object is gone by then.
    """
    parent: dict[str, Any] = getattr(get_ipython(), "parent_header", None) or {}
    cell = parent.get("metadata", {}).get("cellId")
    if not cell:
        return
    execution = parent.get("header", {}).get("msg_id", "")
    before, ends = _made.get(cell, ("", []))
    if before != execution:
        for method in ends:
            method()
        ends = []
    alive = weakref.WeakMethod(end)

    def call() -> None:
        if method := alive():
            method()

    _made[cell] = execution, [*ends, call]
