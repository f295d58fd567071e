"""nglview panes: a relaxing structure with its reference end as a ghost behind it."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import nglview
import numpy as np
from matplotlib.colors import to_rgb

from bpttviz.plotting.palette import DISTANCE, GHOST, SKY
from bpttviz.plotting.scene import RADIUS, cell_edges, minority, view
from bpttviz.plotting.trajectory import AlignedTrajectory
from bpttviz.widgets.payload import extent, images

BOND = "#9b9b9b"
LARGEST_SPHERE = 0.8  # Å, as drawn: hardly an element has a larger one
FIELD_OF_VIEW = 22.0  # degrees: little perspective, so that a displacement looks its size anywhere


class Atoms(nglview.Structure):
    """Atoms as nglview reads them: PDB text, with distances as B-factors."""

    def __init__(self, symbols: Sequence[str], positions: np.ndarray, distance: np.ndarray):
        super().__init__()
        self.count = len(symbols)
        self.text = pdb(symbols, positions, distance)

    def get_structure_string(self) -> str:
        return self.text


class NGLPanes:
    """How a `CompareRelaxations` shows atoms: with two nglview windows, their cameras linked.

    Only the start is built here. The player (player/ngl_stage.js) finds the windows in the browser
    and moves their atoms there: nglview's own trajectories carry no colours, and are sent frame by
    frame whether or not the structure has arrived.

    Attributes:
        views: two ``nglview.NGLWidget``.
        panes: what holds them, to stand above the player.
    """

    def __init__(self) -> None:
        self.views: Sequence[ipywidgets.DOMWidget] = (_window(), _window())
        self.views[0]._set_sync_camera([self.views[1]])
        self.views[1]._set_sync_camera([self.views[0]])
        # NGL takes its width from what is around it, which therefore must not depend on NGL's.
        self.panes: Sequence[ipywidgets.Widget] = [
            ipywidgets.Box(
                [view],
                layout={
                    "flex": "1 1 0", "min_width": "0", "border": "1px solid var(--jp-border-color1)"
                },
            )
            for view in self.views
        ]  # fmt: skip

    def load(self, paths: tuple[AlignedTrajectory, AlignedTrajectory], limit: float) -> None:
        """Show the starts of two paths, colours ending at ``limit`` Å."""
        for pane, path in zip(self.views, paths, strict=True):
            _load(pane, path, limit)


def _window() -> nglview.NGLWidget:
    pane = nglview.NGLWidget()
    pane._view_height = "340px"
    pane.layout.width = "100%"
    # No fog: it would pale the colours, and paleness means a small distance here.
    pane.stage.set_parameters(camera_fov=FIELD_OF_VIEW, fog_near=100, fog_far=1000)
    # Soft: a shadow must not look like a greater distance.
    pane.stage.set_parameters(light_intensity=0.85, ambient_intensity=0.45)
    return pane


def _load(pane: nglview.NGLWidget, path: AlignedTrajectory, limit: float) -> None:
    """Atoms, ghosts, periodic images, cell and arrows, by the names that ngl_stage.js expects."""
    for component in list(pane._ngl_component_ids):
        pane.remove_component(component)
    start, distance = path.positions[0], path.distance[0]
    of, shift = images(path)
    symbols = path.symbols
    for name, structure in (
        (path.structure, Atoms(symbols, start, distance)),
        ("reference end", Atoms(symbols, path.reference, np.zeros(len(symbols)))),
        ("images", Atoms([symbols[i] for i in of], start[of] + shift, distance[of])),
    ):
        if structure.count:
            pane.add_structure(structure, name=name, default_representation=False)
    coloured = {
        "color_scheme": "bfactor", "color_scale": list(DISTANCE), "color_domain": [0, limit],
        "radius_type": "covalent",
    }  # fmt: skip
    pane.add_representation("spacefill", component=0, radius_scale=RADIUS, **coloured)
    # Only the far half, seen from within, so that a ghost shows nothing but where its atom is not.
    pane.add_representation(
        "spacefill", component=1, color=GHOST, opacity=0.6, depth_write=False, side="back",
        use_interior_color=True, radius_type="covalent", radius_scale=RADIUS,
        disable_impostor=True, sphere_detail=1,
    )  # fmt: skip
    if len(of):
        # Small and pale: neither to be taken for atoms of the cell, nor to hide them.
        pane.add_representation(
            "spacefill", component=2, radius_scale=0.6 * RADIUS, opacity=0.45, **coloured
        )
    if named := minority(path.symbols):
        pane.add_representation(
            "label", component=0, selection=named, label_type="atomname", color="#222222",
            radius_type="size", radius_size=1.4, attachment="middle-center", z_offset=20.0,
            show_background=True, background_color="white", background_opacity=0.7,
        )  # fmt: skip
    # NGL's own unit cell is orange whatever one asks for; its cylinders are slow in software.
    if len(beams := box(cell_edges(path))):
        pane._add_shape([["mesh", beams.round(3).tolist(), [0.6] * len(beams)]], name="cell")
    # What moves is made in the browser, in the place and the colour of a single triangle: all that
    # is here is text in a saved notebook.
    for name, colour in (("bonds", BOND), ("empty sites", GHOST), ("arrows", SKY)):
        corner = [*path.reference[0].round(2).tolist()] * 3
        pane._add_shape([["mesh", corner, np.tile(to_rgb(colour), 3).round(2).tolist()]], name=name)
    pane.control.orient(camera(path))


def box(edges: np.ndarray, width: float = 0.035) -> np.ndarray:
    """Triangles (9 a triangle) Å of thin three-sided beams along ``edges`` (E, 2, 3)."""
    if not len(edges):
        return np.empty(0)
    along = edges[:, 1] - edges[:, 0]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    # Any direction across will do, as long as it is not along.
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = np.cross(along, across)
    angles = 2 * np.pi * np.arange(3) / 3
    corners = width * (
        np.cos(angles)[:, None, None] * across + np.sin(angles)[:, None, None] * other
    )  # (3, E, 3)
    sides = []
    for one, two in ((0, 1), (1, 2), (2, 0)):
        a, b = edges[:, 0] + corners[one], edges[:, 0] + corners[two]
        c, d = edges[:, 1] + corners[one], edges[:, 1] + corners[two]
        sides += [a, b, c, c, b, d]
    return np.stack(sides, axis=1).ravel()


def camera(path: AlignedTrajectory) -> list[float]:
    """An orientation (16 numbers, column by column) that shows the whole structure.

    Both panes start from the same one: nglview fits each to its own atoms, which differ.
    """
    middle, reach = extent(path)
    points = np.concatenate([path.reference, path.positions[0], cell_edges(path).reshape(-1, 3)])
    half = np.radians(FIELD_OF_VIEW / 2)
    distance = reach / np.sin(half)
    for _ in range(4):  # what is nearer looks larger, so the middle of the picture has to be found
        seen = (points - middle) @ view().T
        shown = seen[:, :2] / (distance - seen[:, 2:])
        middle = middle + distance * (shown.min(0) + shown.max(0)) / 2 @ view()[:2]
        # Everything fits as it is seen first; turned, a corner may touch the frame, no more.
        aside = np.abs(seen[:, :2]).max(1) + LARGEST_SPHERE
        distance = max((seen[:, 2] + aside / np.tan(half)).max(), 0.85 * reach / np.sin(half))
    matrix = np.eye(4)
    # As NGL reads it: a rotation scaled by the camera's distance, and minus what it looks at. Its
    # camera looks along z where ours looks against it: half a turn about the vertical.
    matrix[:3, :3] = distance * np.diag([-1.0, 1.0, -1.0]) @ view()
    matrix[:3, 3] = -middle
    return matrix.T.ravel().tolist()


def pdb(symbols: Sequence[str], positions: np.ndarray, distance: np.ndarray) -> str:
    """PDB text, an atom a line, with ``distance`` (Å) as B-factor."""
    lines = [
        f"ATOM  {number % 100000:5d} {symbol:>2}   MOL A{1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
        f"{1:6.2f}{min(d, 999):6.2f}          {symbol.upper():>2}"
        for number, (symbol, (x, y, z), d) in enumerate(
            zip(symbols, positions, distance, strict=True), 1
        )
    ]
    return "\n".join([*lines, "END", ""])
