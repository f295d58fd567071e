"""The assignments by name."""

from __future__ import annotations

import importlib

from bpttviz._checks import text
from bpttviz.teaching.assignments.checks import Assignment

KNOWN = ("A1", "A2", "A3")


def open_assignment(name: str) -> Assignment:
    """The public checks of an assignment, "A1", "A2" or "A3".

    Raises:
        TypeError: the name is no string.
        ValueError: there is no such assignment.
    """
    if text("name", name) not in KNOWN:
        raise ValueError(f"there is no assignment {name!r}; there are {', '.join(KNOWN)}")
    # One alone: A3 needs torch, without which the others open at once.
    module = importlib.import_module(f"bpttviz.teaching.assignments.{name.lower()}")
    return Assignment(name, module.QUESTIONS)
