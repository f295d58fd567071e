"""Valleys to lose one's way in: landscapes with a start, a place to reach, and a step to try."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from bpttviz._checks import instance_of, number, positive, sequence_of, whole
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.potentials.landscape import (
    Landscape,
    MullerBrown,
    NeuralLandscape,
    Wells,
    Window,
    walkers,
)
from bpttviz.relaxation.adjoints.unrolled import FullBPTT
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import EndpointLoss
from bpttviz.training.runs import Run


@dataclass(frozen=True, eq=False)
class LandscapeExample:
    """A landscape, and how a visit to it begins.

    Attributes:
        landscape: the surface.
        start, target: (x, y) Å: where a walker starts, and where it should end.
        window: the part to look at.
        step_size: eta, Å²/eV.
        steps: K.
        learning_rate: of Adam, in `finetune_landscape`.

    Raises:
        TypeError, ValueError: no landscape or window, numbers out of range, or a place outside the
            window.
    """

    landscape: Landscape
    start: tuple[float, float]
    target: tuple[float, float]
    window: Window = field(default_factory=Window)
    step_size: float = 0.1
    steps: int = 12
    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        instance_of("landscape", self.landscape, Landscape, "bv.MullerBrown()")
        instance_of("window", self.window, Window, "Window()")
        checked: dict[str, object] = {n: _place(n, getattr(self, n)) for n in ("start", "target")}
        checked["step_size"] = positive("step_size", self.step_size)
        checked["steps"] = whole("steps", self.steps)
        checked["learning_rate"] = positive("learning_rate", self.learning_rate)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name in ("start", "target"):
            for value, (low, high), axis in zip(
                getattr(self, name), (self.window.x, self.window.y), "xy", strict=True
            ):
                if not low <= value <= high:
                    raise ValueError(
                        f"{name} has {axis} = {value:g} Å, outside the window from {low:g} to "
                        f"{high:g} Å"
                    )


def _place(name: str, value: object) -> tuple[float, float]:
    """A place (x, y) Å."""
    pair = sequence_of(name, value, object, "(1.0, 0.5)")
    if len(pair) != 2:
        raise ValueError(f"{name} must be a place (x, y), got {len(pair)} numbers")
    return number(f"x of {name}", pair[0]), number(f"y of {name}", pair[1])


def checked_examples(examples: Mapping[str, LandscapeExample]) -> dict[str, LandscapeExample]:
    """``examples`` itself, if it is title → `LandscapeExample`. Raises TypeError, ValueError."""
    wanted = (
        "FoggyValley takes a mapping of title → LandscapeExample, as bv.landscape_examples() is"
    )
    if not isinstance(examples, Mapping):
        raise TypeError(f"{wanted}; got {type(examples).__name__}")
    if not examples:
        raise ValueError("there is no landscape to walk on; give at least one LandscapeExample")
    for title, example in examples.items():
        if not isinstance(title, str) or not isinstance(example, LandscapeExample):
            raise TypeError(f"{wanted}; got {type(example).__name__} under {title!r}")
    return dict(examples)


def landscape_examples() -> dict[str, LandscapeExample]:
    """Four of them: title → `LandscapeExample`.

    The last was learned from the second, from 144 places.
    """
    three = Wells(
        [[-0.9, -0.4], [0.95, -0.25], [0.1, 0.95]], [1.0, 1.1, 0.9], [0.5, 0.5, 0.45], bowl=0.3
    )
    window = Window()
    return {
        "two valleys": LandscapeExample(
            Wells([[-1.0, 0.0], [1.0, 0.0]], [1.25, 0.75], [0.72, 0.48], bowl=0.3),
            start=(0.2, 0.95),
            target=(0.9, 0.0),
        ),
        "three valleys": LandscapeExample(three, start=(0.12, 0.2), target=(0.83, -0.22)),
        "Müller-Brown": LandscapeExample(
            MullerBrown(),
            start=(-0.9, 0.7),
            target=(-0.05, 0.47),
            window=Window((-1.7, 1.2), (-0.4, 2.1)),
            step_size=0.03,
            steps=15,
            learning_rate=5.0,  # amplitudes are in the hundreds
        ),
        "learned": LandscapeExample(
            _learned(three, window), start=(0.12, 0.2), target=(0.83, -0.22), learning_rate=0.005
        ),
    }


def _learned(truth: Landscape, window: Window) -> NeuralLandscape:
    """A small network that has seen a landscape at 144 places only."""
    draw = torch.Generator().manual_seed(1)
    low, high = (torch.tensor(side).double() for side in zip(window.x, window.y, strict=True))
    seen = low + (high - low) * torch.rand(144, 2, generator=draw, dtype=torch.float64)
    network = NeuralLandscape(width=16)
    network.fit(truth, seen, steps=300)
    return network


def finetune_landscape(
    landscape: Landscape,
    start: tuple[float, float],
    target: tuple[float, float],
    rule: GradientDescent,
    stop: StoppingCriterion,
    updates: int = 60,
    learning_rate: float = 0.02,
    on_update: Callable[[Run], None] | None = None,
    stop_when: Callable[[], bool] | None = None,
) -> Run:
    """Train a copy of a landscape through the path, until the walker from start ends at target.

    Args:
        landscape: stays as it is.
        start, target: (x, y) Å.
        rule, stop: the map.
        updates: at most so many.
        learning_rate: of Adam.
        on_update, stop_when: as in `finetune`, whose errors are raised here too.
    """
    reference = ReferenceRelaxation("walker", "walker", walkers([start]), walkers([target]))
    return finetune(
        landscape,
        RelaxationDataset([reference]),
        EndpointLoss(rule, stop, FullBPTT()),
        epochs=updates,
        learning_rate=learning_rate,
        progress=False,
        on_update=on_update,
        stop_when=stop_when,
    )
