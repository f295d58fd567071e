"""`Playground`: a recipe, its training, and what it does to errors and atoms, on one screen."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from traitlets.utils.bunch import Bunch

from bpttviz._checks import (
    file_path,
    instance_of,
    not_negative,
    number,
    positive,
    whole,
)
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.evaluation.metrics import StructureResult
from bpttviz.evaluation.report import Report
from bpttviz.plotting.error_plane import error_plane_data
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.rules import GradientDescent, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.training.background import BackgroundTraining
from bpttviz.training.config import TrainingConfig
from bpttviz.training.objectives import EndpointLoss
from bpttviz.training.starts import AroundEnd, MixedStarts, ReferenceStarts
from bpttviz.widgets.live_report import BEFORE, GivenUp, LiveReport
from bpttviz.widgets.playground_view import PlaygroundView, filled, stored_view
from bpttviz.widgets.recipe_form import Field
from bpttviz.widgets.rerun import end_when_rerun
from bpttviz.widgets.training_monitor import TrainingMonitor

TITLE = "trained"
BUSY = "busy"  # class while what is shown is of another recipe
# How far an axis reaches at first, below and above what is measured before: factors.
ROOM = np.array([[0.4, 1.8], [0.3, 1.5]])

ANEW = "Another recipe begins anew, from the potential before training."
LOCKED = "Stop training to change it."
MOST_STEPS = 1000  # K: a slip of the pen is not to be measured for hours
DIVERGES = "With this recipe every relaxation diverges before training; a smaller η may help."
NO_FORCES = (
    "No arrow can be drawn: the relaxations held out have no frames with forces to compare with. "
    "Errors at rest are in play.report."
)
MEASURING = "Measuring what this recipe starts from …"

CHECKS: dict[str, Callable[[Any], float]] = {
    "steps": lambda value: whole("steps (K)", value, most=MOST_STEPS),
    "step_size": lambda value: positive("step_size (η)", value),
    "share": lambda value: number("share (of starts around the end)", value, least=0, most=1),
    "learning_rate": lambda value: TrainingConfig(learning_rate=value).learning_rate,
}


@dataclass(frozen=True, eq=False)
class Trial:
    """One recipe: its training, and what was measured of it."""

    monitor: TrainingMonitor
    live: LiveReport
    watcher: Callable[[bool], None]  # of its training

    @property
    def training(self) -> BackgroundTraining:
        return self.monitor.training


class Playground(PlaygroundView):
    """Choose a recipe, train, and watch arrows grow while atoms come to rest somewhere else.

    On the left the error plane, measured on relaxations that are not trained on; on the right the
    selected one of them, before and now, on one clock; below the recipe and the training, which can
    be stopped and resumed. Another recipe begins anew from the potential given; one that was tried
    before is found as it was left. All that is shown was measured: after every few updates training
    waits while the potential is evaluated. For potentials that are fast enough to watch: springs,
    or `PaiNN` on few atoms.

        play = bv.Playground(pretrained, training, held_out, step_size=0.02, max_step=None)
        play                       # press ▶ Start
        report = await play        # in a later cell, if it is to wait for the end
        bv.Playground.of(report)   # what was measured, without a potential to train

    A notebook's cell that is run again stops the trainings of the playgrounds that it made before.
    In a page without a kernel errors and atoms are there, as far as training had come.

    Args:
        potential: where training begins; stays as it is.
        training: relaxations to learn from.
        held_out: relaxations that are measured, none of which is trained on.
        steps: K, at most 1000.
        step_size: η, Å²/eV.
        max_step: Å, as of `GradientDescent`; None for no limit.
        share: of starts that lie around the reference end, 0 to 1; the others are the set's own.
        learning_rate: of Adam.
        epochs: at most so many.
        every: updates between two measurements.
        noise_floor: amu^½ Å, of the reference ends; None where it is not known.
        out: folder for the runs, one a recipe; by default one that the system forgets.

    Attributes:
        steps: K, a trait like the other three of the recipe: set one to begin anew.
        step_size: η, Å²/eV.
        share: of starts that lie around the reference end.
        learning_rate: of Adam.
        plane, player, monitor: the `ErrorPlane`, what shows the atoms, the `TrainingMonitor`.

    Raises:
        TypeError, ValueError: an argument of another kind, a number out of range, or a relaxation
            that is both trained on and held out.
        traitlets.TraitError: the same, of a number that is set later.
    """

    steps = traitlets.Any()
    step_size = traitlets.Any()
    share = traitlets.Any()
    learning_rate = traitlets.Any()

    def __init__(
        self,
        potential: Potential,
        training: RelaxationDataset,
        held_out: RelaxationDataset,
        *,
        steps: int = 10,
        step_size: float = 0.06,
        max_step: float | None = 0.2,
        share: float = 0.0,
        learning_rate: float = 1e-3,
        epochs: int = 10,
        every: int = 5,
        noise_floor: float | None = None,
        out: str | Path | None = None,
    ):
        self._potential = instance_of("potential", potential, Potential, "bv.PaiNN.pretrained()")
        self._training, self._held_out = (
            filled("training", training),
            filled("held_out", held_out),
        )
        _keep_apart(training, held_out)
        given = {"steps": steps, "step_size": step_size, "share": share}
        given["learning_rate"] = learning_rate
        recipe = {name: check(given[name]) for name, check in CHECKS.items()}
        GradientDescent(step_size, max_step)
        self._max_step, self._epochs = max_step, whole("epochs", epochs)
        self._every = whole("every", every)
        self._noise_floor = (
            None if noise_floor is None else not_negative("noise_floor", noise_floor)
        )
        self._forgotten = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._out = Path(self._forgotten.name) if out is None else Path(file_path("out", out))
        self._trials: dict[tuple[float, ...], Trial] = {}
        self._closed = False
        self._showing = threading.Lock()
        for name, value in recipe.items():
            self.set_trait(name, value)
        self._trial = self._trial_of_recipe()
        super().__init__(self._trial.live.report, BEFORE, {TITLE: BEFORE}, _fields(recipe), recipe)
        self.form.state = ANEW
        self._below.children = [self.form, self.monitor]
        self._catch_up(self._trial)
        self._show(self._trial)
        self.observe(self._renew, list(recipe))
        end_when_rerun(self._stop)

    @staticmethod
    def of(
        report: Report,
        after: str | None = None,
        potentials: Mapping[str, Potential] | None = None,
        references: RelaxationDataset | None = None,
        rule: UpdateRule | None = None,
        stop: StoppingCriterion | None = None,
    ) -> PlaygroundView:
        """What was measured before and after some training, without a potential to train.

        Args:
            report: from `evaluate`, which keeps the atoms' paths, or of stored runs
                (`bpttviz.shipped_report`), where there are errors alone.
            after: name of the potential that arrows lead to; by default the report's last.
            potentials: name → potential, of the two that arrows join. With ``references`` there is
                a button that relaxes a structure of which the report has no path::

                    name, data = "si-defects/chgnet-test", bv.load_dataset("si-defects")
                    two = {"pretrained": bv.CHGNet(), "fine-tuned": bv.load_run(name).potential}
                    bv.Playground.of(
                        bv.shipped_report(name), potentials=two, references=data.test,
                        rule=bv.Recipe().rule, stop=bv.Recipe().stop,
                    )

            references: relaxations by the names of the report's structures.
            rule, stop: the map that the report was made with; by default that of `evaluate`.

        Raises:
            TypeError: something else.
            ValueError: an empty report, or one of ``potentials`` and ``references`` alone.
            KeyError: the report holds no such potential, or ``potentials`` lacks one of the two.
        """
        return stored_view(report, after, potentials, references, rule, stop)

    @traitlets.validate(*CHECKS)
    def _possible(self, proposal: Bunch) -> float:
        try:
            return CHECKS[proposal["trait"].name](proposal["value"])
        except (TypeError, ValueError) as error:
            raise traitlets.TraitError(str(error)) from error

    @property
    def monitor(self) -> TrainingMonitor:
        """The training of the recipe shown."""
        return self._trial.monitor

    @property
    def report(self) -> Report:
        """What was measured of the training shown: "before", then "N updates"."""
        return self._trial.live.report

    def __await__(self) -> Generator[Any, None, Report]:
        return self._ended().__await__()

    async def _ended(self) -> Report:
        await self.monitor
        self._update_static("As it ended")
        return self.report

    def _stop(self) -> None:
        self.monitor.stop()

    def close(self) -> None:
        """Take it away, and stop what goes on for it: a training can be resumed from its folder."""
        self._closed = True
        for trial in getattr(self, "_trials", {}).values():  # none where making it failed
            trial.training.unsubscribe(trial.watcher)
            trial.monitor.stop().close()
        super().close()

    def __repr__(self) -> str:
        return f"<Playground, {self.monitor.status}> {self.plane.plane.describe()}"

    # --- the recipe -----------------------------------------------------------------------------

    def _wanted(self, name: str, value: float | str) -> None:
        """The form asks for another number."""
        setattr(self, name, value)

    def _trial_of_recipe(self) -> Trial:
        """The training of the recipe that is set, as it was left, or new."""
        numbers = tuple(getattr(self, name) for name in CHECKS)
        if numbers not in self._trials:
            # All digits: recipes that differ must not meet in one folder.
            folder = "_".join(repr(float(value)).removesuffix(".0") for value in numbers)
            self._trials[numbers] = self._new_trial(folder)
        return self._trials[numbers]

    def _new_trial(self, folder: str) -> Trial:
        rule, stop = GradientDescent(self.step_size, self._max_step), StoppingCriterion(self.steps)
        shares = {ReferenceStarts(): 1 - self.share, AroundEnd(): self.share}
        starts = MixedStarts({kind: share for kind, share in shares.items() if share > 0})
        monitor = TrainingMonitor(
            self._potential,
            self._training,
            EndpointLoss(rule, stop, starts=starts),
            TrainingConfig(epochs=self._epochs, learning_rate=self.learning_rate),
            out=self._out / folder,
            force_frames=0,
        )
        live = LiveReport(
            self._potential, self._held_out, rule, stop, self._noise_floor,
            unwanted=lambda: self._closed or trial is not self._trial,
        )  # fmt: skip
        trial = Trial(monitor, live, lambda important: self._follow(trial, important))
        trial.training.subscribe(trial.watcher)
        return trial

    def _renew(self, change: Bunch) -> None:
        """Another recipe: what went on is stopped, and arrows are those of the new one.

        One that cannot be trained is taken back: what is set is always what is shown.
        """
        try:
            trial = self._trial_of_recipe()
        except Exception:
            self.set_trait(change.name, change.old)
            raise
        if trial is self._trial:
            return
        self.monitor.stop()
        self._trial = trial
        self.form.values = {name: getattr(self, name) for name in CHECKS}
        self.form.problems, self.form.disabled = {}, trial.training.alive
        self._below.children = [self.form, self.monitor]
        self.add_class(BUSY)
        self.form.state = MEASURING
        # Where a slider is waited for, it would seem to be stuck.
        threading.Thread(target=self._measure_start, args=(trial,), daemon=True).start()

    def _measure_start(self, trial: Trial) -> None:
        if trial is self._trial:  # else another recipe was asked for meanwhile
            self._measure(trial, lambda: self._catch_up(trial))

    def _catch_up(self, trial: Trial) -> None:
        """Measure a training that is found, in its folder or after another one, as it stands."""
        training, _ = trial.training, trial.live.report  # "before" comes first
        if training.run.history and not training.alive:
            trial.live.add(training.run.potential, len(training.run.history))

    # --- while it trains ------------------------------------------------------------------------

    def _follow(self, trial: Trial, important: bool) -> None:
        """Called at every step of a training, in its thread: measure it now and then."""
        if not important or trial is not self._trial:
            return
        training = trial.training
        self.form.disabled = training.alive
        if self.form.state in (ANEW, LOCKED):
            self.form.state = LOCKED if training.alive else ANEW
        updates = len(training.run.history)
        if updates and (updates % self._every == 0 or not training.alive):
            self._measure(trial, lambda: trial.live.add(training.run.potential, updates))

    def _measure(self, trial: Trial, measure: Callable[[], object]) -> None:
        """Measure and show it; what went wrong is said where the recipe stands."""
        try:
            measure()
            self._show(trial)
        except GivenUp:
            pass
        except Exception as error:  # nobody else would see it: this is a thread
            if trial is self._trial:
                self.form.state = f"Not measured: {error}"

    def _show(self, trial: Trial) -> None:
        """Show what is known of it: arrows as far as the last measurement, and the atoms."""
        with self._showing:
            if trial is not self._trial:  # another recipe was asked for meanwhile
                return
            report, stages = trial.live.report, trial.live.stages or [BEFORE]
            before = error_plane_data(report, BEFORE, BEFORE)
            least = before.limits() * ROOM if before.structures else None
            self.show(report, BEFORE, {TITLE: stages}, least)
            self.remove_class(BUSY)
            self.form.state = LOCKED if trial.training.alive else ANEW
            if not before.structures:
                self.form.problems = {"step_size": _why_nothing(report.rows)}


def _keep_apart(training: RelaxationDataset, held_out: RelaxationDataset) -> None:
    """Refuse to measure on what is trained on, and to call that held out."""

    def contents(one: ReferenceRelaxation) -> tuple[bytes, ...]:
        parts = (one.start.numbers, one.start.positions, one.end.positions)
        return tuple(part.detach().cpu().numpy().tobytes() for part in parts)

    trained_on = {contents(one) for one in training}
    both = [one.name for one in held_out if contents(one) in trained_on]
    if both:
        raise ValueError(
            f"held_out must hold nothing that is trained on, but {len(both)} are in both: "
            f"{', '.join(both[:3])}{' …' * (len(both) > 3)}; their errors would say nothing about "
            "others. Divide them first: data[:8] and data[8:], or data.folds()"
        )


def _why_nothing(rows: Sequence[StructureResult]) -> str:
    """What is wrong where no structure could be measured before training."""
    first = rows[0]
    if all(row.undescribed for row in rows):
        return f"No step is to blame: {first.structure} was {first.diverged}"
    return DIVERGES if all(row.diverged for row in rows) else NO_FORCES


def _fields(recipe: dict[str, float]) -> list[Field]:
    """The form's fields: sliders around the recipe given."""
    eta, rate = recipe["step_size"], recipe["learning_rate"]
    return [
        Field("steps", "K", "steps of the map, all of them differentiated",
              1, max(40, recipe["steps"]), 1),
        Field("step_size", "η / Å²/eV", "step size: X(t+1) = X(t) + η F(X(t))",
              eta / 5, 3 * eta, eta / 5),
        Field("share", "starts around the end", "share, 0 to 1; the others are the set's own",
              0, 1, 0.25),
        Field("learning_rate", "learning rate", "of Adam, which changes the weights",
              rate / 10, 10 * rate, 0.25, logarithmic=True),
    ]  # fmt: skip
