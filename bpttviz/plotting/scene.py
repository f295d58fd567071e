"""Atoms drawn in a matplotlib axis: spheres with depth, the reference end as ghosts behind them."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.figure import Figure, SubFigure

from bpttviz.evaluation.defects import vacant_sites
from bpttviz.plotting.figure import plain
from bpttviz.plotting.palette import DISTANCE, GHOST, GREY, TEXT
from bpttviz.plotting.trajectory import AlignedTrajectory
from bpttviz.structures import Structures

COLOURS = LinearSegmentedColormap.from_list("distance", DISTANCE)
RADIUS = 0.55  # of the covalent radius: large enough to see, small enough to see past
PERSPECTIVE = 0.018  # growth of a sphere for each Å that it is nearer
SHORTEST_ARROW = 0.15  # Å; below, only the arrow's head would be seen


def view() -> np.ndarray:
    """Rotation (3, 3) from Å in the cell to (right, up, towards the eye).

    A little off the c axis, so that atoms in a row do not hide one another.
    """
    turn, tilt = np.radians(-17.0), np.radians(-11.0)
    about_b = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    about_a = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    return about_a @ about_b


class Scene:
    """One path in one axis; `show` moves the atoms to a step.

    Args:
        axes: where to draw.
        path: what to draw.
        limit: at which the colour scale ends.
        values: (T+1, N) what colours the atoms instead of their distance (Å) to the reference. The
            ghosts of the reference are left out then.
        colours: the scale of colours.
    """

    def __init__(
        self,
        axes: Axes,
        path: AlignedTrajectory,
        limit: float,
        values: np.ndarray | None = None,
        colours: Colormap = COLOURS,
    ):
        self.colours = colours
        self.axes, self.path = axes, path
        self.values = path.distance if values is None else values
        self.ghostly = values is None
        self.norm = Normalize(0, limit)
        self.middle = path.cell.sum(0) / 2
        radii = RADIUS * covalent_radii[[atomic_numbers[s] for s in path.symbols]]
        ghosts, depth = self._project(path.reference)
        # Painted from back to front, in the reference's order: depths hardly change on the way.
        self.order = np.argsort(depth)
        self.radii = radii
        axes.set_aspect("equal")
        axes.set_axis_off()
        self._draw_cell()
        self.bonds = LineCollection([], colors=GREY, linewidths=1.0, alpha=0.55, zorder=1)
        axes.add_collection(self.bonds)
        self.spheres = EllipseCollection(
            [1], [1], [0], units="xy", offsets=[(0, 0)], transOffset=axes.transData, zorder=2
        )
        axes.add_collection(self.spheres)
        self.ghosts, self.ghost_depth = ghosts, depth
        self.labels = [
            (
                atom,
                axes.text(
                    0, 0, path.symbols[atom], ha="center", va="center", fontsize=9, zorder=3,
                    fontweight="bold", color=TEXT,
                ),
            )
            for atom in minority(path.symbols)
        ]  # fmt: skip
        self.note = axes.text(
            0.5, 0.5, "", transform=axes.transAxes, ha="center", va="center", fontsize=10,
            color=TEXT, zorder=4, wrap=True,
            bbox={"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": GREY},
        )  # fmt: skip
        self._set_limits()

    def show(self, step: int) -> None:
        """Move the atoms to where they were at ``step`` (the path's last frame if it had ended)."""
        path, frame = self.path, self.path.clamp_step(step)
        gone = bool(path.lost) and step > path.last
        self.note.set_text(plain(path.lost.replace(": ", ":\n", 1)) if gone else "")
        self.note.set_visible(gone)
        places, depth = self._project(path.positions[frame])
        # Three ellipses an atom, from back to front: its ghost, the atom, a highlight.
        size = 2 * self.radii * (1 + PERSPECTIVE * depth)
        ghost_size = 2 * self.radii * (1 + PERSPECTIVE * self.ghost_depth)
        light = places + size[:, None] * np.array([-0.16, 0.18])
        offsets = np.stack([self.ghosts, places, light], axis=1)[self.order]
        sizes = np.stack([ghost_size, size, 0.3 * size], axis=1)[self.order]
        fill = self.colours(self.norm(self.values[frame]))
        if gone:
            fill[:] = to_rgba("#DDDDDD")
        ghost, highlight = to_rgba(GHOST, 0.28 * self.ghostly), (1, 1, 1, 0.3)
        outline = to_rgba(GHOST, 0.95 * self.ghostly)
        faces = np.stack(
            [np.broadcast_to(ghost, fill.shape), fill, np.broadcast_to(highlight, fill.shape)],
            axis=1,
        )[self.order]
        edges = np.tile([outline, to_rgba(TEXT, 0.75), (0, 0, 0, 0)], (len(fill), 1, 1))
        flat = sizes.ravel()
        self.spheres.set_widths(flat)
        self.spheres.set_heights(flat)
        self.spheres.set_angles(np.zeros(len(flat)))
        self.spheres.set_offsets(offsets.reshape(-1, 2))
        self.spheres.set_facecolor([tuple(colour) for colour in faces.reshape(-1, 4)])
        self.spheres.set_edgecolor([tuple(colour) for colour in edges.reshape(-1, 4)])
        self.spheres.set_linewidth([1.1, 0.7, 0.0] * len(fill))
        self.bonds.set_segments(list(self._bonds(path.positions[frame], places)))
        for atom, label in self.labels:
            label.set_position(places[atom])
            dark = np.dot(fill[atom, :3], (0.3, 0.59, 0.11)) < 0.5
            label.set_color("white" if dark else TEXT)

    def point(self, step: int, vectors: np.ndarray, colour: str = TEXT) -> None:
        """Draw an arrow from every atom at ``step``; ``vectors`` (N, 3) are as long as drawn, Å.

        Over all atoms, so that none is hidden; those too short to see are left out.
        """
        positions = self.path.positions[self.path.clamp_step(step)]
        long = np.linalg.norm(vectors, axis=1) > SHORTEST_ARROW
        tails, tips = (self._project(x[long])[0] for x in (positions, positions + vectors))
        self.axes.quiver(
            *tails.T, *(tips - tails).T, angles="xy", scale_units="xy", scale=1, color=colour,
            width=0.006, headwidth=4, headlength=5, zorder=4,
        )  # fmt: skip

    def _project(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Å in the cell → places (N, 2) in the picture, and depth (N,): larger is nearer."""
        seen = (positions - self.middle) @ view().T
        return seen[:, :2] * (1 + PERSPECTIVE * seen[:, 2:]), seen[:, 2]

    def _draw_cell(self) -> None:
        edges = cell_edges(self.path)
        places = self._project(edges.reshape(-1, 3))[0].reshape(-1, 2, 2)
        box = LineCollection(
            list(places), colors=GREY, linewidths=0.8, linestyles="dotted", zorder=0
        )
        self.axes.add_collection(box)

    def _set_limits(self) -> None:
        path = self.path
        positions = path.positions[: path.last + 1].reshape(-1, 3)
        corners = cell_edges(path).reshape(-1, 3)
        points = self._project(np.concatenate([positions, path.reference, corners]))[0]
        edge = 1.2 * float(self.radii.max())
        low, high = points.min(0) - edge, points.max(0) + edge
        self.axes.set_xlim(low[0], high[0])
        self.axes.set_ylim(low[1], high[1])

    def _bonds(self, positions: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Lines between atoms that touch, for the eye only; none across the cell's faces."""
        reach = self.radii / RADIUS
        apart = np.linalg.norm(positions[:, None] - positions[None], axis=2)
        touching = np.triu(apart < 1.25 * (reach[:, None] + reach[None]), 1)
        first, second = np.nonzero(touching)
        return np.stack([places[first], places[second]], axis=1)


def colour_bar(figure: Figure | SubFigure, panels: Any, limit: float, label: str) -> None:
    """The scale of colours beside the axes of scenes that share it; ``limit`` as in `Scene`."""
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, limit), COLOURS), ax=panels, shrink=0.7, pad=0.02,
        extend="max", aspect=25,
    )  # fmt: skip
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_visible(False)


def cell_edges(path: AlignedTrajectory) -> np.ndarray:
    """The edges (12, 2, 3) Å of the cell, from corner to corner; none where nothing is periodic."""
    if not path.pbc.any():
        return np.empty((0, 2, 3))
    corners = np.array(list(product((0, 1), repeat=3)))
    edges = [(a, b) for a, b in combinations(corners, 2) if np.abs(a - b).sum() == 1]
    return np.array(edges) @ path.cell


def empty_sites(path: AlignedTrajectory) -> np.ndarray:
    """Where an atom of the crystal is missing in the reference end (v, 3) Å, inside the cell."""
    atoms = Atoms(path.symbols, path.reference, cell=path.cell, pbc=path.pbc)
    sites = vacant_sites(Structures.from_ase(atoms, check=False))
    if not len(sites) or abs(np.linalg.det(path.cell)) < 1e-6:
        return sites
    fractional = sites @ np.linalg.inv(path.cell)
    return np.where(path.pbc, fractional % 1, fractional) @ path.cell


def minority(symbols: tuple[str, ...]) -> list[int]:
    """Atoms worth naming: those of every element but the commonest."""
    host = Counter(symbols).most_common(1)[0][0]
    return [index for index, symbol in enumerate(symbols) if symbol != host]
