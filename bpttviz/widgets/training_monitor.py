"""`TrainingMonitor`: a fine-tuning that can be watched, stopped and resumed while it goes on."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets

from bpttviz._checks import whole
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.plotting.palette import BLUE, ORANGE, PURPLE
from bpttviz.plotting.training import plot_training
from bpttviz.potentials.base import Potential
from bpttviz.profiling import memory_now
from bpttviz.relaxation.diagnose import EXPLODED, VANISHED
from bpttviz.training import summary
from bpttviz.training.arguments import Metrics
from bpttviz.training.background import BackgroundTraining, get_or_create_training
from bpttviz.training.config import TrainingConfig
from bpttviz.training.objectives import ForceLoss, Objective
from bpttviz.training.runs import Run, load_run
from bpttviz.training.trainer import Trainer
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.static import SelfContained

ENTRY = "training_monitor/index.js"
MOST = 300  # points of a curve that are sent: the panels are no wider
SECONDS_BETWEEN = 0.25  # messages to the browser, at least


class TrainingView(SelfContained, anywidget.AnyWidget):
    """How a training went: loss and validation, force error, gradient by step, memory and time.

    Args:
        run: the run, or the folder it is in.

    Raises:
        TypeError: something else.
        RunError: the folder holds no run.

    Attributes:
        data: what the browser shows (a trait).
        name: by which a page finds the view again.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(ENTRY)

    data = traitlets.Dict(read_only=True).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)

    def __init__(self, run: Run | str | Path):
        if not isinstance(run, Run | str | Path):
            raise TypeError(
                "TrainingMonitor.of takes a run (as bv.finetune returns it) or the folder that "
                f"holds one, got {type(run).__name__}"
            )
        self._run = run if isinstance(run, Run) else load_run(run)
        super().__init__(name=f"training-{uuid.uuid4().hex}")
        self.set_trait("data", self._payload())

    @property
    def run(self) -> Run:
        """The run that is shown."""
        return self._run

    def picture(self) -> AccessibleFigure:
        """The curves as a static figure with alternative text."""
        return plot_training(self.run)

    def heading(self) -> str:
        return f"Training of {_name_of(self.run)}"

    def view(self) -> dict:
        data = {**self._payload(), "button": None, "pulse": None}  # no kernel, nothing to press
        return {"entry": ENTRY, "data": data, "live": self.name}

    def _payload(self) -> dict:
        return _training_payload(self.run, self.run.status)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {_name_of(self.run)}: {self.data['headline']}> " + (
            summary.describe_run(self.run)
        )


class TrainingMonitor(TrainingView):
    """`finetune` in the background: live curves, and a button that stops and resumes it.

        monitor = bv.TrainingMonitor(chgnet, data, objective, epochs=4, out="runs/chgnet")
        monitor.start()          # or press the button
        monitor                  # the cell is free again while it trains
        run = await monitor      # in a later cell: the run, as finetune returns it

    The button has Enter and space, as every button.

    A stop takes effect between two steps of the relaxation or of its backward pass, and leaves a
    run that resumes to the same result. Running the cell again shows the training that goes on (or
    what the folder holds) instead of beginning another one.

    ``await`` lets the button's message through while the cell waits (with ipykernel 7; an earlier
    one delivers it when the cell has ended). Outside notebooks, `wait` does the same. Interrupting
    either stops training cleanly.

    Args:
        potential, data, objective, config, validation: as in `finetune`.
        out: folder to save to and resume from.
        force_frames: after each epoch the mean absolute force error is measured on so many frames
            of each validation relaxation that has frames. That costs as many force evaluations, of
            the K (steps) or so that its endpoint error costs. 0: not measured.
        **settings: single fields of `TrainingConfig`, which take precedence over ``config``.

    Raises:
        TypeError, ValueError, RunError, TrainingError: as `finetune`, at once.
    """

    training: BackgroundTraining

    def __init__(
        self,
        potential: Potential,
        data: DatasetSplits | RelaxationDataset,
        objective: Objective,
        config: TrainingConfig | None = None,
        *,
        out: str | Path,
        validation: RelaxationDataset | None = None,
        force_frames: int = 4,
        **settings: Any,
    ):
        def make() -> Trainer:
            return Trainer(
                potential, data, objective, config, validation=validation, out=out, **settings
            )

        self.training = get_or_create_training(make, _metrics(force_frames))
        self._sending, self._sent = threading.Lock(), 0.0
        self._place = ""  # of the static picture, once it is displayed
        super().__init__(self.training.run)
        self.training.subscribe(self._refresh)
        self.on_msg(self._on_message)

    @staticmethod
    def of(run: Run | str | Path) -> TrainingView:
        """The same view of a run that is over, or of a folder that holds one."""
        return TrainingView(run)

    @property
    def run(self) -> Run:
        """The run so far; while training, its potential has the current weights."""
        return self.training.run

    @property
    def status(self) -> str:
        """ "ready", "running", "stopping", "interrupted", "failed", "stopped early", "finished"."""
        return self.training.status

    def start(self) -> TrainingMonitor:
        """Train, or go on where a stop left off. Returns at once."""
        self.training.start()
        return self

    def stop(self) -> TrainingMonitor:
        """Stop between two steps. Returns at once; `wait` waits until it is done."""
        self.training.stop()
        return self

    def wait(self) -> Run:
        """Wait until training ends, and return the run. Starts it if nobody has.

        Interrupting it stops training cleanly. What ended training with an error is raised here.
        In a notebook ``await`` the monitor instead.
        """
        try:
            return self.training.wait()
        finally:
            self._update_static()

    def __await__(self) -> Generator[Any, None, Run]:
        return self._ended().__await__()

    async def _ended(self) -> Run:
        try:
            return await self.training.ended()
        finally:
            self._update_static()

    def close(self) -> None:
        """Take the view away; training goes on."""
        if hasattr(self, "training"):  # not where making one failed
            self.training.unsubscribe(self._refresh)
        super().close()

    def _show_static(self, **options: Any) -> None:
        self._place = f"bpttviz-{uuid.uuid4().hex}"
        super()._show_static(display_id=self._place, **options)

    def _update_static(self) -> None:
        """Put what is known now in place of what was first displayed, if anything was."""
        if self._place:
            self.caption = "As it ended"
            super()._show_static(display_id=self._place, update=True)

    def _on_message(self, _: object, content: object, __: object) -> None:
        wanted = content.get("do") if isinstance(content, dict) else None
        if wanted not in ("start", "stop"):
            return  # no button says anything else
        try:
            (self.training.start if wanted == "start" else self.training.stop)()
        except Exception as error:  # nobody else would see it
            self.training.error = error
            self._refresh(True)

    def _refresh(self, important: bool) -> None:
        """Send what is new, but not too often."""
        with self._sending:
            now = time.monotonic()
            if important or now - self._sent > SECONDS_BETWEEN:
                self._sent = now
                self.set_trait("data", self._payload())

    def _payload(self) -> dict:
        training = self.training
        trainer, status = training.trainer, training.status
        return _training_payload(
            trainer.run,
            status,
            plan=(trainer.updates, trainer.config.epochs),
            pulse=(training.steps, training.steps_before),
            error=None if training.error is None else _last_words(training.error),
        )


def _metrics(force_frames: int) -> Metrics:
    """The force error on some frames of the validation relaxations, where there are any."""
    if not whole("force_frames", force_frames, least=0):
        return {}
    forces = ForceLoss(frames=force_frames)

    def force_error(potential: Potential, validation: RelaxationDataset) -> float | None:
        known = [r.name for r in validation if r.trajectory is not None]
        with torch.no_grad():
            errors = [float(forces.loss(potential, validation[[name]])) for name in known]
        measured = [error for error in errors if math.isfinite(error)]
        return sum(measured) / len(measured) if measured else None

    return {summary.FORCE_ERROR: force_error}


BUTTONS = {  # status -> what the button does, what it says
    "ready": ["start", "▶ Start"],
    "running": ["stop", "■ Stop"],
    "interrupted": ["start", "▶ Resume"],
    "failed": ["start", "▶ Try again"],
}

HEADLINES = {
    "ready": "ready to start",
    "stopping": "stopping after this step",
    "interrupted": "stopped; it can be resumed",
    "failed": "ended by an error; what was done is saved",
}


def _training_payload(
    run: Run,
    status: str,
    plan: tuple[int, int] | None = None,
    pulse: tuple[int, int] = (0, 0),
    error: str | None = None,
) -> dict:
    """A run for the front end: numbers, words and colours, nothing left to work out."""
    history, validations = list(run.history), list(run.validations)
    run = Run(run.potential, run.rule, history, validations, run.settings, run.status, run.path)
    validation = summary.curve(validations, "value", MOST)
    profiles = summary.gradient_profiles(run)
    epoch = validations[-1]["epoch"] if validations else history[-1]["epoch"] if history else 0
    peaks = [h["peak_bytes"] for h in history if h.get("peak_bytes")]
    busy = status in ("running", "stopping")
    return {
        "status": status,
        "title": f"{_name_of(run)}" + (f" · {run.path.name}" if run.path else ""),
        "headline": HEADLINES.get(status, status),
        "button": BUTTONS.get(status),
        "words": summary.describe_run(run),
        "updates": len(history),
        "plan": plan[0] if plan else None,
        "epoch": epoch,
        "epochs": plan[1] if plan else None,
        "pulse": pulse if busy else None,
        "seconds": sum(r.get("seconds", 0.0) for r in (*history, *validations)),
        "left": summary.seconds_left(run, *plan) if plan and busy else None,
        "memory": memory_now(run.potential.device) if busy else None,
        "peak": peaks[-1] if peaks else None,
        "loss": {
            "label": summary.loss_label(run),
            "training": summary.curve(history, "loss", MOST),
            "validation": validation,
            "best": summary.best(validation),
        },
        "forces": summary.curve(validations, summary.FORCE_ERROR, MOST),
        "norm": summary.curve(history, "gradient_norm", MOST),
        "clip": run.settings.get("clip"),
        "gradient": {
            "profiles": [
                [list(way.steps), [_short(size) for size in way.relative]] for way in profiles
            ],
            "verdict": profiles[-1].verdict if profiles else None,
            "words": summary.format_gradient(profiles),
            "vanished": VANISHED,
            "exploded": EXPLODED,
        },
        "notes": [
            f"{name} was left out of {count} update{'s' * (count > 1)}: its relaxation diverged, "
            "or it had no usable gradient"
            for name, count in summary.left_out(run).items()
        ],
        "error": error,
        "colours": {"training": ORANGE, "validation": BLUE, "gradient": PURPLE},
    }


def _name_of(run: Run) -> str:
    return type(run.potential).__name__


def _short(value: float | None) -> float | None:
    """To four digits: more than can be drawn."""
    return None if value is None else float(f"{value:.4g}")


def _last_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
