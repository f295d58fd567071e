"""The assignments by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

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
    module = _module(name)
    return Assignment(name, module.QUESTIONS, module.earlier)


def earlier_answers(assignment: str, question: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Right answers to what a question of an assignment builds on, under their names.

    Args:
        assignment: its name; there are none of one that is not ours.
        question: "1", "2", ...
        names: what a notebook defines.
    """
    return _module(assignment).earlier(question, names) if assignment in KNOWN else {}


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"bpttviz.teaching.assignments.{name.lower()}")
