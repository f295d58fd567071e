"""The training loop for any objective, stopped and resumed between any two steps."""

from __future__ import annotations

import copy
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from bpttviz._checks import instance_of
from bpttviz._files import plain
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint_tensors
from bpttviz.training import checkpoint
from bpttviz.training.arguments import (
    Metrics,
    check_metrics,
    folder_of,
    require_finite,
    settings_of,
    training_parts,
)
from bpttviz.training.average import WeightAverage
from bpttviz.training.batch_gradients import GradientTaker, most_atoms_on
from bpttviz.training.checkpoint import all_finite
from bpttviz.training.config import TrainingConfig
from bpttviz.training.draws import Draw
from bpttviz.training.folder import locked, stamp
from bpttviz.training.interrupts import Stopped, no_interrupt, stoppable
from bpttviz.training.memory import MemoryPlan, planned
from bpttviz.training.objectives import Objective
from bpttviz.training.ranks import Ranks
from bpttviz.training.runs import Progress, Run
from bpttviz.training.updates import BatchGradient, apply_gradient, require_sense, rounded

SECONDS_BETWEEN_SAVES = 60.0
RANKS = "with bv.data_parallel() as ranks"


class Trainer:
    """The loop behind `finetune`, cut into pieces that can be read one at a time.

    Making one checks the settings and reads back what ``out`` holds; `fit`, once, does the rest.

    Arguments and errors are those of `finetune`.
    """

    def __init__(
        self,
        potential: Potential,
        data: DatasetSplits | RelaxationDataset,
        objective: Objective,
        config: TrainingConfig | None = None,
        *,
        validation: RelaxationDataset | None = None,
        out: str | Path | None = None,
        ranks: Ranks | None = None,
        **settings: Any,
    ):
        instance_of("potential", potential, Potential, "bv.CHGNet()")
        instance_of("objective", objective, Objective, "bv.EndpointLoss()")
        self.ranks = Ranks() if ranks is None else instance_of("ranks", ranks, Ranks, RANKS)
        self.config = TrainingConfig.of(config, **settings)
        self.train, self.validation = training_parts(data, validation)
        if self.config.patience is not None and not self.validation:
            raise ValueError("patience needs validation relaxations")
        self.config.schedule.require_length(self.updates)
        path = folder_of(out)
        self.objective = copy.deepcopy(objective)
        parts = (self.train, self.validation)
        for part in filter(None, parts):
            self.objective.require(part)
        trained = copy.deepcopy(potential).eval()  # through dropout no relaxation ends twice alike
        require_finite(trained)
        rule = self.objective.rule
        weights = [p for p in trained.parameters() if p.requires_grad]
        sizes = [] if rule is None else [p for p in rule.parameters() if p.requires_grad]
        self.parameters, self.weights = weights + sizes, len(weights)
        if not self.parameters:
            raise ValueError(
                "there is nothing to train: no parameter of the potential or the rule has "
                "requires_grad=True"
            )
        self.plan = self._planned_memory(trained, path)
        settings = settings_of(potential, self.objective, self.config, *parts)
        if self.plan is not None:
            settings["memory"] = self.plan.settings()
        run = Run(trained, rule, settings=settings, path=path)
        optimizer = torch.optim.Adam(self.parameters, lr=self.config.learning_rate)
        batches = self.updates // self.config.epochs
        self.progress = Progress(run, optimizer, batches, average=self._new_average(run))
        self._initial = [p.detach().clone() for p in weights] if self.config.l2_sp > 0 else []
        self.metrics: Metrics = {}
        self.saved_at = time.monotonic()
        most_atoms = most_atoms_on(trained.device, self.train if self.plan else None)
        frugal = self.plan is not None
        self._taker = GradientTaker(
            self.objective, trained, self.parameters, self.weights, self.ranks, most_atoms, frugal
        )
        self.ranks.require_same("settings", plain(settings))
        self._found: tuple[int, ...] | None = None
        self._take_up(path)
        self._say_if_odd(path)

    def _planned_memory(self, potential: Potential, path: Path | None) -> MemoryPlan | None:
        """How the budget, if there is one, has gradients taken; the objective does so from now."""
        budget = self.config.memory
        plan = self.ranks.from_first(
            lambda: planned(
                None if budget is None else int(budget),
                self.objective, potential, self.train, self.parameters, path,
            )
        )  # fmt: skip
        if plan is not None:
            plan.apply(self.objective)
        return plan

    def _take_up(self, path: Path | None) -> None:
        """Take what the folder holds into this process, unless it has it already.

        Only the first process looks; the others need not see its disk.
        """

        def read() -> tuple[dict, dict[str, Tensor]] | None:
            found = stamp(path)
            if path is None or found in (None, self._found):
                return None
            self._found = found
            return checkpoint.read(path)

        saved = self.ranks.from_first(read)
        if saved is not None and path is not None:
            self.progress.take(*saved, path)

    def _say_if_odd(self, path: Path | None) -> None:
        """Warn of a run that is longer than what is asked for, and of processes without work."""
        if not self.ranks.first:
            return
        if self.progress.epoch > self.config.epochs:
            warnings.warn(
                f"the run in {path} has made {self.progress.epoch} epochs already, more than the "
                f"{self.config.epochs} asked for; it is returned as it is. For a shorter one "
                "choose another folder",
                stacklevel=4,
            )
        size = min(self.config.batch_size, len(self.train))
        if size < self.ranks.count:
            warnings.warn(
                f"an update of {size} structures keeps {size} of {self.ranks.count} processes "
                f"busy: batch_size={self.ranks.count} or more has work for all",
                stacklevel=4,
            )

    def _new_average(self, run: Run) -> WeightAverage | None:
        """The average of the weights before the first update; None where there is to be none."""
        if self.config.average is None:
            return None
        modules = {"potential": run.potential, "rule": run.rule}
        return WeightAverage(
            self.config.average, {role: m for role, m in modules.items() if m is not None}
        )

    @property
    def run(self) -> Run:
        """The run so far; while training, its potential has the current weights."""
        return self.progress.run

    @property
    def updates(self) -> int:
        """How many updates all epochs are, those already made included."""
        return self.config.epochs * math.ceil(len(self.train) / self.config.batch_size)

    @property
    def done(self) -> bool:
        """Whether all epochs are made, or patience is at its end."""
        return self.progress.epoch >= self.config.epochs or self._out_of_patience()

    def fit(
        self,
        progress: bool = True,
        on_update: Callable[[Run], None] | None = None,
        stop_when: Callable[[], bool] | None = None,
        metrics: Metrics | None = None,
    ) -> Run:
        """Train until all is done or something stops it. See `finetune`."""
        self.metrics = check_metrics(metrics)
        with self._alone(), self.ranks.heeding():
            # One that ended is not written again: its folder may be read-only.
            if not (self.done and self.run.status in ("finished", "stopped early")):
                self._fit(progress, on_update, stop_when)
        self._take_best()
        return self.run

    def _fit(
        self,
        progress: bool,
        on_update: Callable[[Run], None] | None,
        stop_when: Callable[[], bool] | None,
    ) -> None:
        state, run = self.progress, self.run
        bar = tqdm(
            total=self.updates,
            initial=len(run.history),
            desc="fine-tune",
            unit="update",
            disable=not (progress and self.ranks.first),
        )
        if self.plan is not None and not bar.disable:
            tqdm.write(f"memory: {self.plan.reason}", sys.stderr)
        stop_when = self.ranks.asked_to_stop(stop_when)
        try:
            self._save()  # a folder that cannot be written is found out now, not in an hour
            with stoppable(run.potential, stop_when):
                self._epochs(bar, on_update)
            run.status = "finished" if state.epoch >= self.config.epochs else "stopped early"
        except (KeyboardInterrupt, Stopped):
            # The gradient in the making is dropped; everything up to the last update stands.
            run.status = "interrupted"
        except BaseException as error:
            run.status = "interrupted"
            self.ranks.leave(error)
            self._save()
            raise
        finally:
            bar.close()
        with no_interrupt(discard=True):
            self._save()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else in the folder, and what another left there since is taken up.

        Raises:
            RunError: somebody is, or the folder cannot be written.
        """
        path = self.run.path
        if path is None or (self.done and self.run.status in ("finished", "stopped early")):
            yield
            return
        with ExitStack() as held:
            self.ranks.from_first(lambda: held.enter_context(locked(path)) or True)
            self._take_up(path)
            yield

    def _take_best(self) -> None:
        """Give the run's potential and rule the weights of the best validation, or the average."""
        if self.progress.best is not None:
            weights, sizes = self.progress.best
            self.run.potential.load_state_dict(weights)
            if self.run.rule is not None:
                self.run.rule.load_state_dict(sizes)
        elif self.progress.average is not None:
            self.progress.average.put_in()

    def _epochs(self, bar: tqdm, on_update: Callable[[Run], None] | None) -> None:
        """All epochs that are still to be done."""
        state, run = self.progress, self.run
        run.status = "running"
        if self.validation and not run.validations:
            self._validate()
        while not self.done:
            for batch in self._batches(state.epoch)[state.position :]:
                self._update(batch)
                loss = run.history[-1]["loss"]
                bar.set_postfix(loss="none" if loss is None else f"{loss:.3f}", refresh=False)
                bar.update()
                if on_update is not None and self.ranks.first:
                    on_update(run)
                rate, batches = self.config.learning_rate, state.batches
                require_sense(run.history, batches, state.position == batches, rate, run.path)
            self._finish_epoch()
            self._save()

    def _finish_epoch(self) -> None:
        self.ranks.require_same("weights after an epoch", fingerprint_tensors(*self.parameters))
        if self.validation:
            self._validate(epoch_done=True)
        else:
            with no_interrupt():
                self.progress.epoch, self.progress.position = self.progress.epoch + 1, 0

    def _batches(self, epoch: int) -> list[list[int]]:
        """The structures of each update; the same for the same seed and epoch."""
        draw = torch.Generator().manual_seed(self.config.seed * 100_003 + epoch)
        order = torch.randperm(len(self.train), generator=draw).tolist()
        size = self.config.batch_size
        return [order[i : i + size] for i in range(0, len(order), size)]

    def _update(self, batch: list[int]) -> None:
        began = time.monotonic()
        state, run = self.progress, self.run
        gradient = self._taker.of(self.train[batch], Draw(self.config.seed, state.epoch))
        norm, stands = None, True
        with no_interrupt():
            if gradient.used:
                norm, stands = self._step(gradient)
            state.position += 1
            run.history.append(
                {
                    "update": len(run.history) + 1,
                    "epoch": state.epoch + 1,
                    "loss": gradient.loss,
                    "gradient_norm": norm if norm is not None and math.isfinite(norm) else None,
                    "sensitivity": gradient.sensitivity,
                    "seconds": round(time.monotonic() - began, 3),
                    "peak_bytes": gradient.peak,
                    "structures": gradient.used,
                    "left_out": [n for n in self.train[batch].names if n not in gradient.used],
                    "undone": not stands,
                }
            )
        if not stands:
            warnings.warn(
                f"update {len(run.history)} was undone: it would have left weights that are not "
                "finite. A smaller learning rate, or clip=1.0, may help.",
                stacklevel=4,
            )
        if time.monotonic() - self.saved_at > SECONDS_BETWEEN_SAVES:
            self._save()

    def _step(self, gradient: BatchGradient) -> tuple[float, bool]:
        """Change the weights, and the average with them. Returns as `apply_gradient`."""
        state, config = self.progress, self.config
        factor = config.schedule.factor(len(self.run.history), self.updates)
        for group in state.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor
        now = zip(self.parameters, self._initial, strict=False)
        pull = [config.l2_sp * (weight.detach() - initial) for weight, initial in now]
        norm, stands = apply_gradient(state.optimizer, self.parameters, gradient, config.clip, pull)
        if stands and state.average is not None:
            state.average.update()
        return norm, stands

    def _validate(self, epoch_done: bool = False) -> None:
        average = self.progress.average
        with nullcontext() if average is None else average.in_place():
            self._validate_present(epoch_done)

    def _validate_present(self, epoch_done: bool) -> None:
        """Validate the weights that the run's potential has now, and keep them if best."""
        began = time.monotonic()
        state, run, validation = self.progress, self.run, self.validation
        assert validation is not None
        values = self._taker.losses(validation)
        # With a member missing the mean would be of other structures: no value at all, then.
        value = float(values.mean()) if all_finite([values]) else None
        lost = [n for n, v in zip(validation.names, values, strict=True) if not v.isfinite()]
        with torch.no_grad():
            measured = self.ranks.from_first(
                lambda: {
                    name: rounded(measure(run.potential, validation))
                    for name, measure in self.metrics.items()
                }
            )
        with no_interrupt():
            earlier = [v["value"] for v in run.validations if v["value"] is not None]
            state.epoch += int(epoch_done)
            state.position = 0
            run.validations.append(
                {
                    "update": len(run.history),
                    "epoch": state.epoch,
                    "value": value,
                    "lost": lost,
                    "seconds": round(time.monotonic() - began, 3),
                    **measured,
                }
            )
            if value is not None and (not earlier or value < min(earlier)):
                state.best = (_copied(run.potential.state_dict()), _copied(run.rule_state()))

    def _out_of_patience(self) -> bool:
        values = [math.inf if v["value"] is None else v["value"] for v in self.run.validations]
        patience = self.config.patience
        if patience is None or len(values) <= patience:
            return False
        return len(values) - 1 - values.index(min(values)) >= patience

    def _save(self) -> None:
        if self.run.path is not None and self.ranks.first:
            with no_interrupt():
                self.progress.save()
                self._found = stamp(self.run.path)
        self.saved_at = time.monotonic()


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}
