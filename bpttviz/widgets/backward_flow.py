"""`BackwardFlow`: a relaxation forward, then its gradient backward through it, on the atoms."""

from __future__ import annotations

import uuid
from typing import Any

import anywidget
import numpy as np
import traitlets
from ase.data import atomic_numbers, covalent_radii
from traitlets.utils.bunch import Bunch

from bpttviz.plotting.backward_flow import LONGEST, AlignedFlow, plot_backward_flow
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.plotting.palette import BACKWARD, FORWARD, GREY
from bpttviz.plotting.scene import PERSPECTIVE, RADIUS, cell_edges, minority, view
from bpttviz.relaxation.gradient_trace import GradientTrace
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.payload import MARGIN, extent, with_text_for_bytes
from bpttviz.widgets.static import SelfContained

ENTRY = "backward_flow/index.js"


class BackwardFlow(SelfContained, anywidget.AnyWidget):
    """A relaxation forward, then dL/dX backward through it, step by step on one clock.

    Forward, blue arrows are forces; from the end on, orange ones are dL/dX_t, L being ΔQ to the
    reference end (grey outlines). Atoms are coloured by the length of their arrow; forces have a
    scale of their own at each step, gradients one for all. Beside them stand the atoms that the
    loss listens to, as shares of |dL/dX_t|²; below, ΔQ by step, the gradient's norm by step, and
    what each step adds to dL/dθ. A click on an atom, or on its name, follows it: its forces, its
    share of the gradient and of ΔQ². Works without a kernel too.

    Keys: left and right go a moment, Home and End to the ends, space plays, Escape lets the atom
    go; in the pane the arrow keys turn it, plus and minus zoom, 0 goes back.

        bv.BackwardFlow(bv.stored_gradient("005_tet_Si"))
        bv.BackwardFlow(bv.trace_gradient(potential, start, end, rule, stop))

    Args:
        trace: what `bpttviz.trace_gradient` returns.

    Attributes:
        moment: on the clock: 0 to K forward, K+1 (the turn) to 2K+1 (back at the start) backward
            (a trait, as the next).
        atom: number of the atom that is followed, or -1.
        trace: as given.

    Raises:
        TypeError: something else than a trace.
        traitlets.TraitError: a moment or an atom is set that there is not.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(ENTRY)

    moment = traitlets.Int(0).tag(sync=True)
    atom = traitlets.Int(-1).tag(sync=True)
    data = traitlets.Dict(read_only=True).tag(sync=True)
    name = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, trace: GradientTrace):
        payload = flow_payload(trace)
        self.trace = trace
        super().__init__()
        self.set_trait("data", payload)
        self.set_trait("name", f"flow-{uuid.uuid4().hex}")

    @traitlets.validate("moment")
    def _on_the_clock(self, proposal: Bunch) -> int:
        return _within("moment", proposal["value"], 0, 2 * self.trace.steps + 1)

    @traitlets.validate("atom")
    def _some_atom(self, proposal: Bunch) -> int:
        return _within("atom", proposal["value"], -1, len(self.trace.start.numbers) - 1)

    def picture(self) -> AccessibleFigure:
        """Both ways as a static figure with alternative text."""
        return plot_backward_flow(self.trace)

    def heading(self) -> str:
        return f"{self.trace.name}: the gradient's way back"

    def view(self) -> dict:
        state = {"data": with_text_for_bytes(self.data), "moment": self.moment, "atom": self.atom}
        return {"entry": ENTRY, "data": state, "live": self.name}

    def __repr__(self) -> str:
        return f"<BackwardFlow of {self.trace!r}>"


def _within(what: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise traitlets.TraitError(f"there is no {what} {value}; there are {least} to {most}")
    return value


def flow_payload(trace: GradientTrace) -> dict[str, Any]:
    """A trace for the browser: a scene as the player's (player/comparison.js), with the arrows.

    Arrays are little-endian ``bytes``; forces and gradients float32 (K+1, N, 3).
    """
    flow = AlignedFlow.of(trace)
    path = flow.path
    species = sorted(set(path.symbols))
    middle, reach = extent(path)
    moved = path.positions - path.reference
    scale = max(float(np.abs(moved).max()), 1e-6) / 32767
    delta_q = _digits(path.delta_q)
    one = {
        "potential": trace.name, "colour": FORWARD[3], "last": trace.steps, "lost": "",
        "scale": scale, "moved": (moved / scale).round().astype("<i2").tobytes(),
        "energy": _digits(trace.energy.numpy() - float(trace.energy[0])),
        "fmax": _digits(np.linalg.norm(flow.forces, axis=2).max(1)),
        "deltaQ": delta_q, "deltaQAtRest": None, "rest": None,
    }  # fmt: skip
    scene = {
        "structure": trace.name, "steps": trace.steps, "mapSteps": trace.steps,
        "kept": list(range(trace.steps + 1)), "notes": [], "vacancies": [],
        "radii": [round(float(covalent_radii[atomic_numbers[s]]), 3) for s in species],
        "drawn": RADIUS,
        "species": np.array([species.index(s) for s in path.symbols], "u1").tobytes(),
        "labels": [[atom, path.symbols[atom]] for atom in minority(path.symbols)],
        "reference": path.reference.astype("<f4").tobytes(),
        "cell": cell_edges(path).reshape(-1, 3).round(3).tolist(),
        "imageOf": b"", "imageShift": b"", "middle": middle.round(3).tolist(),
        "reach": round(reach, 3), "margin": MARGIN, "view": view().round(6).tolist(),
        "perspective": PERSPECTIVE, "limit": 1.0, "scale": list(FORWARD), "ghost": GREY,
        "magnified": 1, "noiseFloor": None, "paths": [one],
    }  # fmt: skip
    masses = trace.start.masses.numpy()
    return {
        "scene": scene,
        "symbols": list(path.symbols),
        "masses": masses.round(4).tolist(),
        "forward": list(FORWARD),
        "backward": list(BACKWARD),
        "longest": LONGEST,
        "forces": flow.forces.astype("<f4").tobytes(),
        "gradients": flow.gradients.astype("<f4").tobytes(),
        "contribution": _digits(trace.contribution.numpy()),
        "words": plot_words(trace),
    }


def plot_words(trace: GradientTrace) -> str:
    """The whole, for those who cannot see it."""
    return f"{trace!r}".strip("<>")


def _digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
