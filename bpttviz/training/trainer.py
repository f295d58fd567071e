"""The training loop for any objective, stopped and resumed between any two steps."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.potentials.base import Potential
from bpttviz.profiling import memory_peak
from bpttviz.provenance import fingerprint, specification
from bpttviz.relaxation.adjoints.implicit import ImplicitError
from bpttviz.training.interrupts import Stopped, no_interrupt, stoppable
from bpttviz.training.objectives import Objective
from bpttviz.training.runs import FILE, Progress, Run

SECONDS_BETWEEN_SAVES = 60.0

# What to measure at each validation: name -> function of the potential and the relaxations.
Metrics = Mapping[str, Callable[[Potential, RelaxationDataset], float | None]]


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
        epochs: int = 4,
        learning_rate: float = 5e-4,
        clip: float | None = 1.0,
        batch_size: int = 1,
        validation: RelaxationDataset | None = None,
        patience: int | None = None,
        seed: int = 0,
        out: str | Path | None = None,
    ):
        self.train, self.validation = _parts(data, validation)
        if epochs < 1 or batch_size < 1 or not learning_rate > 0:
            raise ValueError("epochs and batch_size must be at least 1, learning_rate positive")
        if patience is not None and not self.validation:
            raise ValueError("patience needs validation relaxations")
        self.objective = copy.deepcopy(objective)
        trained = copy.deepcopy(potential)
        rule = getattr(self.objective, "rule", None)
        self.epochs, self.patience = epochs, patience
        self.clip, self.batch_size, self.seed = clip, batch_size, seed
        self.weights = [p for p in trained.parameters() if p.requires_grad]
        sizes = [] if rule is None else [p for p in rule.parameters() if p.requires_grad]
        self.parameters = self.weights + sizes
        if not self.parameters:
            raise ValueError(
                "there is nothing to train: no parameter of the potential or the rule has "
                "requires_grad=True"
            )
        settings = {
            "potential": specification(potential),
            "initial_weights": fingerprint(potential),
            "objective": repr(objective),
            "learning_rate": learning_rate,
            "clip": clip,
            "batch_size": batch_size,
            "seed": seed,
            "train": self.train.names,
            "data": [part.fingerprint() for part in (self.train, self.validation) if part],
            "validation": self.validation.names if self.validation else [],
        }
        run = Run(trained, rule, settings=settings, path=None if out is None else Path(out))
        optimizer = torch.optim.Adam(self.parameters, lr=learning_rate)
        self.progress = Progress(run, optimizer)
        if run.path is not None and (run.path / FILE).exists():
            self.progress.restore(run.path)

    @property
    def run(self) -> Run:
        """The run so far; while training, its potential has the current weights."""
        return self.progress.run

    @property
    def updates(self) -> int:
        """How many updates all epochs are, those already made included."""
        return self.epochs * math.ceil(len(self.train) / self.batch_size)

    def fit(
        self,
        progress: bool = True,
        on_update: Callable[[Run], None] | None = None,
        stop_when: Callable[[], bool] | None = None,
        metrics: Metrics | None = None,
    ) -> Run:
        """Train until all is done or something stops it. See `finetune`."""
        state, run = self.progress, self.run
        self.metrics = metrics or {}
        self.saved_at = time.monotonic()
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
            run.status = "finished" if state.epoch >= self.epochs else "stopped early"
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
            if state.best is not None:
                weights, sizes = state.best
                run.potential.load_state_dict(weights)
                if run.rule is not None:
                    run.rule.load_state_dict(sizes)
        return run

    def _epochs(self, bar: tqdm, on_update: Callable[[Run], None] | None) -> None:
        """All epochs that are still to be done."""
        state, run = self.progress, self.run
        run.status = "running"
        if self.validation and not run.validations:
            self._validate()
        while state.epoch < self.epochs and not self._out_of_patience():
            for batch in self._batches(state.epoch)[state.position :]:
                self._update(batch)
                loss = run.history[-1]["loss"]
                bar.set_postfix(loss="none" if loss is None else f"{loss:.3f}", refresh=False)
                bar.update()
                if on_update is not None:
                    on_update(run)
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
        draw = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        order = torch.randperm(len(self.train), generator=draw).tolist()
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def _update(self, batch: list[int]) -> None:
        began = time.monotonic()
        state, run = self.progress, self.run
        total, losses, used = [torch.zeros_like(p) for p in self.parameters], [], []
        squares: dict[int, float] = {}  # step -> |dL/dX_t|², all structures together
        for index in batch:
            loss, gradient = self._gradient(self.train[[index]])
            if gradient is not None:
                losses.append(loss)
                used.append(self.train[index].name)
                total = [a + b for a, b in zip(total, gradient, strict=True)]
                for step, norm in self._sensitivity().items():
                    squares[step] = squares.get(step, 0.0) + norm**2
        norm = float("nan")
        with no_interrupt():
            if used:
                for parameter, gradient in zip(self.parameters, total, strict=True):
                    parameter.grad = gradient / len(used)
                limit = math.inf if self.clip is None else self.clip
                norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, limit))
                state.optimizer.step()
                state.optimizer.zero_grad()
            state.position += 1
            run.history.append(
                {
                    "update": len(run.history) + 1,
                    "epoch": state.epoch + 1,
                    "loss": sum(losses) / len(losses) if losses else None,
                    "gradient_norm": norm if used else None,
                    "sensitivity": [[t, _rounded(squares[t] ** 0.5)] for t in sorted(squares)],
                    "seconds": round(time.monotonic() - began, 3),
                    "peak_bytes": _peak_bytes(run.potential.device),
                    "structures": used,
                    "left_out": [n for n in self.train[batch].names if n not in used],
                }
            )
        if time.monotonic() - self.saved_at > SECONDS_BETWEEN_SAVES:
            self._save()

    def _sensitivity(self) -> dict[int, float]:
        """|dL/dX_t| by step in the latest backward pass, of objectives that look at one."""
        backward = getattr(self.objective, "backward", None)
        return {} if backward is None else backward.sensitivity

    def _gradient(self, reference: RelaxationDataset) -> tuple[float, list[Tensor] | None]:
        """Loss of one structure and its gradient, or None where there is no usable one."""
        potential = self.run.potential
        try:
            loss = self.objective.loss(potential, reference).mean()
            finite = bool(torch.isfinite(loss))
            found = torch.autograd.grad(loss, self.parameters, allow_unused=True) if finite else ()
        except ImplicitError as error:
            # One structure without an implicit gradient is no reason to lose the others.
            warnings.warn(f"left out of an update: {error}", stacklevel=4)
            return float("nan"), None
        if finite:
            if self.weights and all(g is None for g in found[: len(self.weights)]):
                raise RuntimeError(
                    f"the loss does not depend on any weight of {type(potential).__name__}: its "
                    "forces carry no graph to them. Some models build one only in .train() or with "
                    "a flag; set it in the adapter"
                )
            gradient = [
                torch.zeros_like(p) if g is None else g
                for p, g in zip(self.parameters, found, strict=True)
            ]
            if all(torch.isfinite(g).all() for g in gradient):
                return float(loss.detach()), gradient
        warnings.warn(
            f"{reference.names[0]} was left out of an update: its relaxation diverged or its "
            "gradient is not finite. A smaller step size or learning rate may help.",
            stacklevel=4,
        )
        return float("nan"), None

    def _validate(self, epoch_done: bool = False) -> None:
        began = time.monotonic()
        state, run = self.progress, self.run
        with torch.no_grad():
            values = torch.cat(
                [
                    self.objective.loss(run.potential, self.validation[[index]])
                    for index in range(len(self.validation))
                ]
            )
        # With a member missing the mean would be of other structures: no value at all, then.
        value = float(values.mean()) if bool(torch.isfinite(values).all()) else None
        lost = [n for n, v in zip(self.validation.names, values, strict=True) if not v.isfinite()]
        with torch.no_grad():
            measured = {
                name: _rounded(measure(run.potential, self.validation))
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
                state.best = tuple(
                    {k: v.detach().clone() for k, v in weights.items()}
                    for weights in (run.potential.state_dict(), run.rule_state())
                )

    def _out_of_patience(self) -> bool:
        values = [math.inf if v["value"] is None else v["value"] for v in self.run.validations]
        if self.patience is None or len(values) <= self.patience:
            return False
        return len(values) - 1 - values.index(min(values)) >= self.patience

    def _save(self) -> None:
        if self.run.path is not None:
            with no_interrupt():
                self.progress.save()
        self.saved_at = time.monotonic()


def _parts(
    data: DatasetSplits | RelaxationDataset, validation: RelaxationDataset | None
) -> tuple[RelaxationDataset, RelaxationDataset | None]:
    """What to train on, and what to validate on."""
    if isinstance(data, DatasetSplits):
        if validation is not None:
            raise ValueError("a Dataset brings its own validation part; pass data.train instead")
        data, validation = data.train, data.val
    if not len(data):
        raise ValueError("there are no relaxations to train on")
    return data, validation


def _rounded(value: float | None) -> float | None:
    """To four digits, enough for a curve; None for what is not finite, which JSON cannot hold."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None


def _peak_bytes(device: torch.device) -> int | None:
    """The most memory held so far; None on a system that does not say (Windows)."""
    with suppress(ImportError):
        return memory_peak(device)
    return None
