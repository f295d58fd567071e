"""Does the result depend on the step size, on how many steps there are, on the procedure?

    python -m bpttviz.experiments.robustness landscape --out FOLDER
    python -m bpttviz.experiments.robustness silicon --out FOLDER

The paper says: hardly. Here the same training is made again with each procedure, step size and
number of steps. FOLDER keeps every training as it comes, and the same command goes on where it was
stopped; FOLDER/landscape.json.xz is what the package stores.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch

from bpttviz._checks import file_path, instance_of, mapping_of, positive, sequence_of, whole
from bpttviz._files import lock_settings, plain, refusal, write_atomic
from bpttviz.distances import delta_q, displacements
from bpttviz.experiments.robustness_problems import DefectProblem, LandscapeProblem, Problem
from bpttviz.experiments.robustness_result import (
    METRICS,
    Robustness,
    RobustnessCell,
    finite,
    packed,
    rounded,
)
from bpttviz.potentials.base import Potential
from bpttviz.provenance import fingerprint, specification
from bpttviz.relaxation.arnoldi import spectral_radius
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import FIRE, GradientDescent, HeavyBall, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures
from bpttviz.training.arguments import require_callable
from bpttviz.training.objectives import ForceLoss

Procedures = Mapping[str, Callable[[float], UpdateRule]]
# Procedure, step size and steps -> a training, and what its rule was (None: an older line).
Known = dict[tuple[str, float, int], tuple[RobustnessCell, dict | None]]
MOMENTUM = 0.5
FRAMES = 4  # of each held-out relaxation, that its force error is measured on


def procedures(max_step: float) -> dict[str, Callable[[float], UpdateRule]]:
    """Three procedures, each made from a step size η (Å²/eV).

    FIRE's first step is dt² F, so that η = dt² means the same there.

    Args:
        max_step: Å.
    """
    return {
        "gradient descent": lambda eta: GradientDescent(eta, max_step),
        "heavy ball": lambda eta: HeavyBall(eta, MOMENTUM, max_step),
        "FIRE": lambda eta: FIRE(math.sqrt(eta), max(1.0, math.sqrt(eta)), max_step),
    }


def robustness(
    problem: Problem,
    step_sizes: Sequence[float],
    steps: Sequence[int],
    rules: Procedures | None = None,
    out: str | Path | None = None,
    on_cell: Callable[[RobustnessCell], None] | None = None,
) -> Robustness:
    """Make the same training with every procedure, step size and number of steps.

    Args:
        problem: what is trained on what, see `LandscapeProblem` and `DefectProblem`.
        step_sizes: η, Å²/eV.
        steps: K, numbers of steps.
        rules: title → function that makes an update rule from a step size; by default three.
        out: a folder that trainings are added to as they come; those it has are kept.
        on_cell: called with each.

    Raises:
        TypeError, ValueError: an argument of another kind or out of range; a folder whose trainings
            were made with other settings, or with another rule of the same title.
    """
    instance_of("problem", problem, Problem, "LandscapeProblem()")
    etas = [
        positive("a step size", x) for x in sequence_of("step_sizes", step_sizes, object, "[0.1]")
    ]
    counts = [whole("a number of steps", k) for k in sequence_of("steps", steps, object, "[6, 12]")]
    if not etas or not counts:
        raise ValueError("give one step size and one number of steps at least")
    require_callable(on_cell=on_cell)
    out = None if out is None else file_path("out", out)
    if rules is None:
        rules = procedures(problem.max_step)
    made = _makers(rules, etas[0])
    known = _known(out, problem)
    ends = problem.relaxer.run(problem.potential, problem.held_out.ends()).structures
    stiffest = _stiffest(problem, ends)
    result = Robustness(
        name=problem.name,
        axes=list(problem.axes),
        window=[list(limits) for limits in problem.window],
        goals=np.asarray(problem.goals()).round(2).tolist(),
        held_out=list(problem.held_out.names),
        noise_floor=problem.noise_floor,
        stiffest=round(stiffest, 3),
        limits={title: _limit(make(etas[0]), stiffest) for title, make in made.items()},
        ground_shape=list(problem.ground_shape),
    )
    for title, make in made.items():
        for eta in etas:
            for count in counts:
                cell = _cell(problem, (title, eta, count), make(eta), known, out)
                result.cells.append(cell)
                if on_cell is not None:
                    on_cell(cell)
    return result


def _makers(rules: object, step_size: float) -> dict[str, Callable[[float], UpdateRule]]:
    """Title → function that makes a rule; each is tried once. Raises TypeError."""
    hint = '{"my rule": bv.GradientDescent}'
    made = cast(Procedures, mapping_of("rules", rules, object, hint))
    for title, make in made.items():
        if not callable(make):
            raise TypeError(f"rules[{title!r}] must be a function of a step size, as {hint}")
        instance_of(f"what rules[{title!r}] makes", make(step_size), UpdateRule, "bv.FIRE()")
    return dict(made)


def _cell(
    problem: Problem,
    key: tuple[str, float, int],
    rule: UpdateRule,
    known: Known,
    out: str | Path | None,
) -> RobustnessCell:
    """One training: that which is known already, or a new one, which the folder then holds."""
    if key in known:
        cell, saved = known[key]
        _require_same_rule(out, cell, saved, rule)
        return cell
    title, eta, count = key
    cell = _train(problem, title, eta, rule, StoppingCriterion(count))
    _keep(out, cell, rule)
    return cell


def _train(
    problem: Problem, title: str, eta: float, rule: UpdateRule, stop: StoppingCriterion
) -> RobustnessCell:
    """One training, and what came of it."""
    losses, stages = problem.train(rule, stop)
    paths, ends = [], []
    for potential in stages.values():
        with torch.no_grad():
            relaxation = relax(potential, problem.held_out.starts(), rule, stop)
        paths.append(problem.flatten(relaxation.trajectory))
        if len(paths) in (1, len(stages)):
            ends.append(_measure(problem, potential, relaxation.final, set(relaxation.diverged)))
    (before, left, lost_before), (after, _, lost_after) = ends
    energies = [ground for p in stages.values() if (ground := problem.ground(p)) is not None]
    changes = {name: _change(problem, name, before[name], after[name]) for name in METRICS}
    return RobustnessCell(
        procedure=title,
        step_size=eta,
        steps=stop.max_steps,
        left=finite(left),
        before={name: finite(float(np.nanmean(before[name]))) for name in METRICS},
        after={name: finite(float(np.nanmean(after[name]))) for name in METRICS},
        change={name: change for name, (change, _) in changes.items()},
        worse={name: worse for name, (_, worse) in changes.items()},
        lost=[problem.held_out.names[i] for i in sorted(lost_before | lost_after)],
        losses=[finite(loss) for loss in losses],
        stages=list(stages),
        paths=rounded(np.stack(paths)),
        ground=packed(np.stack(energies), problem.highest) if energies else "",
    )


def _measure(
    problem: Problem, potential: Potential, final: Structures, lost: set[int]
) -> tuple[dict[str, np.ndarray], float, set[int]]:
    """Metric → one number a held-out relaxation; the part of the way left; places of the lost."""
    rest = problem.relaxer.run(potential, final)
    starts, wanted = problem.held_out.starts(), problem.held_out.ends()
    matter = potential.places_matter
    way = delta_q(starts, rest.structures, matter)
    left = (delta_q(final, rest.structures, matter) / way.clamp(min=problem.noise_floor)).numpy()
    lost = lost | {i for i, done in enumerate(rest.converged.tolist()) if not done}
    good = np.array([i not in lost for i in range(len(starts))])
    with torch.no_grad():
        forces = ForceLoss(FRAMES).loss(potential, problem.held_out)
    measured = {
        "dq_rest": delta_q(rest.structures, wanted, matter),
        "dq_k": delta_q(final, wanted, matter),
        "force_mae": forces,
    }
    values = {name: np.where(good, x.detach().numpy(), np.nan) for name, x in measured.items()}
    return values, float(left[good].mean()) if good.any() else math.nan, lost


def _change(
    problem: Problem, name: str, before: np.ndarray, after: np.ndarray
) -> tuple[float | None, int]:
    """Geometric mean of the ratios, and how many got worse."""
    floor = 1e-6 if name == "force_mae" else problem.noise_floor
    with np.errstate(invalid="ignore"):
        logs = np.log(np.maximum(after, floor) / np.maximum(before, floor))
    logs = logs[np.isfinite(logs)]
    return (finite(float(np.exp(logs.mean()))) if len(logs) else None), int((logs > 0.01).sum())


def _limit(rule: UpdateRule, stiffest: float) -> float | None:
    """The step size beyond which a rule does not settle where the largest curvature is so large."""
    if isinstance(rule, GradientDescent):
        return round(2 / stiffest, 4)
    if isinstance(rule, HeavyBall):
        return round(2 * (1 + float(rule.momentum)) / stiffest, 4)
    return None  # FIRE shortens its steps


def _stiffest(problem: Problem, ends: Structures) -> float:
    """The largest curvature at the untrained potential's ends that a relaxation meets, eV/Å²."""
    place = ends.positions.detach().clone().requires_grad_()
    free = ~ends.fixed[:, None]
    with torch.enable_grad():
        predicted = problem.potential(ends.with_positions(place)).forces
        forces = torch.where(free, predicted, 0.0)

    def matvec(v: torch.Tensor) -> torch.Tensor:
        (product,) = torch.autograd.grad(forces, place, v.to(forces), retain_graph=True)
        return torch.where(free, -product, 0.0)

    # From the way itself: directions in which nothing ever moves have no say.
    way = displacements(problem.held_out.starts(), ends, False, problem.potential.places_matter)
    index, count = ends.structure_index, len(ends)
    return float(spectral_radius(matvec, way, index, count, iterations=25).max())


def _settings(problem: Problem) -> dict:
    """All that a training depends on, but what a cell says itself."""
    return {
        "problem": specification(problem),
        "weights": fingerprint(problem.potential),
        "training": problem.training.fingerprint(),
        "held_out": problem.held_out.fingerprint(),
    }


def _known(out: str | Path | None, problem: Problem) -> Known:
    """Trainings that a folder holds."""
    if out is None:
        return {}
    lock_settings(out, _settings(problem), ["cells.jsonl"])
    return {cell.key: (cell, rule) for cell, rule in _read(Path(out) / "cells.jsonl")}


def _read(file: Path) -> Iterator[tuple[RobustnessCell, dict | None]]:
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            held = json.loads(line)
            rule = held.pop("rule", None)
            yield RobustnessCell(**held), rule
        except (ValueError, TypeError, AttributeError) as error:
            if number == len(lines):
                return  # it was being written when the process ended
            raise ValueError(f"line {number} of {file} is damaged ({error}); delete it") from error


def _require_same_rule(
    out: str | Path | None, cell: RobustnessCell, saved: dict | None, rule: UpdateRule
) -> None:
    """Refuse a training that a rule of the same title, but another one, was used for."""
    reason = "" if saved is None else refusal(saved, specification(rule))
    if reason:
        raise ValueError(
            f"{out} holds a training with {cell.procedure!r}, η = {cell.step_size:g} and K = "
            f"{cell.steps}, made with another rule ({reason}); choose another folder or title"
        )


def _keep(out: str | Path | None, cell: RobustnessCell, rule: UpdateRule) -> None:
    if out is None:
        return
    file = Path(out) / "cells.jsonl"
    content = file.read_text(encoding="utf-8") if file.exists() else ""
    # A line that was cut off by the end of a process gets no second half.
    whole_lines = content[: content.rfind("\n") + 1]
    held = asdict(cell) | {"rule": plain(specification(rule))}
    line = json.dumps(held, separators=(",", ":"), allow_nan=False)
    write_atomic(file, whole_lines + line + "\n")


GRIDS: dict[str, tuple[type[Problem], list[float], list[int]]] = {
    "landscape": (LandscapeProblem, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2], [2, 4, 8, 16]),
    "silicon": (DefectProblem, [0.03, 0.06, 0.12], [5, 10, 20]),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bpttviz.experiments.robustness", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("problem", choices=sorted(GRIDS))
    parser.add_argument("--out", required=True, help="folder")
    choices = parser.parse_args(arguments)
    kind, etas, counts = GRIDS[choices.problem]
    problem, out = kind(), Path(choices.out)
    result = robustness(
        problem, etas, counts, out=out, on_cell=lambda cell: print(cell.describe(), flush=True)
    )
    command = f"python -m bpttviz.experiments.robustness {choices.problem} --out FOLDER"
    result.made.update(command=command, torch=torch.__version__, **_settings(problem))
    print(*result.verdict(), result.write(out / f"{choices.problem}.json.xz"), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
