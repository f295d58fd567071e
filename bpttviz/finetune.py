"""`finetune`: one training loop for any objective, resumable at every update."""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from bpttviz.adjoints import ImplicitError
from bpttviz.datasets.relaxation_set import Dataset, RelaxationSet
from bpttviz.objectives import Endpoint
from bpttviz.potentials.base import Potential
from bpttviz.runs import FILE, Progress, Run, describe, fingerprint

SECONDS_BETWEEN_SAVES = 60.0


def finetune(
    potential: Potential,
    data: Dataset | RelaxationSet,
    objective: Endpoint,
    epochs: int = 4,
    learning_rate: float = 5e-4,
    clip: float | None = 1.0,
    batch_size: int = 1,
    validation: RelaxationSet | None = None,
    patience: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool = True,
    on_update: Callable[[Run], None] | None = None,
) -> Run:
    """Train a copy of a potential (and the objective's learnable step sizes).

    Structures go through one at a time and their gradients are added up, so memory does not depend
    on ``batch_size``. Ctrl-C ends training cleanly: the run so far is returned, and with ``out`` it
    is on disk; the same call resumes it, to the same result as if it had not been interrupted (on
    the CPU bit by bit; CUDA adds numbers in an order of its own).

    Args:
        potential: the pretrained potential; it is left as it is.
        data: a `Dataset` (trained on ``.train``, validated on ``.val``), or the relaxations to
            train on.
        objective: what to minimise.
        epochs: passes over the training relaxations.
        learning_rate: of Adam.
        clip: the gradient's norm is limited to this; None for no limit.
        batch_size: structures whose mean gradient makes one update.
        validation: relaxations for early stopping, when ``data`` is not a `Dataset`.
        patience: stop when validation has not improved for so many epochs; None: never.
        seed: of the order in which structures come.
        out: folder to save to and resume from.
        progress: show a bar with the time left.
        on_update: called with the run after each update.

    Returns:
        A `Run`, whose potential has the weights of the best validation (the last ones where there
        is none).

    Raises:
        ValueError: nothing to train on, or settings that make no sense.
        RunError: ``out`` holds another run, or cannot be written.
        RuntimeError: the potential's forces do not depend on its weights differentiably.
        StructureError: a start that the potential cannot describe.

    Warns:
        UserWarning: a structure was left out of an update, as its relaxation diverged, its gradient
            was not finite, or it had no implicit one.
    """
    if isinstance(data, Dataset):
        if validation is not None:
            raise ValueError("a Dataset brings its own validation part; pass data.train instead")
        train, validation = data.train, data.val
    else:
        train = data
    if not len(train):
        raise ValueError("there are no relaxations to train on")
    if epochs < 1 or batch_size < 1 or not learning_rate > 0:
        raise ValueError("epochs and batch_size must be at least 1, learning_rate positive")
    if patience is not None and not validation:
        raise ValueError("patience needs validation relaxations")

    trainer = _Trainer(
        potential, objective, train, validation, learning_rate, clip, batch_size, seed, out
    )
    return trainer.fit(epochs, patience, progress, on_update)


class _Trainer:
    """The loop behind `finetune`, cut into pieces that can be read one at a time."""

    def __init__(
        self, potential, objective, train, validation, learning_rate, clip, batch_size, seed, out
    ):
        self.objective = copy.deepcopy(objective)
        trained = copy.deepcopy(potential)
        rule = getattr(self.objective, "rule", None)
        self.train, self.validation = train, validation
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
            "potential": describe(potential),
            "initial_weights": fingerprint(potential),
            "objective": repr(objective),
            "learning_rate": learning_rate,
            "clip": clip,
            "batch_size": batch_size,
            "seed": seed,
            "train": train.names,
            "data": [part.fingerprint() for part in (train, validation) if part],
            "validation": validation.names if validation else [],
        }
        run = Run(trained, rule, settings=settings, path=None if out is None else Path(out))
        optimizer = torch.optim.Adam(self.parameters, lr=learning_rate)
        self.progress = Progress(run, optimizer)
        if run.path is not None and (run.path / FILE).exists():
            self.progress.restore(run.path)

    def fit(self, epochs, patience, progress, on_update) -> Run:
        state, run = self.progress, self.progress.run
        batches = math.ceil(len(self.train) / self.batch_size)
        self.saved_at = time.monotonic()
        bar = tqdm(
            total=epochs * batches,
            initial=len(run.history),
            desc="fine-tune",
            unit="update",
            disable=not progress,
        )
        try:
            self._save()  # a folder that cannot be written is found out now, not in an hour
            if self.validation and not run.validations:
                self._validate()
            while state.epoch < epochs and not self._out_of_patience(patience):
                run.status = "running"
                for batch in self._batches(state.epoch)[state.position :]:
                    self._update(batch)
                    loss = run.history[-1]["loss"]
                    bar.set_postfix(loss="none" if loss is None else f"{loss:.3f}", refresh=False)
                    bar.update()
                    if on_update is not None:
                        on_update(run)
                self._finish_epoch()
                self._save()
            run.status = "finished" if state.epoch >= epochs else "stopped early"
        except KeyboardInterrupt:
            # The gradient in the making is dropped; everything up to the last update stands.
            run.status = "interrupted"
        except BaseException:
            run.status = "interrupted"
            self._save()
            raise
        finally:
            bar.close()
        with _no_interrupt(discard=True):
            self._save()
            if state.best is not None:
                weights, sizes = state.best
                run.potential.load_state_dict(weights)
                if run.rule is not None:
                    run.rule.load_state_dict(sizes)
        return run

    def _finish_epoch(self) -> None:
        if self.validation:
            self._validate(epoch_done=True)
        else:
            with _no_interrupt():
                self.progress.epoch, self.progress.position = self.progress.epoch + 1, 0

    def _batches(self, epoch: int) -> list[list[int]]:
        """The structures of each update; the same for the same seed and epoch."""
        draw = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        order = torch.randperm(len(self.train), generator=draw).tolist()
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def _update(self, batch: list[int]) -> None:
        began = time.monotonic()
        state, run = self.progress, self.progress.run
        total, losses, used = [torch.zeros_like(p) for p in self.parameters], [], []
        for index in batch:
            loss, gradient = self._gradient(self.train[[index]])
            if gradient is not None:
                losses.append(loss)
                used.append(self.train[index].name)
                total = [a + b for a, b in zip(total, gradient, strict=True)]
        norm = float("nan")
        with _no_interrupt():
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
                    "seconds": round(time.monotonic() - began, 3),
                    "structures": used,
                }
            )
        if time.monotonic() - self.saved_at > SECONDS_BETWEEN_SAVES:
            self._save()

    def _gradient(self, reference: RelaxationSet) -> tuple[float, list[Tensor] | None]:
        """Loss of one structure and its gradient, or None where there is no usable one."""
        potential = self.progress.run.potential
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
        state, run = self.progress, self.progress.run
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
        with _no_interrupt():
            earlier = [v["value"] for v in run.validations if v["value"] is not None]
            state.epoch += int(epoch_done)
            state.position = 0
            run.validations.append(
                {"update": len(run.history), "epoch": state.epoch, "value": value, "lost": lost}
            )
            if value is not None and (not earlier or value < min(earlier)):
                state.best = tuple(
                    {k: v.detach().clone() for k, v in weights.items()}
                    for weights in (run.potential.state_dict(), run.rule_state())
                )

    def _out_of_patience(self, patience: int | None) -> bool:
        values = [
            math.inf if v["value"] is None else v["value"] for v in self.progress.run.validations
        ]
        if patience is None or len(values) <= patience:
            return False
        return len(values) - 1 - values.index(min(values)) >= patience

    def _save(self) -> None:
        if self.progress.run.path is not None:
            with _no_interrupt():
                self.progress.save()
        self.saved_at = time.monotonic()


@contextmanager
def _no_interrupt(discard: bool = False):
    """Hold Ctrl-C back until the block is done: an update or a save happens whole or not at all.

    ``discard``: forget it instead of raising it afterwards (training has already ended).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = []
    usual = signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if held and not discard:
        raise KeyboardInterrupt
