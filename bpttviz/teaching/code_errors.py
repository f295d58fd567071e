"""What to say of a student's code that stops, or gives nothing back."""

from __future__ import annotations

import dis
import linecache
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from types import FunctionType
from typing import Any

NO_RETURN = "your function gives nothing back (None): is its return missing? print only shows"

_PACKAGE = str(Path(__file__).parents[1])
_IDLE = {"RESUME", "RETURN_CONST", "LOAD_CONST", "RETURN_VALUE", "NOP", "POP_TOP"}


def why_it_stops(error: Exception, answers: tuple[Any, ...] = ()) -> str:
    """A sentence on what a student's code raised, with the line of theirs where it did.

    Args:
        error: as it was caught.
        answers: what was handed in.
    """
    if isinstance(error, TypeError) and "not callable" in str(error):
        for answer in answers:
            if not callable(answer):
                kind = type(answer).__name__
                return (
                    f"a function is asked for, and your answer is a {kind}: keep the line with def"
                )
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, TypeError) and "positional argument" in str(error):
        said += " (keep the first line of the function as it was)"
    line = line_that_stops(error)
    return f"your code stops at `{line}` with {said}" if line else f"your code stops with {said}"


def line_that_stops(error: BaseException, without: Collection[str] = ()) -> str:
    """The innermost line of a student's code that an error came through; "" for none.

    Args:
        error: as it was caught.
        without: files that are not a student's, beside this package and all that is installed.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        installed = frame.filename.startswith(_PACKAGE) or "site-packages" in frame.filename
        line = linecache.getline(frame.filename, frame.lineno or 0).strip()
        if line and not installed and frame.filename not in without:
            return line
    return ""


def untouched(function: Callable) -> bool:
    """Whether a function is still the three dots, alone or returned: it does nothing at all."""
    if not isinstance(function, FunctionType):
        return False
    return all(step.opname in _IDLE for step in dis.get_instructions(function))
