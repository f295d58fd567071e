"""`FoggyValley`: a landscape to walk on, whose start, step and end one can drag, and train."""

from __future__ import annotations

import copy
import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import anywidget
import numpy as np
import traitlets
from traitlets.utils.bunch import Bunch

from bpttviz._checks import positive_or_none, whole
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
from bpttviz.teaching.examples import (
    LandscapeExample,
    checked_examples,
    finetune_landscape,
    landscape_examples,
)
from bpttviz.teaching.surface import NOWHERE, SplineSurface, descent_paths, spline_surface
from bpttviz.training.runs import Run
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.landscape_payload import describe_landscape
from bpttviz.widgets.payload import with_text_for_bytes
from bpttviz.widgets.rerun import end_when_rerun
from bpttviz.widgets.static import SelfContained
from bpttviz.widgets.trained_landscape import (
    NEAR,
    TrainedLandscape,
    describe_training,
    format_place,
)

ENTRY = "foggy_valley/index.js"
SIZES = (0.005, 2.0)  # Å²/eV, the step sizes that the slider offers
MOST = 100  # steps, likewise
HIGHEST = 1.5  # eV above the lowest place, where colours end
KEPT = 10  # states of a training that are kept, to be looked at again
SAVED = ("landscape", "start", "target", "step_size", "steps", "frame", "setting", "frames", "said")


class FoggyValley(SelfContained, anywidget.AnyWidget):
    """The map X(t+1) = X(t) + eta F(X(t)) on a landscape, and the gradient on its way back.

    Drag the start (circle) and the place to reach (star), or move them with the arrow keys; plus
    and minus change the step size, page up and page down the number of steps. Tints are basins:
    places that short steps take to one resting place. The band along the path is the gradient of
    the distance between its end and the star: as wide as it is large, gone where a hundredth is
    left of it; arrows point where the walker should be nudged for its *end* to come nearer.

    While one drags, the browser walks by itself, on a surface that agrees with the landscape to
    1e-3 Å along the path; no kernel is asked. Training runs here, in a thread: it is `finetune`,
    and takes any landscape. A saved page trains by itself those whose formulas it knows (`Wells`,
    `MullerBrown`, `NeuralLandscape`), to the same path.

    Args:
        examples: title → `LandscapeExample`; by default those of
            `bpttviz.teaching.examples.landscape_examples`. Surveying one takes about half a second.

    Attributes:
        landscape: title of the one shown (a trait: set, observe or link it; so are all here).
            Setting it begins that visit anew.
        start, target: (x, y) Å, inside the window.
        step_size: eta, Å²/eV. steps: K.
        end: [x, y] Å after K steps, by `descent_paths` on the landscape itself; [] if the walk
            leaves the map, which is the window and 0.4 Å around it. Read-only.
        frame: which state of the training is shown; 0 is the landscape before it.
        training: whether one is being trained now. status: what is known of the training of the
            one shown, in words. Read-only, both.

    Raises:
        TypeError: something else than a mapping of `LandscapeExample`.
        ValueError: no landscapes.
        traitlets.TraitError: a value that cannot be.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(ENTRY)

    landscape = traitlets.Unicode().tag(sync=True)
    start = traitlets.List(traitlets.Float(), minlen=2, maxlen=2).tag(sync=True)
    target = traitlets.List(traitlets.Float(), minlen=2, maxlen=2).tag(sync=True)
    step_size = traitlets.Float().tag(sync=True)
    steps = traitlets.Int().tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    end = traitlets.List(traitlets.Float(), read_only=True).tag(sync=True)
    training = traitlets.Bool(False, read_only=True).tag(sync=True)
    status = traitlets.Unicode("", read_only=True)
    said = traitlets.Dict(read_only=True).tag(sync=True)  # title → what is known of its training
    setting = traitlets.Dict(read_only=True).tag(sync=True)
    frames = traitlets.Dict(read_only=True).tag(sync=True)
    live = traitlets.Dict(read_only=True).tag(sync=True)
    name = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, examples: Mapping[str, LandscapeExample] | None = None):
        self.examples = checked_examples(landscape_examples() if examples is None else examples)
        self._surfaces = {
            title: spline_surface(example.landscape, example.window)
            for title, example in self.examples.items()
        }
        self._trained: dict[str, list[TrainedLandscape]] = {title: [] for title in self.examples}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        first = next(iter(self.examples))
        super().__init__(landscape=first, **_visit(self.examples[first]))
        self.set_trait("name", f"valley-{uuid.uuid4().hex}")
        self.set_trait("setting", self._setting())
        self.set_trait("said", dict.fromkeys(self.examples, ""))
        self._walk()
        self.observe(self._arrive, "landscape")
        self.observe(self._walk, ["landscape", "start", "step_size", "steps", "frame"])
        self.on_msg(self._told)
        end_when_rerun(self._stop)

    def _setting(self) -> dict:
        """What the front end is told once."""
        return {
            "examples": {
                title: {
                    "visit": _visit(example),
                    "surface": self._surfaces[title].payload(),
                    "rate": example.learning_rate,
                    "model": describe_landscape(example.landscape),
                }
                for title, example in self.examples.items()
            },
            "tints": list(POTENTIALS),
            "highest": HIGHEST,
            "sizes": list(SIZES),
            "most": MOST,
            "limits": {"vanished": VANISHED, "exploded": EXPLODED, "stable": STABLE},
        }

    # --- the state, checked -------------------------------------------------------------------

    @traitlets.validate("landscape")
    def _known(self, proposal: Bunch) -> str:
        if proposal["value"] not in self.examples:
            known = ", ".join(self.examples)
            raise traitlets.TraitError(f"no landscape {proposal['value']!r}; there are {known}")
        return proposal["value"]

    @traitlets.validate("start", "target")
    def _inside(self, proposal: Bunch) -> list[float]:
        place, window = proposal["value"], self.examples[self.landscape].window
        for value, (low, high), axis in zip(place, (window.x, window.y), "xy", strict=True):
            if not low <= value <= high:
                raise traitlets.TraitError(
                    f"{proposal['trait'].name} has {axis} = {value:g} Å, outside the window from "
                    f"{low:g} to {high:g} Å"
                )
        return place

    @traitlets.validate("step_size", "steps")
    def _positive(self, proposal: Bunch) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        if not (0 < value < math.inf):
            raise traitlets.TraitError(f"{name} must be positive, got {value}")
        return value

    @traitlets.validate("frame")
    def _kept(self, proposal: Bunch) -> int:
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
            TypeError, ValueError: numbers out of range.
        """
        updates = whole("updates", updates)
        learning_rate = positive_or_none("learning_rate", learning_rate)
        if self.training:
            raise RuntimeError("a training is under way; wait for it, or press Stop")
        self._stopping.clear()
        self.set_trait("training", True)
        return self._train(updates, learning_rate)

    def _train(self, updates: int, learning_rate: float | None) -> Run | None:
        title, example = self.landscape, self.examples[self.landscape]
        start, target, rule, stop = _pair(self.start), _pair(self.target), self.rule, self.stop
        states = self._trained[title][: self.frame]
        before, surface = states[-1].update if states else 0, self._shown[1]
        first = self.distance

        def on_update(run: Run) -> None:
            nonlocal surface
            count, shown = len(run.history), cast(Landscape, copy.deepcopy(run.potential))
            surface = surface.updated(shown, basins=False)  # the browser drains it
            path = descent_paths(shown, [start], rule, stop)[:, 0].numpy()
            kept = surface.holds(path).all()
            distance = math.dist(path[-1], target) if kept else math.nan
            states.append(TrainedLandscape(before + count, distance, shown, surface))
            self.set_trait("live", {"landscape": title, "surface": surface.payload()})
            self._say(f"Update {before + count}: {distance:.3f} Å from the star.", title)
            if not distance > NEAR:  # there, or lost
                self._stopping.set()

        try:
            if not self.end:
                lost = "Lost: a walk without an end has no gradient. Shorten the step first."
                self._say(lost, title)
                return None
            rate = example.learning_rate if learning_rate is None else learning_rate
            run = finetune_landscape(
                self.potential, start, target, rule, stop, updates, rate,
                on_update, self._stopping.is_set,
            )  # fmt: skip
            if run.history:
                self._keep(title, states)
            last = states[-1].distance if run.history else first
            self._say(
                describe_training(len(run.history), stop.max_steps, start, first, last), title
            )
            return run
        except Exception as error:
            self._say(f"Training failed: {error}", title)
            raise
        finally:
            self.set_trait("live", {})
            self.set_trait("training", False)

    def _keep(self, title: str, states: list[TrainedLandscape]) -> None:
        """A few states of the training, the last among them, each with basins of its own."""
        chosen = np.unique(np.linspace(0, len(states) - 1, KEPT).round().astype(int))
        kept, surface = [], self._surfaces[title]
        for number in chosen:
            surface = surface.updated(states[number].landscape)
            kept.append(replace(states[number], surface=surface))
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
        self._say("As it was.", self.landscape)

    def _stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        """Take it away, and stop what is trained for it."""
        if hasattr(self, "_stopping"):  # not where making it failed
            self._stop()
        super().close()

    def _told(self, _: object, content: object, __: object) -> None:
        """The reader pressed a button, which says nothing else than what it is to do."""
        wanted = content.get("do") if isinstance(content, dict) else None
        if wanted == "stop":
            self._stop()
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
        basins = self._shown[1].basins
        numbered = np.where(basins == NOWHERE, -1, basins.astype(int))
        window = self.examples[self.landscape].window
        way = WalkerPath(self.path, BLUE, f"{self.steps} steps, η = {self.step_size:.3g} Å²/eV")
        return plot_landscapes(
            self.potential, [way], numbered, [_pair(self.target)], window, HIGHEST
        )

    def heading(self) -> str:
        return "Foggy valley: a walk, and its gradient's way back"

    def view(self) -> dict:
        """All landscapes, and what they were trained to: 0.4 MB, and 0.3 MB more for each of these.

        The page trains too, where `describe_landscape` knows how.
        """
        state = {"live": {}, "training": False, "name": ""}
        state |= {name: getattr(self, name) for name in SAVED}
        return {"entry": ENTRY, "data": with_text_for_bytes(state), "live": self.name}

    def __repr__(self) -> str:
        end = "lost"
        if self.end:
            end = f"at {format_place(self.end)} Å, {self.distance:.2f} Å from the star"
        trained = self._trained[self.landscape][: self.frame]
        bent = f", after {trained[-1].update} updates of training" if trained else ""
        return (
            f"<FoggyValley {self.landscape!r}{bent}> from {format_place(self.start)} in "
            f"{self.steps} steps of η = {self.step_size:.3g} Å²/eV: {end}"
        )

    # --- following changes --------------------------------------------------------------------

    @property
    def _shown(self) -> tuple[Landscape, SplineSurface]:
        if self.frame:
            state = self._trained[self.landscape][self.frame - 1]
            return state.landscape, state.surface
        return self.examples[self.landscape].landscape, self._surfaces[self.landscape]

    def _arrive(self, _: Bunch) -> None:
        with self.hold_trait_notifications():
            self.frame = 0
            for name, value in _visit(self.examples[self.landscape]).items():
                setattr(self, name, value)
            self.set_trait("status", self.said[self.landscape])

    def _walk(self, _: Bunch | None = None) -> None:
        path = self.path
        kept = self._shown[1].holds(path).all()
        self.set_trait("end", path[-1].tolist() if kept else [])

    def _say(self, words: str, title: str) -> None:
        """What is known of a landscape's training; shown while that landscape is."""
        self.set_trait("said", {**self.said, title: words})
        if self.landscape == title:
            self.set_trait("status", words)


def _visit(example: LandscapeExample) -> dict:
    return {
        "start": list(example.start),
        "target": list(example.target),
        "step_size": example.step_size,
        "steps": example.steps,
    }


def _pair(place: Sequence[float]) -> tuple[float, float]:
    x, y = place
    return x, y
