"""Arguments that make sense, as plain Python values; or one sentence that says which does not.

Every public entrance checks what it was given with these, once. NumPy's numbers and tensors of one
element come out as ``int`` and ``float``, so that they can be saved as JSON and compared.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, TypeVar

T = TypeVar("T")


def number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number within the bounds given.

    Args:
        name: of the argument, for the message.
        value: what the caller gave.
        least, most: bounds that are allowed themselves.
        above, below: bounds that are not.

    Raises:
        TypeError: not a number at all (a string, None, True, a list).
        ValueError: infinite, NaN or out of bounds.
    """
    found = _plain(value)
    wanted = _in_words(least, above, most, below)
    if found is None:
        raise TypeError(f"{name} must be {wanted}, got {shown(value)}")
    inside = (
        (least is None or found >= least)
        and (above is None or found > above)
        and (most is None or found <= most)
        and (below is None or found < below)
    )
    if not (math.isfinite(found) and inside):
        raise ValueError(f"{name} must be {wanted}, got {found}")
    return float(found)


def positive(name: str, value: object) -> float:
    """A finite number above 0. Raises as `number`."""
    return number(name, value, above=0)


def not_negative(name: str, value: object) -> float:
    """A finite number of at least 0. Raises as `number`."""
    return number(name, value, least=0)


def positive_or_none(name: str, value: object) -> float | None:
    """A finite number above 0, or None where the caller wants none. Raises as `number`."""
    return None if value is None else positive(f"{name} (if not None)", value)


def whole(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """A whole number of at least ``least``; 5.0 counts as one, 2.5 and True do not.

    Raises:
        TypeError: not a number at all.
        ValueError: not whole, or out of bounds.
    """
    found = _plain(value)
    limit = f" and at most {most}" if most is not None else ""
    message = f"{name} must be a whole number of at least {least}{limit}, got {shown(value)}"
    if found is None:
        raise TypeError(message)
    if not math.isfinite(found) or int(found) != found or found < least:
        raise ValueError(message)
    if most is not None and found > most:
        raise ValueError(message)
    return int(found)


def whole_or_none(name: str, value: object, least: int = 1) -> int | None:
    """A whole number of at least ``least``, or None where the caller wants none."""
    return None if value is None else whole(f"{name} (if not None)", value, least)


def instance_of(name: str, value: object, kind: type[T], hint: str) -> T:
    """``value`` itself, if it is an object of class ``kind``.

    Args:
        name: of the argument.
        value: what the caller gave.
        kind: what it has to be.
        hint: how to make one, e.g. ``"bv.StoppingCriterion(max_steps=20)"``.

    Raises:
        TypeError: anything else; a class given in place of an object is told apart.
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, type) and issubclass(value, kind):
        raise TypeError(
            f"{name} must be an object, but the class {value.__name__} itself was given: write "
            f"{value.__name__}(...), with parentheses"
        )
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    raise TypeError(f"{name} must be {article} {kind.__name__}, such as {hint}; got {shown(value)}")


def _plain(value: Any) -> int | float | None:
    """A Python number; None where ``value`` is none (a bool is not meant as one either)."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # NumPy's numbers, arrays and tensors without dimension
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return value if isinstance(value, int) else float(value)


def _in_words(
    least: float | None, above: float | None, most: float | None, below: float | None
) -> str:
    if above == 0 and least is most is below is None:
        return "a positive, finite number"
    if least == 0 and above is most is below is None:
        return "a finite number that is not negative"
    bounds = {"at least": least, "above": above, "at most": most, "below": below}
    words = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
    return "a number " + " and ".join(words) if words else "a finite number"


def shown(value: object) -> str:
    """A value and its type, short enough for a sentence."""
    plain = _plain(value)
    if plain is not None:
        return str(plain)
    text = " ".join(repr(value).split())
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{text} ({type(value).__name__})"
