"""What must not be divided between training and test: naming groups, and dealing them out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from ase import Atoms


def default_group(start: Atoms) -> str:
    """The group of a relaxation where the user names none.

    ``info["group"]`` or ``info["defect"]`` of the first frame where the file has one (the shipped
    defects carry family and species), else the composition. Starts that can relax to one and the
    same end have the same composition, so the latter divides no such pair.
    """
    for key in ("group", "defect"):
        if start.info.get(key) is not None:
            return str(start.info[key])
    return start.get_chemical_formula("hill")


def family_of(start: Atoms) -> str:
    """What kind a relaxation is, as ``info["family"]`` says; "" where it does not."""
    found = start.info.get("family")
    return "" if found is None else str(found)


def group_of(start: Atoms, group: object) -> str:
    """The group by its name, or by what makes one from the start.

    Raises:
        TypeError: neither a string nor a function.
    """
    if isinstance(group, str):
        return group
    if not callable(group):
        raise TypeError(
            f"group must be a name, or a function that makes one from a start, got {group!r}"
        )
    return str(group(start))


def deal(groups: Sequence[str], count: int) -> dict[str, int]:
    """Group → fold, for as many folds of about the same size.

    Groups are dealt out largest first, each to the fold with the fewest relaxations, ties by name:
    no seed, and the same folds every time.

    Args:
        groups: that of each relaxation.
        count: folds.

    Raises:
        ValueError: fewer groups than folds.
    """
    sizes = Counter(groups)
    if len(sizes) < count:
        raise ValueError(
            f"{count} folds need at least {count} groups; this set has {len(sizes)}. Groups are "
            "compositions where nothing else names them: say with group= of read_relaxations which "
            "relaxations could end alike"
        )
    load, home = [0] * count, {}
    for group, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        home[group] = load.index(min(load))
        load[home[group]] += size
    return home


def deal_singly(names: Sequence[str], count: int, seed: int) -> list[int]:
    """The fold of each relaxation, dealt out one by one in an order that is drawn.

    The order is that of a hash of seed and name, so that it depends on no library's generator.

    Args:
        names: of the relaxations.
        count: folds, which differ by one relaxation at most.
        seed: of the order.

    Raises:
        ValueError: fewer relaxations than folds.
    """
    if len(names) < count:
        raise ValueError(f"{count} folds need at least {count} relaxations, there are {len(names)}")
    drawn = [hashlib.sha256(repr((seed, name)).encode()).digest() for name in names]
    order = sorted(range(len(names)), key=lambda index: drawn[index])
    homes = [0] * len(names)
    for place, index in enumerate(order):
        homes[index] = place % count
    return homes
