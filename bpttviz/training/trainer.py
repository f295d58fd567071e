"""The training loop for any objective, stopped and resumed between any two steps."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from bpttviz._checks import instance_of
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError
from bpttviz.training.arguments import (
    Metrics,
    check_metrics,
    folder_of,
    require_finite,
    settings_of,
    training_parts,
)
from bpttviz.training.average import WeightAverage
from bpttviz.training.checkpoint import all_finite
from bpttviz.training.config import TrainingConfig
from bpttviz.training.draws import Draw
from bpttviz.training.folder import locked, stamp
from bpttviz.training.interrupts import Stopped, no_interrupt, stoppable
from bpttviz.training.objectives import Objective
from bpttviz.training.runs import Progress, Run
from bpttviz.training.updates import (
    BatchGradient,
    LeftOut,
    TrainingError,
    apply_gradient,
    gradient_of,
    listed,
    peak_bytes,
    rounded,
)

SECONDS_BETWEEN_SAVES = 60.0
MOST_UNDONE = 5  # updates in a row that come to nothing, before training gives up


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
        **settings: Any,
    ):
        instance_of("potential", potential, Potential, "bv.CHGNet()")
        instance_of("objective", objective, Objective, "bv.EndpointLoss()")
        self.config = TrainingConfig.of(config, **settings)
        self.train, self.validation = training_parts(data, validation)
        if self.config.patience is not None and not self.validation:
            raise ValueError("patience needs validation relaxations")
        self.config.schedule.require_length(self.updates)
        path = folder_of(out)
        self.objective = copy.deepcopy(objective)
        trained = copy.deepcopy(potential)
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
        parts = (self.train, self.validation)
        settings = settings_of(potential, objective, self.config, *parts)
        run = Run(trained, rule, settings=settings, path=path)
        optimizer = torch.optim.Adam(self.parameters, lr=self.config.learning_rate)
        batches = self.updates // self.config.epochs
        self.progress = Progress(run, optimizer, batches, average=self._new_average(run))
        self._initial = [p.detach().clone() for p in weights] if self.config.l2_sp > 0 else []
        self.metrics: Metrics = {}
        self.saved_at = time.monotonic()
        self._found = stamp(path)
        if self._found is not None and path is not None:
            self.progress.restore(path)
            self._say_if_beyond(path)

    def _say_if_beyond(self, path: Path) -> None:
        """Warn where a run has made more epochs than are asked for: it stays as it is."""
        if self.progress.epoch > self.config.epochs:
            warnings.warn(
                f"the run in {path} has made {self.progress.epoch} epochs already, more than the "
                f"{self.config.epochs} asked for; it is returned as it is. For a shorter one "
                "choose another folder",
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
        with self._alone():
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
            disable=not progress,
        )
        try:
            self._save()  # a folder that cannot be written is found out now, not in an hour
            with stoppable(run.potential, stop_when):
                self._epochs(bar, on_update)
            run.status = "finished" if state.epoch >= self.config.epochs else "stopped early"
        except (KeyboardInterrupt, Stopped):
            # The gradient in the making is dropped; everything up to the last update stands.
            run.status = "interrupted"
        except BaseException:
            run.status = "interrupted"
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
        with locked(path):
            if stamp(path) not in (None, self._found):
                self.progress.restore(path)
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
                if on_update is not None:
                    on_update(run)
                self._require_sense()
            self._finish_epoch()
            self._save()

    def _finish_epoch(self) -> None:
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
        gradient = self._gradient(batch)
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
                    "peak_bytes": peak_bytes(run.potential.device),
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

    def _gradient(self, batch: list[int]) -> BatchGradient:
        """The gradients of a batch, structure by structure; a useless one is left out and named."""
        result = BatchGradient([torch.zeros_like(p) for p in self.parameters])
        draw = Draw(self.config.seed, self.progress.epoch)
        for index in batch:
            reference = self.train[[index]]
            try:
                loss, gradient = gradient_of(
                    self.objective,
                    self.run.potential,
                    reference,
                    self.parameters,
                    self.weights,
                    draw,
                )
            except LeftOut as reason:
                warnings.warn(str(reason), stacklevel=5)
                continue
            backward = self.objective.backward
            sensitivity = {} if backward is None else backward.sensitivity
            result.add(reference.names[0], loss, gradient, sensitivity)
        return result

    def _require_sense(self) -> None:
        """See that training still gets anywhere.

        Raises:
            TrainingError: the last few updates were all undone, or the last epoch's worth of them
                went without any structure.
        """
        history, path = self.run.history, self.run.path
        kept = "" if path is None else f" {path} holds what was reached before."
        if len(history) >= MOST_UNDONE and all(h["undone"] for h in history[-MOST_UNDONE:]):
            raise TrainingError(
                f"{MOST_UNDONE} updates in a row were undone, as each would have left weights that "
                f"are not finite: learning_rate={self.config.learning_rate:g} is too large, or the "
                f"gradient is beyond the number type.{kept}"
            )
        epoch = len(self._batches(0))
        if self.progress.position == epoch and not any(h["structures"] for h in history[-epoch:]):
            lost = sorted({name for h in history[-epoch:] for name in h["left_out"]})
            raise TrainingError(
                f"no structure gave a usable gradient in a whole epoch ({listed(lost)}): see the "
                f"warnings for each one's reason.{kept}"
            )

    def _validate(self, epoch_done: bool = False) -> None:
        average = self.progress.average
        with nullcontext() if average is None else average.in_place():
            self._validate_present(epoch_done)

    def _validate_present(self, epoch_done: bool) -> None:
        """Validate the weights that the run's potential has now, and keep them if best."""
        began = time.monotonic()
        state, run, validation = self.progress, self.run, self.validation
        assert validation is not None
        with torch.no_grad():
            values = torch.stack([self._validation_loss(i) for i in range(len(validation))])
            # With a member missing the mean would be of other structures: no value at all, then.
            value = float(values.mean()) if all_finite([values]) else None
            lost = [n for n, v in zip(validation.names, values, strict=True) if not v.isfinite()]
            measured = {
                name: rounded(measure(run.potential, validation))
                for name, measure in self.metrics.items()
            }
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

    def _validation_loss(self, index: int) -> Tensor:
        """The loss of one validation structure; NaN where it has none."""
        assert self.validation is not None
        reference = self.validation[[index]]
        try:
            return self.objective.loss(self.run.potential, reference).mean().cpu()
        except StructureError as error:
            warnings.warn(f"a validation has no value: {error}", stacklevel=7)
            return torch.tensor(torch.nan)

    def _out_of_patience(self) -> bool:
        values = [math.inf if v["value"] is None else v["value"] for v in self.run.validations]
        patience = self.config.patience
        if patience is None or len(values) <= patience:
            return False
        return len(values) - 1 - values.index(min(values)) >= patience

    def _save(self) -> None:
        if self.run.path is not None:
            with no_interrupt():
                self.progress.save()
                self._found = stamp(self.run.path)
        self.saved_at = time.monotonic()


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}
