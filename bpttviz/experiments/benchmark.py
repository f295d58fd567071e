"""Methods side by side: what each makes of one pretrained potential, for the same budget.

The budget is counted in force evaluations that are differentiated (`count_evaluations`): a gradient
through K steps costs K, force matching one a frame. Every method trains on the same structures with
the same number of tuning trials, and each is stopped where its own validation is best (mean ΔQ at
rest). Data without a test part is cross-validated with the recipe fixed beforehand, as there is
nothing to validate on.

Each method's table is written as it comes, and a repeated call goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bpttviz._checks import file_path, instance_of, mapping_of, positive, sequence_of, whole
from bpttviz._files import lock_settings
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.datasets.splits import SMALLEST_SET_WITH_TEST, DatasetSplits
from bpttviz.evaluation.rest import Relaxer
from bpttviz.experiments.methods import (
    FORCES,
    FORCES_THEN_BPTT,
    METHODS,
    SCALES,
    MethodOnPart,
    Split,
    table_of,
)
from bpttviz.experiments.protocol import PaperRecipe, question_of
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, fingerprint_structures, specification


def parts_of(
    data: DatasetSplits, folds: int | None = None, seen: Collection[str] = ()
) -> list[Split]:
    """The data set's own training, validation and test; or folds, where it has no test part.

    Args:
        folds: cross-validate with so many folds all the same.
        seen: names of relaxations that the potential was pretrained on: it may train on them, but
            is measured on none. A part with nothing left to measure is left out.

    Raises:
        ValueError: nothing is left to measure, or to validate on.
    """

    def unseen(references: RelaxationDataset) -> RelaxationDataset:
        """Those that it was not pretrained on."""
        return RelaxationDataset([r for r in references if r.name not in seen])

    if folds is None and len(data) >= SMALLEST_SET_WITH_TEST:
        parts = [Split(0, "test", data.train, unseen(data.test), unseen(data.val), data.unlabelled)]
    else:
        pairs = enumerate(data.folds(4 if folds is None else whole("folds", folds, least=2)))
        parts = [
            Split(n, f"fold-{n}", train, unseen(held_out), unlabelled=data.unlabelled)
            for n, (train, held_out) in pairs
        ]
    parts = [part for part in parts if len(part.held_out)]
    if not parts:
        raise ValueError("the potential was pretrained on all relaxations that could be measured")
    if any(part.validation is not None and not part.validation for part in parts):
        raise ValueError(
            "the potential was pretrained on the whole validation part, so that nothing is left to "
            "choose an epoch by; cross-validate instead (folds, --folds 4)"
        )
    return parts


def benchmark(
    potential: Potential,
    data: DatasetSplits,
    out: str | Path,
    recipe: PaperRecipe | None = None,
    folds: int | None = None,
    seen: Collection[str] = (),
    learning_rates: Sequence[float] | None = None,
    methods: Collection[str] = METHODS,
    only: Sequence[int] | None = None,
    relaxer: Relaxer | None = None,
    about: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> None:
    """Train and measure, part by part and method by method.

    `bpttviz.experiments.benchmark_report` reads what it writes.

    Args:
        potential: the pretrained potential.
        data: with frames of forces, which force matching needs.
        out: folder of this potential; resumed when it has results already.
        recipe: `PaperRecipe` with `SCALES` by default. Its number of epochs is the budget:
            gradients through K steps of every training structure.
        folds, seen: see `parts_of`.
        learning_rates: tried by every method alike, chosen on validation; else the recipe's alone.
        methods, only: do just these methods and parts; several processes can share one folder.
        relaxer: as in `evaluate`.
        about: what the summary is to know of the potential: "name", "external" (whether it counts
            in the average over pretrained potentials), "caveat".
        progress: show bars.

    Raises:
        ValueError: ``out`` holds results of other settings, an unknown method or part, too few
            epochs to divide, or several learning rates without a validation part.
        TypeError: an argument of the wrong kind.
    """
    instance_of("potential", potential, Potential, "bv.CHGNet()")
    instance_of("data", data, DatasetSplits, 'bv.load_dataset("si-defects")')
    recipe = PaperRecipe(scales=SCALES) if recipe is None else recipe
    instance_of("recipe", recipe, PaperRecipe, "PaperRecipe()")
    relaxer = Relaxer() if relaxer is None else relaxer
    instance_of("relaxer", relaxer, Relaxer, "bv.Relaxer(fmax=0.005)")
    rates = _rates(learning_rates, recipe)
    methods = sequence_of("methods", methods, str, '["pretrained", "BPTT"]')
    if only is not None:
        numbers = sequence_of("only", only, object, "[0]")
        only = [whole("a number in only", number, least=0) for number in numbers]
    about = mapping_of("about", {} if about is None else about, object, '{"name": "CHGNet"}')
    seen = sorted(set(sequence_of("seen", seen, str, '["000"]')).intersection(data.all.names))
    parts = parts_of(data, folds, seen)
    _check(recipe, rates, methods, only, parts)
    about = {"name": type(potential).__name__, "external": True, **about}
    settings = _settings(potential, data, recipe, rates, relaxer, seen, parts)
    out = file_path("out", out)
    lock_settings(out, {"about": about, **settings})
    for part in parts:
        for method in methods if only is None or part.number in only else ():
            if not table_of(out, part.name, method).exists():
                MethodOnPart(method, potential, part, recipe, rates, out, relaxer, progress).run()


def _rates(learning_rates: Sequence[float] | None, recipe: PaperRecipe) -> tuple[float, ...]:
    """Learning rates to try: those given, or the recipe's."""
    given: Sequence[object] = [] if learning_rates is None else learning_rates
    given = sequence_of("learning_rates", given, object, "[1e-4, 5e-4]")
    return tuple(positive("a learning rate", r) for r in given or [recipe.learning_rate])


def _settings(
    potential: Potential,
    data: DatasetSplits,
    recipe: PaperRecipe,
    rates: Sequence[float],
    relaxer: Relaxer,
    seen: Sequence[str],
    parts: Sequence[Split],
) -> dict[str, Any]:
    """All that the tables depend on, and what the summary has to know."""
    return {
        "recipe": specification(recipe),
        "relaxer": specification(relaxer),
        "learning_rates": list(rates),
        "potential": specification(potential),
        "weights": fingerprint(potential),
        "data": data.all.fingerprint(),
        "unlabelled": None if data.unlabelled is None else fingerprint_structures(data.unlabelled),
        "seen": list(seen),
        "parts": {part.name: part.held_out.names for part in parts},
        "training": {part.name: part.training.names for part in parts},
        "validation": {p.name: p.validation.names for p in parts if p.validation is not None},
        "questions": {
            reference.name: question_of(reference, part.training).value
            for part in parts
            for reference in part.held_out
        },
        "noise_floor": data.noise_floor,
        "development_groups": sorted(data.development_groups),
    }


def _check(
    recipe: PaperRecipe,
    rates: Sequence[float],
    methods: Collection[str],
    only: Sequence[int] | None,
    parts: Sequence[Split],
) -> None:
    """Refuse what makes no sense, before anything is written."""
    if not methods:
        raise ValueError(f"there is no method to try; choose among {', '.join(METHODS)}")
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise ValueError(f"there is no method {unknown[0]!r}; choose among {', '.join(METHODS)}")
    numbers = [part.number for part in parts]
    absent = [number for number in only or () if number not in numbers]
    if absent:
        raise ValueError(
            f"there is no part {absent[0]}, or nothing in it to measure; choose among "
            f"{', '.join(map(str, numbers))}"
        )
    if FORCES_THEN_BPTT in methods and recipe.epochs < 2:
        raise ValueError(
            f"{FORCES_THEN_BPTT!r} divides the budget between two trainings: 2 epochs at least"
        )
    if len(rates) > 1 and not all(part.validation for part in parts):
        raise ValueError(
            "several learning rates are tried on validation relaxations, and this division of the "
            "data has none; give one learning rate, fixed beforehand"
        )
    if {FORCES, FORCES_THEN_BPTT}.intersection(methods):
        without = [r.name for part in parts for r in part.training if r.trajectory is None]
        if without:
            raise ValueError(f"{without[0]} has no frames with forces, so forces cannot be matched")
