"""The assignments by name."""

from __future__ import annotations

from bpttviz._checks import text
from bpttviz.teaching.assignments import a1, a2, a3
from bpttviz.teaching.assignments.checks import Assignment

KNOWN = {"A1": a1.QUESTIONS, "A2": a2.QUESTIONS, "A3": a3.QUESTIONS}


def open_assignment(name: str) -> Assignment:
    """The public checks of an assignment, "A1", "A2" or "A3".

    Raises:
        TypeError: the name is no string.
        ValueError: there is no such assignment.
    """
    if text("name", name) not in KNOWN:
        raise ValueError(f"there is no assignment {name!r}; there are {', '.join(KNOWN)}")
    return Assignment(name, KNOWN[name])
