"""What a training of `FoggyValley` leaves: the landscapes on its way, and a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bpttviz.potentials.landscape import Landscape
from bpttviz.teaching.surface import SplineSurface
from bpttviz.widgets.landscape_payload import describe_landscape

NEAR = 0.02  # Å: training has arrived


@dataclass(frozen=True, eq=False)
class TrainedLandscape:
    """A landscape as it was after an update of its training.

    Attributes:
        update: which one, from 1.
        distance: Å, from the walk's end to the target; NaN where the walk leaves the map.
        landscape, surface: as it was then, and as it is shown.
    """

    update: int
    distance: float
    landscape: Landscape
    surface: SplineSurface

    def payload(self) -> dict:
        """For the front end."""
        return {
            "update": self.update,
            "distance": self.distance if math.isfinite(self.distance) else None,
            "surface": self.surface.payload(),
            "model": describe_landscape(self.landscape),
        }


def format_place(place: Sequence[float]) -> str:
    """(x, y) Å to two digits."""
    return f"({place[0]:.2f}, {place[1]:.2f})"


def describe_training(
    updates: int, steps: int, start: Sequence[float], before: float, after: float
) -> str:
    """What a training came to.

    Args:
        updates: how many were made.
        steps: K, of the walk that it went through.
        start: (x, y) Å, of that walk.
        before, after: Å from its end to the star; NaN where it leaves the map.
    """
    said = (
        f"{updates} updates through {steps} steps from {format_place(start)}: {before:.3f} → "
        f"{after:.3f} Å from the star."
    )
    if not math.isfinite(after):
        return f"{said} The last one sent the walk off the map: a smaller learning rate may help."
    return f"{said} {'It arrives.' if after <= NEAR else 'It is not there yet.'}"
