"""Arguments that make sense, as plain Python values; or one sentence that says which does not.

Every public entrance checks what it was given with these, once. NumPy's numbers and tensors of one
element come out as ``int`` and ``float``, so that they can be saved as JSON and compared.
"""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_BYTES = {
    unit + kind: base ** (power + 1)
    for power, unit in enumerate("KMGT")
    for kind, base in (("", 1000), ("I", 1024))
}


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
    found = _as_float(value)
    wanted = _described(least, above, most, below)
    if found is None:
        raise TypeError(f"{name} must be {wanted}, got {shown(value)}")
    inside = (
        (least is None or found >= least)
        and (above is None or found > above)
        and (most is None or found <= most)
        and (below is None or found < below)
    )
    if not (math.isfinite(found) and inside):
        raise ValueError(f"{name} must be {wanted}, got {shown(value)}")
    return found


def positive(name: str, value: object) -> float:
    """A finite number above 0. Raises as `number`."""
    return number(name, value, above=0)


def not_negative(name: str, value: object) -> float:
    """A finite number of at least 0. Raises as `number`."""
    return number(name, value, least=0)


def positive_or_none(name: str, value: object) -> float | None:
    """A finite number above 0, or None where the caller wants none. Raises as `number`."""
    return None if value is None else positive(f"{name} (if not None)", value)


def whole(name: str, value: object, least: int | None = 1, most: int | None = None) -> int:
    """A whole number of at least ``least`` (None: any); 5.0 counts as one, 2.5 and True do not.

    Raises:
        TypeError: not a number at all.
        ValueError: not whole, or out of bounds.
    """
    found = _plain(value)
    bounds = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
    limits = " of " * bool(bounds) + " and ".join(bounds)
    message = f"{name} must be a whole number{limits}, got {shown(value)}"
    if found is None:
        raise TypeError(message)
    inside = (least is None or found >= least) and (most is None or found <= most)
    if not inside or not (isinstance(found, int) or found.is_integer()):
        raise ValueError(message)
    return int(found)


def whole_or_none(name: str, value: object, least: int = 1) -> int | None:
    """A whole number of at least ``least``, or None where the caller wants none."""
    return None if value is None else whole(f"{name} (if not None)", value, least)


def memory_size(name: str, value: object) -> int:
    """A number of bytes: "1.5GB", "800 MiB", or 1.5e9.

    Raises:
        TypeError: neither a string nor a number.
        ValueError: another unit or none, or less than a megabyte.
    """
    if not isinstance(value, str):
        return round(number(f"{name} (bytes, or a string such as '1.5GB')", value, least=1e6))
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]I?)B\s*", value.upper(), re.ASCII)
    size = float(found[1]) * _BYTES[found[2]] if found else math.nan
    if not 1e6 <= size < 1e18:
        raise ValueError(
            f"{name} must be a size of at least a megabyte, with its unit, such as '1.5GB' or "
            f"'800 MiB'; got {shown(value)}"
        )
    return round(size)


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


def flag(name: str, value: object) -> bool:
    """True or False, NumPy's too.

    Raises:
        TypeError: anything else: "no" and 0.5 would count as true.
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return value


def text(name: str, value: object) -> str:
    """A string.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {shown(value)}")
    return value


def file_path(name: str, value: object) -> Path:
    """The path of a file or folder, which need not be there.

    Raises:
        TypeError: no path.
        ValueError: an empty one, or one that no file can have.
    """
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name} must be the path of a file or folder, got {shown(value)}")
    path = os.fspath(value)
    if not path or "\0" in path:
        raise ValueError(f"{name} must be the path of a file or folder, got {path!r}")
    return Path(path)


def mapping_of(name: str, value: object, kind: type[T] | tuple, hint: str) -> dict[Any, T]:
    """What a mapping holds, if its values are objects of class ``kind``. Raises as `instance_of`.

    Args:
        name: of the argument.
        value: what the caller gave.
        kind: what the values have to be.
        hint: an example, as ``'{"fine-tuned": potential}'``.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, as {hint}; got {shown(value)}")
    for key, member in value.items():
        if not isinstance(member, kind):
            raise TypeError(
                f"{name} must be a mapping, as {hint}; for {key!r} it has {shown(member)}"
            )
    return dict(value)


def sequence_of(name: str, value: object, kind: type[T] | tuple, hint: str) -> list[T]:
    """What a sequence (or other collection) holds, if it is objects of class ``kind``.

    Args:
        name: of the argument.
        value: what the caller gave.
        kind: what the members have to be.
        hint: an example, as ``'["a", "b"]'``.

    Raises:
        TypeError: no collection, a string, or a member that is something else.
    """
    no_collection = isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable)
    if no_collection or getattr(value, "shape", None) == ():
        raise TypeError(f"{name} must be a list, as {hint}; got {shown(value)}")
    members = list(value)  # type: ignore[call-overload]  # an Iterable, as asked above
    for place, member in enumerate(members):
        if not isinstance(member, kind):
            raise TypeError(f"{name} must be a list, as {hint}; {name}[{place}] is {shown(member)}")
    return members


def places(name: str, key: object, count: int) -> list[int]:
    """Which of ``count`` members an index means: counted from 0, from -1 backwards.

    Args:
        name: of the members, in the plural.
        key: a whole number, a slice, or a list or array of whole numbers; or a mask, a list or
            array of True or False with one for each member.
        count: of the members.

    Raises:
        TypeError: something else, single True and False among it.
        IndexError: no such member, or a mask of another length.
    """
    if isinstance(key, slice):
        return list(range(count))[key]
    plain: Any = key.tolist() if hasattr(key, "tolist") else key  # NumPy's arrays, and tensors
    several = isinstance(plain, Iterable) and not isinstance(plain, (str, bytes, Mapping))
    members = [m.item() if hasattr(m, "item") else m for m in (plain if several else [plain])]
    if several and members and all(isinstance(member, bool) for member in members):
        if len(members) != count:
            raise IndexError(
                f"a mask of {name} needs a True or False for each of the {count}, got "
                f"{len(members)}"
            )
        return [place for place, chosen in enumerate(members) if chosen]
    found = []
    for member in members:
        if isinstance(member, bool) or not isinstance(member, numbers.Integral):
            raise TypeError(
                f"{name} are chosen by whole numbers, or all by one True or False each; got "
                f"{shown(member)}"
            )
        place = int(member)
        if not -count <= place < count:
            raise IndexError(f"there are {count} {name}, counted from 0; got {place}")
        found.append(place % count)
    return found


def _as_float(value: object) -> float | None:
    """A Python number as a float; infinite where it is too large for one."""
    found = _plain(value)
    try:
        return None if found is None else float(found)
    except OverflowError:
        return math.inf


def _plain(value: Any) -> int | float | None:
    """A Python number; None where ``value`` is none (a bool is not meant as one either)."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # NumPy's numbers, arrays and tensors without dimension
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return value if isinstance(value, int) else float(value)


def _described(
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
    if isinstance(plain, int) and abs(plain) > 1e30:
        return f"a whole number of {len(f'{plain:x}') * 1.2:.0f} digits"
    if plain is not None:
        return str(plain)
    text = " ".join(repr(value).split())
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{text} ({type(value).__name__})"
