"""One nglview pane: a relaxing structure with its reference end as a ghost behind it."""

from __future__ import annotations

import json
from pathlib import Path as FilePath

import ipywidgets
import nglview
import numpy as np

from bpttviz.frames import Path
from bpttviz.palette import DISTANCE, GHOST
from bpttviz.scene import RADIUS, cell_edges, minority, view

FIELD_OF_VIEW = 22.0  # degrees: little perspective, so that a displacement looks its size anywhere
SHOW_FRAME = (FilePath(__file__).parent / "pane.js").read_text(encoding="utf-8")


class Atoms(nglview.Structure):
    """Atoms of a `Path` as nglview reads them: PDB text, with distances as B-factors."""

    def __init__(self, path: Path, positions: np.ndarray, distance: np.ndarray):
        super().__init__()
        self.text = pdb(path, positions, distance)

    def get_structure_string(self) -> str:
        return self.text


class Pane(ipywidgets.VBox):
    """A title over an nglview window; `load` puts a path into it, `show` goes to a step.

    nglview's own trajectories are not used: their frames are sent whether or not the structure has
    arrived in the browser, and they carry no colours. Here a frame is one message with both, and
    the browser drops it until the structure is there; then the frame is sent again.

    Attributes:
        view: the ``nglview.NGLWidget``.
        title: an HTML line: what is seen and how far from the reference it is.
        frame: which frame of the path is shown.
    """

    def __init__(self):
        self.view = nglview.NGLWidget()
        self.view._view_height = "340px"
        self.view.layout.width = "100%"
        # No fog: it would pale the colours, and paleness means a small distance here.
        self.view.stage.set_parameters(camera_fov=FIELD_OF_VIEW, fog_near=100, fog_far=1000)
        self.view.observe(self._on_arrival, "n_components")
        self.title = ipywidgets.HTML()
        self.path: Path | None = None
        self.frame = 0
        super().__init__([self.title, self.view], layout={"flex": "1 1 320px", "min_width": "0"})

    def load(self, path: Path, limit: float) -> None:
        """Show ``path`` from its start, colours ending at ``limit`` Å."""
        for component in list(self.view._ngl_component_ids):
            self.view.remove_component(component)
        self.path, self.frame = path, 0
        start = Atoms(path, path.positions[0], path.distance[0])
        ghost = Atoms(path, path.reference, np.zeros(len(path.reference)))
        self.view.add_structure(start, name=path.structure, default_representation=False)
        self.view.add_structure(ghost, name="reference end", default_representation=False)
        atoms = {"radius_type": "covalent", "radius_scale": RADIUS}
        self.view.add_representation(
            "spacefill", component=0, color_scheme="bfactor", color_scale=list(DISTANCE),
            color_domain=[0, limit], **atoms,
        )  # fmt: skip
        # A little smaller, so that a ghost shows only where its atom is not at its place.
        self.view.add_representation(
            "spacefill", component=1, color=GHOST, opacity=0.4, depth_write=False,
            radius_type="covalent", radius_scale=0.9 * RADIUS,
        )  # fmt: skip
        named = minority(path.symbols)
        if named:
            self.view.add_representation(
                "label", component=0, selection=named, label_type="atomname", color="#222222",
                radius_type="size", radius_size=1.4, attachment="middle-center", z_offset=4.0,
                show_background=True, background_color="white", background_opacity=0.7,
            )  # fmt: skip
        # NGL's own unit cell is orange whatever one asks for.
        cell = [["cylinder", *edge.tolist(), [0.6, 0.6, 0.6], 0.03] for edge in cell_edges(path)]
        if cell:
            self.view._add_shape(cell, name="cell")
        self.view.control.orient(camera(path))

    def show(self, step: int, title: str) -> None:
        """Go to ``step`` and put ``title`` (HTML) over the pane."""
        self.frame = self.path.held(step)
        self.title.value = title
        self._send()

    def _send(self) -> None:
        places = self.path.positions[self.frame].round(3).ravel().tolist()
        distances = self.path.distance[self.frame].round(3).tolist()
        arguments = json.dumps([self.path.structure, places, distances])
        self.view.send(
            {
                "type": "call_method",
                "target": "Widget",
                "methodName": "executeCode",
                "reconstruc_color_scheme": False,
                "args": [f"({SHOW_FRAME}).apply(this, {arguments})"],
                "kwargs": {},
            }
        )

    def _on_arrival(self, _) -> None:
        if self.path is not None and self.frame > 0:
            self._send()


def camera(path: Path) -> list[float]:
    """An orientation (16 numbers, column by column) that shows the whole structure.

    Both panes start from the same one: nglview fits each to its own atoms, which differ.
    """
    corners = cell_edges(path).reshape(-1, 3)
    points = np.concatenate([path.reference, path.positions[0], corners])
    middle = (points.min(0) + points.max(0)) / 2
    reach = max(float(np.linalg.norm(points - middle, axis=1).max()), 2.0)
    # The sphere around everything would just touch the pane; corners leave room to come nearer.
    distance = 0.8 * reach / np.sin(np.radians(FIELD_OF_VIEW / 2))
    matrix = np.eye(4)
    # As NGL reads it: a rotation scaled by the camera's distance, and minus what it looks at. Its
    # camera looks along z where ours looks against it: half a turn about the vertical.
    matrix[:3, :3] = distance * np.diag([-1.0, 1.0, -1.0]) @ view()
    matrix[:3, 3] = -middle
    return matrix.T.ravel().tolist()


def pdb(path: Path, positions: np.ndarray, distance: np.ndarray) -> str:
    """PDB text: the cell where there is one, and an atom a line with ``distance`` as B-factor."""
    lines = []
    if path.pbc.all():
        lengths = np.linalg.norm(path.cell, axis=1)
        unit = path.cell / lengths[:, None]
        angles = np.degrees(np.arccos([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]))
        lines.append("CRYST1" + "".join(f"{x:9.3f}" for x in lengths)
                     + "".join(f"{x:7.2f}" for x in angles) + " P 1")  # fmt: skip
    for number, (symbol, (x, y, z), d) in enumerate(
        zip(path.symbols, positions, distance, strict=True), 1
    ):
        lines.append(
            f"ATOM  {number % 100000:5d} {symbol:>2}   MOL A{1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"{1:6.2f}{d:6.2f}          {symbol.upper():>2}"
        )
    return "\n".join([*lines, "END", ""])
