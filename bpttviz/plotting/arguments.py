"""What pictures are given, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bpttviz._checks import instance_of, number, sequence_of, shown
from bpttviz.evaluation.report import Report


def require_report(report: object) -> Report:
    """A report with at least one measurement.

    Raises:
        TypeError: no report.
        ValueError: an empty one.
    """
    found = instance_of("report", report, Report, "what bv.evaluate(...) returns")
    if not found.rows:
        raise ValueError("this report is empty: nothing was measured")
    return found


def numbers(name: str, value: object, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """An array of numbers; they need not be finite.

    Args:
        name: of the argument, for the message.
        value: an array, a tensor, nested lists.
        shape: expected; None where any length (but 0), or any shape, will do.

    Raises:
        TypeError: no numbers.
        ValueError: none at all, or another shape.
    """
    if value is None or isinstance(value, (str, bytes, Mapping)):
        raise TypeError(f"{name} must be numbers, got {shown(value)}")
    try:
        found = np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numbers, got {shown(value)}") from error
    fits = shape is None or (
        found.ndim == len(shape)
        and all(want in (None, got) for want, got in zip(shape, found.shape, strict=True))
    )
    if not fits or not found.size:
        wanted = "any" if shape is None else tuple("any" if n is None else n for n in shape)
        raise ValueError(f"{name} must be numbers of shape {wanted}, got shape {found.shape}")
    return found


def places(name: str, value: object) -> list[tuple[float, float]]:
    """Places (x, y) Å in the plane.

    Raises:
        TypeError, ValueError: something else.
    """
    hint = "[(1.0, 0.5)]"
    return [
        (number(f"x in {name}", x), number(f"y in {name}", y))
        for x, y in (numbers(name, pair, (2,)) for pair in sequence_of(name, value, object, hint))
    ]


def limits(name: str, value: object) -> tuple[float, float] | None:
    """Limits (low, high) of a logarithmic axis, or None.

    Raises:
        TypeError, ValueError: something else.
    """
    if value is None:
        return None
    low, high = numbers(name, value, (2,)).tolist()
    number(f"the low end of {name}", low, above=0)
    return low, number(f"the high end of {name}", high, above=low)


def titled(name: str, value: Any, alone: bool) -> dict[str, Any]:
    """What is given for one landscape, or title by title, as title → value; {} for None.

    Raises:
        TypeError: no mapping, where there are titles.
    """
    if value is None:
        return {}
    if alone:
        return {"": value}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and not len(value):
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping from titles, got {shown(value)}")
    return dict(value)
