"""Landscapes as grids: what a browser needs to walk on one, and which valley each place drains to.

The energy is handed over as the coefficients of a quintic spline. Its value, slope and curvature
follow from the same few numbers, so that forces remain the gradient of an energy and the way back
through a step uses the curvature of exactly the surface that the walker walked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import spline_filter
from torch import Tensor
from torch.nn.functional import pad

from bpttviz.potentials.landscape import Landscape, Window
from bpttviz.relaxation.rules import GradientDescent, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures

PITCH = 0.05  # Å between nodes; slopes are then right to 1e-4 eV/Å in wells 0.2 Å wide
MARGIN = 0.4  # Å beyond the window that can be walked on: an overshoot may come back
REACH = 2  # nodes that the spline needs on either side of the one below a place
RUN_IN = 24  # nodes beyond those, from which the spline's coefficients settle
COLUMNS = 48  # of the basin map

# Short steps: what the landscape itself does, whatever the step size that a reader tries.
DOWNHILL = GradientDescent(0.04, max_step=0.05)
A_WHILE = StoppingCriterion(25)  # after which walkers at rest drop out
PATIENCE = 20  # times a while, after which all must
AT_REST = 0.02  # eV/Å
APART = 0.1  # Å: two resting places nearer than that are one
NOWHERE = 255  # in a basin map: it came to no rest within the margin


@dataclass(frozen=True, eq=False)
class SplineSurface:
    """A landscape over a window and a margin around it.

    Attributes:
        window: the part to look at.
        origin: (x, y) Å of the first node.
        pitch: Å between nodes.
        coefficients: (rows, columns) float32, eV, of the quintic B-splines centred on the nodes,
            row 0 lowest.
        lowest: eV, of the nodes in the window.
        basins: (rows, columns) uint8 over the window, row 0 lowest: the resting place that each
            place drains to, `NOWHERE` for none.
        minima: (M, 2) Å, those resting places.
    """

    window: Window
    origin: tuple[float, float]
    pitch: float
    coefficients: np.ndarray
    lowest: float
    basins: np.ndarray
    minima: np.ndarray

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which of ``points`` (P, 2) Å are on the map: in the window or the margin; (P,) bool."""
        low = np.array(self.origin) + REACH * self.pitch
        high = low + self.pitch * (np.array(self.coefficients.shape[::-1]) - 2 * REACH - 1)
        return np.all((points >= low) & (points < high), axis=1)

    def updated(self, landscape: Landscape, basins: bool = True) -> SplineSurface:
        """The surface of a landscape that grew out of this one's, over the same window.

        Args:
            landscape: what it has become. Resting places that have only moved keep their number.
            basins: work the basins out anew; otherwise they are left as they were, which is faster
                by an order of magnitude.
        """
        if basins:
            return spline_surface(landscape, self.window, self)
        origin, coefficients, lowest = _spline(landscape, self.window)
        return replace(self, origin=origin, coefficients=coefficients, lowest=lowest)

    def payload(self) -> dict:
        """For the front end: JSON, but for arrays, which are bytes (little-endian).

        Basins it works out by itself, with their borders to a thirtieth of a cell.
        """
        return {
            "window": [*self.window.x, *self.window.y],
            "origin": list(self.origin),
            "pitch": self.pitch,
            "columns": self.coefficients.shape[1],
            "coefficients": self.coefficients.astype("<f4").tobytes(),
            "lowest": self.lowest,
            "minima": [
                place.round(4).tolist() if np.isfinite(place).all() else None
                for place in self.minima
            ],
        }


def spline_surface(
    landscape: Landscape, window: Window | None = None, earlier: SplineSurface | None = None
) -> SplineSurface:
    """A landscape as a spline over a window and a margin around it, and its basins.

    Args:
        landscape: what to survey.
        window: the part to look at; `Window` by default.
        earlier: the surface that this one grew out of: resting places that have only moved keep
            their number, and so their colour.
    """
    window = Window() if window is None else window
    origin, coefficients, lowest = _spline(landscape, window)
    basins, minima = basins_of_attraction(
        landscape, window, () if earlier is None else earlier.minima
    )
    return SplineSurface(window, origin, PITCH, coefficients, lowest, basins, minima)


def descent_paths(
    landscape: Landscape,
    points: Tensor | np.ndarray | Sequence[Sequence[float]],
    rule: UpdateRule,
    stop: StoppingCriterion,
) -> Tensor:
    """Where walkers go: (T+1, P, 2) Å from ``points`` (P, 2) Å, without gradient.

    `relax` for walkers, without the atoms that it makes of them: faster by an order of magnitude.

    Args:
        landscape, rule: the map.
        points: (P, 2) Å.
        stop: how many steps; tolerances are not looked at.
    """
    if not isinstance(points, Tensor):
        points = torch.from_numpy(np.array(points, float))
    places = points.detach().to(torch.float64).reshape(-1, 2)
    with torch.no_grad():
        state = rule.init(_unanchored(places))
        path = [state.positions]
        for _ in range(stop.max_steps):
            force = landscape.energy_and_force(state.positions[:, :2])[1]
            state = rule.step(state, pad(force, (0, 1)))
            path.append(state.positions)
    return torch.stack(path)[..., :2]


def _unanchored(places: Tensor) -> Structures:
    """Walkers at (P, 2) Å, one a structure, with nothing else to them: for an update rule."""
    count = len(places)
    return Structures(
        positions=pad(places, (0, 1)),
        numbers=torch.ones(count, dtype=torch.int64),
        masses=torch.ones(count, dtype=torch.float64),
        cell=torch.zeros(count, 3, 3, dtype=torch.float64),
        pbc=torch.zeros(count, 3, dtype=torch.bool),
        structure_index=torch.arange(count),
        fixed=torch.zeros(count, dtype=torch.bool),
        names=("",) * count,
    )


def basins_of_attraction(
    landscape: Landscape,
    window: Window,
    earlier: Sequence[Sequence[float]] | np.ndarray = (),
    columns: int = COLUMNS,
) -> tuple[np.ndarray, np.ndarray]:
    """Which resting place short steps downhill lead to, place by place.

    Args:
        landscape, window: as in `spline_surface`.
        earlier: (M, 2) Å, resting places whose numbers are to be kept where they have only moved.
        columns: of the map; its rows follow, so that its cells are square.

    Returns:
        basins (rows, columns) uint8, row 0 lowest, `NOWHERE` where nothing rests; and the resting
        places (M, 2) Å by number, not finite where a number is not taken.
    """
    points, rows = _middles_of_cells(window, columns)
    ends, slope = _rest(landscape, points)
    low, high = (np.array(side) for side in zip(window.x, window.y, strict=True))
    rested = (slope < AT_REST) & ((ends > low - MARGIN) & (ends < high + MARGIN)).all(1)
    found, minima = _clusters(ends, slope, rested)
    depth = landscape.energy_and_force(torch.from_numpy(minima))[0].numpy()
    deepest_first = np.argsort(depth)
    numbers = _numbers(minima[deepest_first], np.asarray(earlier, float).reshape(-1, 2))
    placed = np.full((max(numbers, default=-1) + 1, 2), np.nan)
    placed[numbers] = minima[deepest_first]
    # by order of finding -> by depth -> by number
    number_of = np.full(NOWHERE + 1, NOWHERE, np.uint8)
    number_of[deepest_first] = numbers
    return number_of[found].reshape(rows, columns), placed


def _middles_of_cells(window: Window, columns: int) -> tuple[Tensor, int]:
    """The middles (rows × columns, 2) Å of square cells over a window, and how many rows."""
    width, height = window.x[1] - window.x[0], window.y[1] - window.y[0]
    rows = max(2, round(columns * height / width))
    x, y = (
        low + (np.arange(count) + 0.5) * (high - low) / count
        for (low, high), count in ((window.x, columns), (window.y, rows))
    )
    return torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)), rows


def _clusters(
    ends: np.ndarray, slope: np.ndarray, rested: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends (P, 2) Å sorted into resting places: the place (P,) of each, and the places (M, 2) Å."""
    minima, found = np.empty((0, 2)), np.full(len(ends), NOWHERE, np.uint8)
    while rested.any() and len(minima) < NOWHERE:
        # the steepest descents end closest, so a place stands for those around it
        place = ends[np.flatnonzero(rested)[slope[rested].argmin()]]
        mine = rested & (np.linalg.norm(ends - place, axis=1) < APART)
        found[mine], rested = len(minima), rested & ~mine
        minima = np.vstack([minima, place])
    return found, minima


def _rest(landscape: Landscape, points: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Ends (P, 2) Å of short steps from ``points`` (P, 2) Å, and the force (P,) eV/Å there."""
    ends, slope = points.clone(), torch.full((len(points),), torch.inf, dtype=torch.float64)
    for _ in range(PATIENCE):
        walking = (slope >= AT_REST).nonzero().flatten()
        if not len(walking):
            break
        ends[walking] = descent_paths(landscape, ends[walking], DOWNHILL, A_WHILE)[-1]
        slope[walking] = landscape.energy_and_force(ends[walking])[1].norm(dim=1)
    return ends.numpy(), slope.numpy()


def _numbers(minima: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """The number of each of ``minima``: that of the earlier one it came from, or the next free."""
    free = list(range(len(earlier)))
    numbers = np.full(len(minima), -1)
    if len(minima) and len(earlier):
        apart = np.linalg.norm(minima[:, None] - np.nan_to_num(earlier, nan=np.inf), axis=2)
        for flat in np.argsort(apart, axis=None):
            new, old = np.unravel_index(flat, apart.shape)
            if numbers[new] < 0 and old in free and apart[new, old] < 5 * APART:
                numbers[new] = old
                free.remove(old)
    following = len(earlier)
    for new in np.flatnonzero(numbers < 0):
        numbers[new] = free.pop(0) if free else following
        following = max(following, numbers[new] + 1)
    return numbers


def _spline(landscape: Landscape, window: Window) -> tuple[tuple[float, float], np.ndarray, float]:
    """Origin, coefficients and the lowest energy of nodes in the window."""
    beyond = int(np.ceil(MARGIN / PITCH)) + REACH + RUN_IN
    nodes = [
        low + PITCH * np.arange(-beyond, np.ceil((high - low) / PITCH) + beyond + 1)
        for low, high in (window.x, window.y)
    ]
    points = torch.from_numpy(np.stack(np.meshgrid(*nodes), axis=-1).reshape(-1, 2))
    with torch.no_grad():
        energy = landscape.surface(points).numpy().reshape(len(nodes[1]), len(nodes[0]))
    inside = np.ix_(
        *(
            (axis >= low) & (axis <= high)
            for axis, (low, high) in zip(nodes[::-1], (window.y, window.x), strict=True)
        )
    )
    kept = slice(RUN_IN, -RUN_IN)
    coefficients = spline_filter(energy, order=5, mode="mirror")[kept, kept]
    return (
        (float(nodes[0][RUN_IN]), float(nodes[1][RUN_IN])),
        coefficients.astype(np.float32),
        float(energy[inside].min()),
    )
