"""`finetune`: train a potential with an objective (the loop is `training.trainer`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.potentials.base import Potential
from bpttviz.training.objectives import Objective
from bpttviz.training.runs import Run
from bpttviz.training.trainer import Metrics, Trainer


def finetune(
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
    progress: bool = True,
    on_update: Callable[[Run], None] | None = None,
    stop_when: Callable[[], bool] | None = None,
    metrics: Metrics | None = None,
) -> Run:
    """Train a copy of a potential (and the objective's learnable step sizes).

    Structures go through one at a time and their gradients are added up, so memory does not depend
    on ``batch_size``. Ctrl-C, or ``stop_when``, ends training cleanly between two steps of a
    relaxation or of its backward pass: the gradient in the making is dropped, the run so far is
    returned, and with ``out`` it is on disk; the same call resumes it, to the same result as if it
    had not been interrupted (on the CPU bit by bit, where the potential adds up in a fixed order;
    with several threads PyTorch does not for float32 ``x[index]``, and CUDA has its own order).

    Args:
        potential: the pretrained potential; it is left as it is.
        data: a `DatasetSplits` (trained on ``.train``, validated on ``.val``), or the relaxations to
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
        stop_when: asked at every step of either pass, in whatever thread makes it; True stops
            training. ``threading.Event().is_set`` lets another thread stop it.
        measures: what else to measure at each validation: name → function of the potential and the
            validation relaxations. The values stand beside the validation's own in the run. They
            take the time they take, and change no result.

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
    trainer = Trainer(
        potential,
        data,
        objective,
        epochs=epochs,
        learning_rate=learning_rate,
        clip=clip,
        batch_size=batch_size,
        validation=validation,
        patience=patience,
        seed=seed,
        out=out,
    )
    return trainer.fit(progress, on_update, stop_when, metrics)
