"""`FoggyValley`: a landscape to walk on, whose start, step and end one can drag, and train."""

from __future__ import annotations

import copy
import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import anywidget
import numpy as np
import traitlets

from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.plotting.landscapes import WalkerPath, plot_landscapes
from bpttviz.plotting.palette import BLUE, POTENTIALS
from bpttviz.potentials.landscape import Landscape, walkers
from bpttviz.relaxation.diagnose import (
    EXPLODED,
    STABLE,
    VANISHED,
    GradientDiagnosis,
    diagnose_gradient,
)
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.teaching.examples import LandscapeExample, finetune_landscape, landscape_examples
from bpttviz.teaching.surface import (
    NOWHERE,
    SplineSurface,
    descent_paths,
    resurveyed,
    spline_surface,
)
from bpttviz.training.runs import Run
from bpttviz.widgets.bundle import joined
from bpttviz.widgets.payload import as_json
from bpttviz.widgets.static import SelfContained

SIZES = (0.005, 2.0)  # Å²/eV, the step sizes that the slider offers
MOST = 100  # steps, likewise
HIGHEST = 1.5  # eV above the lowest place, where colours end
NEAR = 0.02  # Å: training has arrived
KEPT = 10  # states of a training that are kept, to be looked at again
DRAINED = 6  # updates of a training between two basin maps: they take longer than the update
SHARED = ("landscape", "start", "target", "step_size", "steps", "frame", "setting", "frames")


def source() -> str:
    """The widget as one ES module."""
    return joined(
        "clip.js", "elements.js", "pagemodel.js", "walk.js", "ground.js", "foggy_valley.js"
    )


@dataclass(frozen=True, eq=False)
class Trained:
    """A landscape as it was after an update of its training.

    Attributes:
        update: which one, from 1.
        distance: Å, from the walk's end to the target.
        landscape, terrain: the surface, and as it is shown.
    """

    update: int
    distance: float
    landscape: Landscape
    surface: SplineSurface

    def payload(self) -> dict:
        """For the front end."""
        return {
            "update": self.update,
            "distance": self.distance,
            "terrain": self.surface.payload(),
        }


class FoggyValley(SelfContained, anywidget.AnyWidget):
    """The map X(t+1) = X(t) + eta F(X(t)) on a landscape, and the gradient on its way back.

    Drag the start (circle) and the place to reach (star), or move them with the arrow keys; plus
    and minus change the step size, page up and page down the number of steps. Tints are basins:
    places that short steps take to one resting place. The band along the path is the gradient of
    the distance between its end and the star: as wide as it is large, gone where a hundredth is
    left of it; arrows point where the walker should be nudged for its *end* to come nearer.

    While one drags, the browser walks by itself, on a surface that agrees with the landscape to
    1e-3 Å along the path; no kernel is asked. Training runs here, in a thread.

    Args:
        places: title → `LandscapeExample`; by default those of `bpttviz.teaching.examples.landscape_examples`. Surveying one takes
            about half a second.

    Attributes:
        landscape: title of the one shown (a trait: set, observe or link it; so are all here).
            Setting it begins that visit anew.
        start, target: (x, y) Å, inside the window.
        step_size: eta, Å²/eV. steps: K.
        end: [x, y] Å after K steps, by `descent_paths` on the landscape itself; [] if the walk leaves the
            map, which is the window and 0.4 Å around it. Read-only.
        frame: which state of the training is shown; 0 is the landscape before it.
        training: whether it is being trained now. status: what is known of that, in words.
            Read-only, both.

    Raises:
        ValueError: no landscapes.
        traitlets.TraitError: a value that cannot be.
    """

    _esm = source()
    _css = joined("foggy_valley.css")

    landscape = traitlets.Unicode().tag(sync=True)
    start = traitlets.List(traitlets.Float(), minlen=2, maxlen=2).tag(sync=True)
    target = traitlets.List(traitlets.Float(), minlen=2, maxlen=2).tag(sync=True)
    step_size = traitlets.Float().tag(sync=True)
    steps = traitlets.Int().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    end = traitlets.List(traitlets.Float(), read_only=True).tag(sync=True)
    training = traitlets.Bool(False, read_only=True).tag(sync=True)
    status = traitlets.Unicode("", read_only=True).tag(sync=True)
    setting = traitlets.Dict(read_only=True).tag(sync=True)
    frames = traitlets.Dict(read_only=True).tag(sync=True)
    live = traitlets.Dict(read_only=True).tag(sync=True)
    name = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, places: Mapping[str, LandscapeExample] | None = None):
        self.places = dict(landscape_examples() if places is None else places)
        if not self.places:
            raise ValueError("there is no landscape to walk on; give at least one Valley")
        self._terrains = {
            title: spline_surface(place.landscape, place.window)
            for title, place in self.places.items()
        }
        self._trained: dict[str, list[Trained]] = {title: [] for title in self.places}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        first = next(iter(self.places))
        super().__init__(landscape=first, **_visit(self.places[first]))
        self.set_trait("name", f"valley-{uuid.uuid4().hex}")
        self.set_trait(
            "setting",
            {
                "valleys": {
                    title: {"visit": _visit(place), "terrain": self._terrains[title].payload()}
                    for title, place in self.places.items()
                },
                "tints": list(POTENTIALS),
                "highest": HIGHEST,
                "sizes": list(SIZES),
                "most": MOST,
                "limits": {"faded": VANISHED, "exploded": EXPLODED, "stable": STABLE},
            },
        )
        self._walk()
        self.observe(self._arrive, "landscape")
        self.observe(self._walk, ["landscape", "start", "step_size", "steps", "frame"])
        self.on_msg(self._told)

    # --- the state, checked -------------------------------------------------------------------

    @traitlets.validate("landscape")
    def _known(self, proposal):
        if proposal["value"] not in self.places:
            known = ", ".join(self.places)
            raise traitlets.TraitError(f"no landscape {proposal['value']!r}; there are {known}")
        return proposal["value"]

    @traitlets.validate("start", "target")
    def _inside(self, proposal):
        place, window = proposal["value"], self.places[self.landscape].window
        for value, (low, high), axis in zip(place, (window.x, window.y), "xy", strict=True):
            if not low <= value <= high:
                raise traitlets.TraitError(
                    f"{proposal['trait'].name} has {axis} = {value:g} Å, outside the window from "
                    f"{low:g} to {high:g} Å"
                )
        return place

    @traitlets.validate("step_size", "steps")
    def _positive(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if not (0 < value < math.inf):
            raise traitlets.TraitError(f"{name} must be positive, got {value}")
        return value

    @traitlets.validate("frame")
    def _kept(self, proposal):
        return min(max(proposal["value"], 0), len(self._trained[self.landscape]))

    @property
    def rule(self) -> GradientDescent:
        """One step of the map."""
        return GradientDescent(self.step_size, max_step=None)

    @property
    def stop(self) -> StoppingCriterion:
        """K steps."""
        return StoppingCriterion(self.steps)

    @property
    def potential(self) -> Landscape:
        """The landscape shown: as it was given, or as training left it."""
        return self._shown[0]

    @property
    def path(self) -> np.ndarray:
        """(K+1, 2) Å, start to end; not finite from where the walk is lost."""
        return descent_paths(self.potential, [self.start], self.rule, self.stop)[:, 0].numpy()

    @property
    def distance(self) -> float:
        """From the walk's end to the target, Å: what training makes small. NaN without an end."""
        return math.dist(self.end, self.target) if self.end else math.nan

    def diagnose(self) -> GradientDiagnosis:
        """`diagnose_gradient` of the walk shown, towards the target."""
        here, there = walkers([self.start], ["walk"]), walkers([self.target])
        return diagnose_gradient(self.potential, here, there, self.rule, self.stop)

    # --- training -----------------------------------------------------------------------------

    def train(self, updates: int = 60, learning_rate: float | None = None) -> Run | None:
        """Train the landscape shown through the path, until its end is within 0.02 Å of the target.

        The button does the same in a thread, so that the kernel stays free. Both keep ten states of
        the landscape, which the slider and `frame` show.

        Args:
            updates: at most so many.
            learning_rate: of Adam; by default the `LandscapeExample`'s.

        Returns:
            the `Run`; None if the walk has no end to begin with.

        Raises:
            RuntimeError: one is under way.
        """
        if self.training:
            raise RuntimeError("a training is under way; wait for it, or press Stop")
        self._stopping.clear()
        self.set_trait("training", True)
        return self._train(updates, learning_rate)

    def _train(self, updates: int, learning_rate: float | None) -> Run | None:
        title, place = self.landscape, self.places[self.landscape]
        start, target, rule, stop = tuple(self.start), tuple(self.target), self.rule, self.stop
        states = self._trained[title][: self.frame]
        before, ground = states[-1].update if states else 0, self._shown[1]
        first = self.distance

        def on_update(run: Run) -> None:
            nonlocal ground
            count = len(run.history)
            ground = resurveyed(ground, run.potential, drained=count % DRAINED == 0)
            end = descent_paths(run.potential, [start], rule, stop)[-1, 0].tolist()
            distance = math.dist(end, target)
            shown = copy.deepcopy(run.potential)
            states.append(Trained(before + count, distance, shown, ground))
            self.set_trait("live", {"landscape": title, "terrain": ground.payload()})
            self._say(f"Update {before + count}: {distance:.3f} Å from the star.")
            if not distance > NEAR:  # there, or lost
                self._stopping.set()

        try:
            if not self.end:
                self._say("Lost: a walk without an end has no gradient. Shorten the step first.")
                return None
            rate = place.learning_rate if learning_rate is None else learning_rate
            run = finetune_landscape(
                self.potential, start, target, rule, stop, updates, rate,
                on_update, self._stopping.is_set,
            )  # fmt: skip
            if run.history:
                self._keep(title, states)
            last = states[-1].distance if run.history else first
            self._say(_in_words(len(run.history), stop.max_steps, first, last))
            return run
        except Exception as error:
            self._say(f"Training failed: {error}")
            raise
        finally:
            self.set_trait("live", {})
            self.set_trait("training", False)

    def _keep(self, title: str, states: list[Trained]) -> None:
        """A few states of the training, the last among them, each with basins of its own."""
        chosen = np.unique(np.linspace(0, len(states) - 1, KEPT).round().astype(int))
        kept, ground = [], self._terrains[title]
        for number in chosen:
            ground = resurveyed(ground, states[number].landscape)
            kept.append(replace(states[number], surface=ground))
        self._trained[title] = kept
        self.set_trait("frames", {**self.frames, title: [state.payload() for state in kept]})
        if self.landscape == title:
            self.frame = len(kept)
            self._walk()

    def restore(self) -> None:
        """Forget what this landscape was trained to."""
        self._trained[self.landscape] = []
        self.frame = 0
        self.set_trait("frames", {**self.frames, self.landscape: []})
        self._say("As it was.")

    def _told(self, _, content: dict, buffers) -> None:
        """The reader pressed a button."""
        wanted = content.get("do")
        if wanted == "stop":
            self._stopping.set()
        elif wanted == "restore" and not self.training:
            self.restore()
        elif wanted == "train" and not self.training:
            self._stopping.clear()
            self.set_trait("training", True)
            self._thread = threading.Thread(target=self._train, args=(60, None), daemon=True)
            self._thread.start()

    # --- pictures and words -------------------------------------------------------------------

    def picture(self) -> AccessibleFigure:
        """What is shown as a static figure with alternative text."""
        place, ground = self.places[self.landscape], self._shown[1]
        basins = np.where(ground.basins == NOWHERE, -1, ground.basins.astype(int))
        way = WalkerPath(self.path, BLUE, f"{self.steps} steps, η = {self.step_size:.3g} Å²/eV")
        return plot_landscapes(
            self.potential, [way], basins, [tuple(self.target)], place.window, HIGHEST
        )

    def heading(self) -> str:
        return "Foggy valley: a walk, and its gradient's way back"

    def view(self) -> dict:
        """All landscapes, and what they were trained to: 0.4 MB, and 0.3 MB more for each of these.

        The page cannot train.
        """
        state = {"live": {}, "training": False, "status": "", "name": ""}
        state |= {name: getattr(self, name) for name in SHARED}
        return {"source": source(), "css": self._css, "data": as_json(state), "live": self.name}

    def __repr__(self) -> str:
        end = "lost"
        if self.end:
            end = f"at {_placed(self.end)} Å, {self.distance:.2f} Å from the star"
        trained = self._trained[self.landscape][: self.frame]
        bent = f", after {trained[-1].update} updates of training" if trained else ""
        return (
            f"<FoggyValley {self.landscape!r}{bent}> from {_placed(self.start)} in {self.steps} "
            f"steps of η = {self.step_size:.3g} Å²/eV: {end}"
        )

    # --- following changes --------------------------------------------------------------------

    @property
    def _shown(self) -> tuple[Landscape, SplineSurface]:
        if self.frame:
            state = self._trained[self.landscape][self.frame - 1]
            return state.landscape, state.surface
        return self.places[self.landscape].landscape, self._terrains[self.landscape]

    def _arrive(self, _) -> None:
        with self.hold_trait_notifications():
            self.frame = 0
            for name, value in _visit(self.places[self.landscape]).items():
                setattr(self, name, value)

    def _walk(self, _=None) -> None:
        path = self.path
        kept = self._shown[1].holds(path).all()
        self.set_trait("end", path[-1].tolist() if kept else [])

    def _say(self, words: str) -> None:
        self.set_trait("status", words)


def _visit(place: LandscapeExample) -> dict:
    return {
        "start": list(place.start),
        "target": list(place.target),
        "step_size": place.step_size,
        "steps": place.steps,
    }


def _placed(place: Sequence[float]) -> str:
    return f"({place[0]:.2f}, {place[1]:.2f})"


def _in_words(updates: int, steps: int, before: float, after: float) -> str:
    said = f"{updates} updates through {steps} steps: {before:.3f} → {after:.3f} Å from the star."
    if not math.isfinite(after):
        return f"{said} The last one sent the walk off the map: a smaller learning rate may help."
    return f"{said} {'It arrives.' if after <= NEAR else 'It is not there yet.'}"
