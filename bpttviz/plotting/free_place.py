"""Where in a picture there is room for words."""

from __future__ import annotations

import numpy as np

TRIED = 13  # places along each edge


def free_place(
    taken: np.ndarray,
    size: tuple[float, float],
    region: tuple[tuple[float, float], tuple[float, float]],
) -> tuple[int, float, float] | None:
    """Where a box hides least: (how many points it hides, its left edge, its lower edge).

    Of places that are equally free the one nearest to the region's upper right corner is taken.

    Args:
        taken: (n, 2) points that would be hidden, in any units; so are all here.
        size: of the box: width and height.
        region: ((left, right), (bottom, top)) that it has to lie in.

    Returns:
        None where the box is larger than the region.
    """
    (left, right), (bottom, top) = region
    width, height = size
    if width > right - left or height > top - bottom:
        return None
    places = []
    for x in np.linspace(right - width, left, TRIED):
        for y in np.linspace(top - height, bottom, TRIED):
            inside = (taken > (x, y)).all(1) & (taken < (x + width, y + height)).all(1)
            places.append((int(inside.sum()), float(x), float(y)))
    return min(places, key=lambda place: place[0])
