"""`finetune`: train a potential with an objective (the loop is `training.trainer`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bpttviz._tensor_checks import gradients_enabled
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import DatasetSplits
from bpttviz.potentials.base import Potential
from bpttviz.training.arguments import Metrics, check_metrics, require_callable, training_parts
from bpttviz.training.config import TrainingConfig
from bpttviz.training.objectives import Objective
from bpttviz.training.ranks import Ranks
from bpttviz.training.recipe import Recipe
from bpttviz.training.runs import Run
from bpttviz.training.trainer import Trainer


@gradients_enabled()
def finetune(
    potential: Potential,
    data: DatasetSplits | RelaxationDataset,
    objective: Objective | None = None,
    config: TrainingConfig | None = None,
    *,
    validation: RelaxationDataset | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    on_update: Callable[[Run], None] | None = None,
    stop_when: Callable[[], bool] | None = None,
    metrics: Metrics | None = None,
    ranks: Ranks | None = None,
    **settings: Any,
) -> Run:
    """Train a copy of a potential (and the objective's learnable step sizes).

    Structures go through one at a time (small ones together, up to 32 atoms on a CPU, 256
    elsewhere), whatever the ``batch_size``; ``memory="1.5GB"`` sets a limit (`TrainingConfig`).
    Ctrl-C, or ``stop_when``, ends training between two steps of either pass: the run so far is
    returned, and with ``out`` it is on disk; the same call resumes it, to the same result (on one
    CPU thread bit by bit; on several where the potential does not add up float32 ``x[index]``).

    Args:
        potential: the pretrained potential; it is left as it is.
        data: `DatasetSplits` (trained on ``.train``, validated on ``.val``), or relaxations.
        objective: what to minimise; by default `Recipe`'s, with the set's unlabelled structures.
        config: the training's numbers; by default `Recipe`'s where there is no objective either.
        validation: relaxations for early stopping, if ``data`` are no `DatasetSplits`.
        out: folder to save to and resume from, where all that the result depends on is the same
            (`bpttviz.provenance`). More ``epochs`` prolong a run, but none by `Recipe`'s schedule.
        progress: show a bar with the time left.
        on_update: called with the run after each update.
        stop_when: asked at every step; True stops training (``threading.Event().is_set``).
        metrics: measured at each validation too: name → function of potential and relaxations.
        ranks: the processes that share the work (`data_parallel`): the result is the same on any
            number of them. The first one writes, measures and calls ``on_update``.
        **settings: fields of `TrainingConfig`, before those of ``config``: ``epochs=3``.

    Returns:
        A `Run` whose potential has the weights of the best validation (the last ones without one).

    Raises:
        TypeError, ValueError: an argument that makes no sense.
        RunError: ``out`` holds another run, is in use, or cannot be written.
        TrainingError: (a RuntimeError) the forces do not depend differentiably on the weights,
            several updates in a row had to be undone, an epoch went without any structure, or
            another of the ``ranks`` failed or is gone.

    Warns:
        UserWarning: a structure was left out of an update (it diverged, cannot be described, has no
            gradient); or an update was undone.
    """
    check_metrics(metrics)
    require_callable(on_update=on_update, stop_when=stop_when)
    if objective is None:
        objective, config = _recommended(potential, data, config, settings)
    settings |= {"validation": validation, "out": out, "ranks": ranks}
    trainer = Trainer(potential, data, objective, config, **settings)
    return trainer.fit(progress, on_update, stop_when, metrics)


def _recommended(
    potential: Potential,
    data: DatasetSplits | RelaxationDataset,
    config: TrainingConfig | None,
    settings: Mapping[str, Any],
) -> tuple[Objective, TrainingConfig]:
    """What `Recipe` gives, but for what the caller has set."""
    own = {name: settings[name] for name in ("epochs", "batch_size") if name in settings}
    recipe = Recipe(data.unlabelled if isinstance(data, DatasetSplits) else None, **own)
    if config is None:
        config = recipe.config(len(training_parts(data, None)[0]))
    return recipe.objective(potential), config
