"""Structures that share a call of a potential."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def packed(atoms: Iterable[int], most: int, size: int | None = None) -> Iterator[list[int]]:
    """Places of structures that go together, in order; every group has one at least.

    Args:
        atoms: of each structure.
        most: atoms in a group; a structure that has more is alone.
        size: structures in a group, whatever their atoms; None: as many as ``most`` allows.
    """
    group: list[int] = []
    inside = 0
    for place, count in enumerate(atoms):
        full = inside + count > most if size is None else len(group) == size
        if group and full:
            yield group
            group, inside = [], 0
        group.append(place)
        inside += count
    if group:
        yield group
