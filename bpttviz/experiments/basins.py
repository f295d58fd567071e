"""Which basin? Fine-tuning where the untrained map ends in the wrong minimum, adjoint by adjoint.

An implicit gradient moves the minimum that a relaxation has found; it cannot see that another one
was meant. A gradient through time can. How often each ends in the right basin is counted here, on
two-dimensional landscapes and on silicon's interstitials.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bpttviz._files import plain, refusal, write_atomic
from bpttviz.datasets.relaxations import ReferenceRelaxation, RelaxationDataset
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.metrics import RIGHT
from bpttviz.evaluation.rest import Relaxer
from bpttviz.potentials.base import Potential
from bpttviz.potentials.landscape import Landscape, Wells, places, walkers
from bpttviz.provenance import fingerprint, specification
from bpttviz.relaxation.adjoints.guided import GuidedAdjoint
from bpttviz.relaxation.adjoints.implicit import ImplicitAdjoint, ImplicitWarning
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT, TruncatedBPTT
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import EndpointLoss

# Pretrained CHGNet 0.3.0 takes the second to another minimum than DFT's end, 26 meV away; the other
# two, interstitials as well, are to stay in the right one.
INTERSTITIALS = ("002_split_Si", "114_tet_P", "120_split_Si")


@dataclass(frozen=True, eq=False)
class Problem:
    """A potential, and relaxations that it gets wrong.

    Attributes:
        potential: the untrained one.
        training, held_out: reference relaxations.
        rule, stop: the map.
        window: steps of `GuidedAdjoint`'s window, of `TruncatedBPTT`, and of a short full unroll.
        weight: of `GuidedAdjoint`.
        epochs, learning_rate, batch_size: as in `finetune`.
        truth: the landscape that the references come from, where there is one.
    """

    potential: Potential
    training: RelaxationDataset
    held_out: RelaxationDataset
    rule: GradientDescent
    stop: StoppingCriterion
    window: int
    weight: float
    epochs: int
    learning_rate: float
    batch_size: int = 1
    truth: Landscape | None = None

    def objectives(self) -> dict[str, EndpointLoss]:
        """Name → objective; what differs is how the gradient goes back, and through how much.

        ``strict=False``: a saddle met in training must not end it.
        """
        rule, long, short = self.rule, self.stop.max_steps, self.window
        implicit = ImplicitAdjoint(strict=False)
        return {
            f"full, K = {long}": EndpointLoss(rule, self.stop, CheckpointedBPTT()),
            f"full, K = {short}": EndpointLoss(rule, StoppingCriterion(short), CheckpointedBPTT()),
            f"last {short} of {long}": EndpointLoss(rule, self.stop, TruncatedBPTT(short)),
            "implicit": EndpointLoss(rule, self.stop, implicit),
            f"guided, first {short}": EndpointLoss(
                rule, self.stop, GuidedAdjoint(short, self.weight, implicit)
            ),
        }


def two_valleys(seed: int, training: int = 12, held_out: int = 20) -> Problem:
    """Two wells of one landscape, and a model that puts the ridge between them elsewhere.

    The true wells are equal; in the model one is deeper and wider, so that walkers which start on
    the other's side of the ridge roll over. ``seed`` draws the wells, which side is favoured, and
    the starts: between the wells, where it matters.
    """
    draw = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=draw, dtype=torch.float64)

    side = 1.0 if bool(torch.rand((), generator=draw) < 0.5) else -1.0
    centres = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    centres = centres + uniform(-0.15, 0.15, 2, 2)
    truth = Wells(centres, [1.0, 1.0], [0.6, 0.6], bowl=0.3)
    favoured = torch.tensor([-side, side], dtype=torch.float64)
    model = Wells(
        centres + uniform(-0.1, 0.1, 2, 2),
        1.0 + 0.25 * favoured,
        0.6 + 0.15 * favoured,
        bowl=0.3,
    )
    count = training + held_out
    starts = torch.stack([uniform(-0.6, 0.6, count), uniform(0.5, 1.2, count)], 1)
    with torch.no_grad():
        ends = relax(
            truth, walkers(starts), GradientDescent(0.1), StoppingCriterion(3000, fmax=1e-6)
        ).final
    references = [
        ReferenceRelaxation(f"walker-{i}", f"walker-{i}", walkers(start[None]), walkers(end[None]))
        for i, (start, end) in enumerate(zip(starts, places(ends.positions), strict=True))
    ]
    return Problem(
        potential=model,
        training=RelaxationDataset(references[:training]),
        held_out=RelaxationDataset(references[training:]),
        rule=GradientDescent(0.1, max_step=None),
        stop=StoppingCriterion(60),
        window=12,
        weight=1.0,
        epochs=10,
        learning_rate=0.02,
        batch_size=4,
        truth=truth,
    )


def interstitials(data: RelaxationDataset, seed: int, potential: Potential) -> Problem:
    """Three interstitials in silicon, one of which pretrained CHGNet takes to another minimum.

    That is the tetrahedral phosphorus; the two split interstitials of pure silicon keep it company
    in training. ``seed`` disturbs the starts by 0.02 Å, which changes no basin. There are too few
    to hold any out, so this asks what each gradient can *learn*, not what it generalises.
    """
    disturbed_ones = []
    for number, name in enumerate(INTERSTITIALS):
        start = data[name].start
        # As ASE's rattle does, so that these are the starts of earlier results.
        draw = np.random.RandomState(100 * seed + number)
        kick = torch.as_tensor(draw.normal(scale=0.02, size=start.positions.shape))
        disturbed = start.with_positions(start.positions + kick)
        disturbed_ones.append(
            ReferenceRelaxation(name, data[name].group, disturbed, data[name].end)
        )
    references = RelaxationDataset(disturbed_ones)
    return Problem(
        potential=potential,
        training=references,
        held_out=references,
        rule=GradientDescent(0.06),
        stop=StoppingCriterion(20),
        window=10,
        weight=1.0,
        epochs=6,
        learning_rate=5e-4,
    )


@dataclass(frozen=True)
class Count:
    """How many relaxations ended in the right basin.

    Attributes:
        problem, mode: names; mode "untrained" is before fine-tuning.
        seed: of the problem and of the order in training.
        right, of: held-out relaxations in the right basin, and all.
        right_in_training, of_training: likewise those trained on.
        dq_rest: mean ΔQ at rest of the held-out ones, amu^½ Å (NaN where one did not come to rest).
    """

    problem: str
    mode: str
    seed: int
    right: int
    of: int
    right_in_training: int
    of_training: int
    dq_rest: float


def count_basins(
    name: str,
    problem_of: Callable[[int], Problem],
    seeds: Sequence[int] = range(5),
    out: str | Path | None = None,
    rest: Relaxer | None = None,
    on_trained: Callable[[int, str, Potential], None] | None = None,
) -> list[Count]:
    """Fine-tune with every mode, for every seed, and count right basins before and after.

    A basin is right where X_rest, continued from X_K, lies in the minimum that the same potential
    takes the reference end to (or a symmetry-equivalent one).

    Args:
        name: of the problem.
        problem_of: seed → `Problem`.
        seeds: as many repetitions.
        out: a file of JSON lines that results are added to as they come; those it has are kept.
            Each says all that it depends on.
        rest: as in `evaluate`.
        on_trained: called with seed, mode and potential of each that is counted in this call, the
            untrained one included.

    Raises:
        ValueError: ``out`` holds a result of this name, mode and seed that was made otherwise, or
            something else than results.
    """
    out = None if out is None else Path(out)
    known = {} if out is None else _read(out)
    for seed in seeds:
        problem = problem_of(seed)
        for mode, objective in {"untrained": None, **problem.objectives()}.items():
            settings = _settings(problem, objective, seed, rest)
            if (name, mode, seed) in known:
                _require_same(out, known[name, mode, seed], settings)
                continue
            potential = problem.potential
            if objective is not None:
                potential = _trained(problem, objective, seed)
            if on_trained is not None:
                on_trained(seed, mode, potential)
            count = _count(name, mode, seed, problem, potential, rest)
            known[name, mode, seed] = count, settings
            if out is not None:
                out.parent.mkdir(parents=True, exist_ok=True)
                lines = [json.dumps(asdict(c) | {"made_with": s}) for c, s in known.values()]
                write_atomic(out, "\n".join(lines) + "\n")
    return [count for count, _ in known.values()]


def _read(out: Path) -> dict[tuple[str, str, int], tuple[Count, dict[str, Any]]]:
    """What a file of results holds, by name, mode and seed, and what each was made with."""
    known = {}
    for line in out.read_text(encoding="utf-8").splitlines() if out.exists() else []:
        try:
            values = json.loads(line)
            settings = values.pop("made_with")
            count = Count(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{out} does not hold counts of basins ({type(error).__name__}: {error}); choose "
                "another file"
            ) from error
        known[count.problem, count.mode, count.seed] = count, settings
    return known


def _settings(
    problem: Problem, objective: EndpointLoss | None, seed: int, rest: Relaxer | None
) -> dict[str, Any]:
    """All that a count depends on, as JSON holds it."""
    parts = ("potential", "rule", "stop", "epochs", "learning_rate", "batch_size")
    described = specification({part: getattr(problem, part) for part in parts})
    return plain(
        described
        | {
            "weights": fingerprint(problem.potential),
            "training": problem.training.fingerprint(),
            "held_out": problem.held_out.fingerprint(),
            "objective": specification(objective),
            "rest": specification(Relaxer() if rest is None else rest),
            "seed": seed,
        }
    )


def _require_same(
    out: Path | None, known: tuple[Count, dict[str, Any]], settings: dict[str, Any]
) -> None:
    count, saved = known
    if reason := refusal(saved, settings):
        raise ValueError(
            f"{out} holds {count.problem!r}, {count.mode!r}, seed {count.seed}, made with other "
            f"settings ({reason}); choose another file or delete it"
        )


def _trained(problem: Problem, objective: EndpointLoss, seed: int) -> Potential:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplicitWarning)
        return finetune(
            problem.potential,
            problem.training,
            objective,
            epochs=problem.epochs,
            learning_rate=problem.learning_rate,
            batch_size=problem.batch_size,
            seed=seed,
            progress=False,
        ).potential


def format_counts(counts: Sequence[Count]) -> str:
    """A table: right basins of each mode, summed over seeds, and seed by seed."""
    lines = []
    for problem in dict.fromkeys(c.problem for c in counts):
        mine = [c for c in counts if c.problem == problem]
        seeds = sorted({c.seed for c in mine})
        lines.append(f"{problem}: right basins (held out; trained on; by seed {seeds}; mean ΔQ)")
        for mode in dict.fromkeys(c.mode for c in mine):
            rows = [c for c in mine if c.mode == mode]
            by_seed = " ".join(str(c.right) for c in rows)
            mean = sum(c.dq_rest for c in rows) / len(rows)
            lines.append(
                f"  {mode:>18}  {sum(c.right for c in rows):>3} of {sum(c.of for c in rows)};  "
                f"{sum(c.right_in_training for c in rows):>3} of "
                f"{sum(c.of_training for c in rows)};  {by_seed};  {mean:.3f}"
            )
    return "\n".join(lines)


def _count(
    name: str,
    mode: str,
    seed: int,
    problem: Problem,
    potential: Potential,
    rest: Relaxer | None,
) -> Count:
    def right(references: RelaxationDataset) -> tuple[int, float]:
        report = evaluate(
            {mode: potential}, references, problem.rule, problem.stop, rest, progress=False
        )
        basins = report.column("basin", mode)
        return sum(b in RIGHT for b in basins), float(report.column("dq_rest", mode).mean())

    number, distance = right(problem.held_out)
    same = problem.training is problem.held_out
    in_training = number if same else right(problem.training)[0]
    return Count(
        name,
        mode,
        seed,
        number,
        len(problem.held_out),
        in_training,
        len(problem.training),
        distance,
    )
