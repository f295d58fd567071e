"""What a gradient costs: peak memory and time of each adjoint against K, and the floor under them.

Every measurement runs in a fresh process (memory freed earlier in a process hides what comes
later), results are written as they come, and a second call makes only those that are missing. The
structure is a 64-atom silicon cell, disturbed by 0.05 Å, with its perfect places as the reference.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from ase.build import bulk
from torch import Tensor

from bpttviz._files import write_atomic
from bpttviz.distances import delta_q, force_error
from bpttviz.evaluation.tables import format_table
from bpttviz.experiments.machine import require_this_machine, same_threads
from bpttviz.potentials.base import Potential
from bpttviz.potentials.pretrained.chgnet import CHGNet
from bpttviz.profiling import Meter, clock, memory_now, time_spent
from bpttviz.relaxation.adjoints.base import Adjoint
from bpttviz.relaxation.adjoints.guided import GuidedAdjoint
from bpttviz.relaxation.adjoints.implicit import ImplicitAdjoint
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT, FullBPTT, TruncatedBPTT
from bpttviz.relaxation.relax import Relaxation, relax
from bpttviz.relaxation.rules import GradientDescent
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures

MODES = {
    "full": FullBPTT(),
    "checkpointed": CheckpointedBPTT(),
    "truncated": TruncatedBPTT(steps=5),
    "implicit": ImplicitAdjoint(),
    "guided": GuidedAdjoint(window=5),
}
STEPS = (5, 10, 20, 40, 80)
RULE = GradientDescent(step_size=0.06)
ATOMS = 64
FILE, PAIRED_FILE = "cost.jsonl", "paired.json"


def silicon_of(atoms: int) -> tuple[Structures, Structures]:
    """(start, reference end): a cubic cell of silicon, disturbed by 0.05 Å, and as it was."""
    cubes = round((atoms / 8) ** (1 / 3))
    if 8 * cubes**3 != atoms:
        raise ValueError(f"{atoms} is not 8 n³: silicon cells have 8, 64, 216, 512 or 1000 atoms")
    perfect = bulk("Si", cubic=True) * (cubes, cubes, cubes)
    disturbed = perfect.copy()
    disturbed.rattle(0.05, seed=0)
    return Structures.from_ase(disturbed), Structures.from_ase(perfect)


def measure_costs(
    out: str | Path,
    steps: Sequence[int] = STEPS,
    modes: Sequence[str] = tuple(MODES),
    device: str = "cpu",
    memory_limit: float | None = None,
) -> list[dict]:
    """Measure every mode at every K, each in a fresh process.

    Args:
        out: folder; ``cost.jsonl`` in it gets a line a measurement, and those it has are kept.
        steps: the K.
        modes: keys of `MODES`.
        device: where CHGNet runs.
        memory_limit: bytes; a mode is not tried at a K where its slope so far says that it would
            need more (a line says so). By default most of the machine's free memory (CPU only).

    Returns:
        One dict a measurement on this device: mode, steps, seconds, peak_bytes, base_bytes (the
        process before the gradient), evaluations (forces computed on the way), solver_products (of
        an implicit gradient's equations), device; or mode, steps, device, skipped.

    Raises:
        ValueError: the file is damaged, or of another machine.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / FILE
    known = _read(file)
    here = require_this_machine([row for row in known if "skipped" not in row], file, device)
    if memory_limit is None and device == "cpu":
        memory_limit = 0.9 * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for mode in modes:
        for count in sorted(steps):
            same = [
                r for r in known if (r["mode"], r["steps"], r["device"]) == (mode, count, device)
            ]
            if any("skipped" not in r for r in same):
                continue
            # What did not fit is tried again: this time there may be more memory.
            known = [r for r in known if r not in same]
            need = _expected_peak([r for r in known if r["device"] == device], mode, count)
            if memory_limit is not None and need > memory_limit:
                reason = f"would need about {need / 1e9:.1f} GB"
                result = {"mode": mode, "steps": count, "device": device, "skipped": reason}
            else:
                result = _in_fresh_process("one", mode, str(count), device) | {"machine": here}
            known.append(result)
            write_atomic(file, "".join(json.dumps(row) + "\n" for row in known))
    return [r for r in known if r["device"] == device]


def _read(file: Path) -> list[dict]:
    """Measurements that a file holds, none where it is not there.

    Raises:
        ValueError: damaged; names the file and the line.
    """
    known = []
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            known.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"line {number} of {file} is damaged ({error}); delete it") from error
    return known


def measure_paired(out: str | Path, steps: int = 10, repeats: int = 5, device: str = "cpu") -> dict:
    """One BPTT gradient through K steps against K force-loss backward passes, in one process.

    A force-loss pass is what ordinary fine-tuning does: forces with a graph, their mean absolute
    error, its gradient with respect to the parameters; no optimiser in either. The same adapter
    and structure; the K frames are those that the relaxation goes through. The two are timed in
    turn, ``repeats`` times.

    Returns:
        For the force losses and both gradients a list of {"seconds", "user", "system"}: time on the
        clock, and the processor's time spent computing and, on behalf of the process, in the
        system's kernel (which hands out memory: `FullBPTT` keeps about 0.2 GB a step, and pages
        that a process is given anew have to be cleared). And where the time goes: seconds of one
        evaluation without a graph, with one, of its backward pass to the parameters alone (what a
        force loss needs) and to parameters and positions (what BPTT needs).
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    result = _in_fresh_process("paired", str(steps), str(repeats), device)
    write_atomic(out / PAIRED_FILE, json.dumps(result, indent=1))
    return result


def format_costs(costs: Sequence[dict], paired: dict | None = None) -> str:
    """A table of the costs, their slopes, and the ratios to the force-loss floor.

    Args:
        costs: what `measure_costs` returns.
        paired: what `measure_paired` returns.
    """
    lines = [
        "peak memory above the process before it, MB, and seconds, of one gradient (Si64)",
        format_table(cost_table(costs), rule=False),
    ]
    if paired:
        lines += ["", format_paired(paired)]
    return "\n".join(lines)


def cost_table(costs: Sequence[dict]) -> pd.DataFrame:
    """A line a mode and a column a K, as strings; the last one is what a step adds."""
    lines = []
    for mode in dict.fromkeys(r["mode"] for r in costs):
        rows = {r["steps"]: r for r in costs if r["mode"] == mode}
        line = {"K": mode}
        for steps in sorted({r["steps"] for r in costs}):
            line[str(steps)] = _cell(rows.get(steps))
        slope = memory_slope([r for r in rows.values() if "skipped" not in r])
        line["MB a step"] = "" if slope is None else f"{slope / 1e6:.2f}"
        lines.append(line)
    return pd.DataFrame(lines)


def _cell(result: dict | None) -> str:
    """One measurement."""
    if result is None:
        return "-"
    if "skipped" in result:
        return "too large"
    peak = (result["peak_bytes"] - result["base_bytes"]) / 1e6
    return f"{peak:.0f}, {result['seconds']:.1f} s"


def format_paired(paired: dict) -> str:
    """What `measure_paired` returns, in words: ratios to the floor, and where the time goes."""
    floor = paired["force_loss"]
    lines = [f"one gradient through K = {paired['steps']} steps / K force-loss passes"]
    for mode in ("full", "checkpointed"):
        clock, computing = (_ratios(paired[mode], floor, kind) for kind in ("seconds", "user"))
        system = statistics.median(spent["system"] for spent in paired[mode])
        lines.append(
            f"  {mode}: {clock} on the clock, {computing} in computing time; "
            f"{system:.2f} s a gradient go to the system, for memory"
        )
    parts = ", ".join(f"{name} {1e3 * s:.0f} ms" for name, s in paired["parts"].items())
    return "\n".join([*lines, f"  where the time goes, one evaluation: {parts}"])


def _ratios(spent: Sequence[dict], floor: Sequence[dict], kind: str) -> str:
    ratios = [a[kind] / b[kind] for a, b in zip(spent, floor, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def memory_slope(rows: Sequence[dict]) -> float | None:
    """Bytes a step, by least squares over K; None with fewer than two K."""
    points = [(r["steps"], r["peak_bytes"] - r["base_bytes"]) for r in rows]
    if len({k for k, _ in points}) < 2:
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def gradient(
    potential: Potential, start: Structures, end: Structures, adjoint: Adjoint, steps: int
) -> tuple[Relaxation, tuple[Tensor, ...]]:
    """One gradient of ΔQ after a relaxation, with respect to all parameters."""
    relaxation = relax(potential, start, RULE, StoppingCriterion(steps), adjoint)
    loss = delta_q(relaxation.final, end).sum()
    for weight, waypoint in relaxation.waypoints:
        loss = loss + weight * delta_q(waypoint, end).sum()
    parameters = [p for p in potential.parameters() if p.requires_grad]
    return relaxation, torch.autograd.grad(loss, parameters, allow_unused=True)


def _expected_peak(known: list[dict], mode: str, steps: int) -> float:
    """What ``mode`` will need at ``steps``, from two smaller K; zero where that is not known."""
    rows = [r for r in known if r["mode"] == mode and r["steps"] < steps and "skipped" not in r]
    slope = memory_slope(rows)
    if slope is None:
        return 0.0
    largest = max(rows, key=lambda r: r["steps"])
    return largest["peak_bytes"] + slope * (steps - largest["steps"])


def _in_fresh_process(*arguments: str) -> dict:
    command = [sys.executable, "-m", "bpttviz.experiments.cost", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=same_threads())
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _one(mode: str, steps: str, device: str) -> dict:
    potential = CHGNet(device=device)
    start, end = (x.to(device) for x in silicon_of(ATOMS))
    potential(start)  # what is loaded or compiled on first use is not the gradient's cost
    base = memory_now(device)
    with Meter(device) as meter:
        relaxation, _ = gradient(potential, start, end, MODES[mode], int(steps))
    return {
        "mode": mode,
        "steps": int(steps),
        "device": device,
        "seconds": meter.seconds,
        "peak_bytes": meter.peak_bytes,
        "base_bytes": base,
        "evaluations": int(relaxation.steps[0]),
        "solver_products": sum(s.n_matvecs for s in relaxation.backward.solutions),
    }


def _paired(steps: str, repeats: str, device: str) -> dict:
    potential = CHGNet(device=device)
    start, end = (x.to(device) for x in silicon_of(ATOMS))
    parameters = [p for p in potential.parameters() if p.requires_grad]
    with torch.no_grad():
        path = (
            relax(potential, start, RULE, StoppingCriterion(int(steps))).trajectory[:-1].to(device)
        )

    def force_loss(
        positions: Tensor, wanted: Sequence[Tensor], graph: bool = True
    ) -> tuple[float, float]:
        """Seconds of an evaluation, and of its backward pass."""
        frame = start.with_positions(positions)
        began = clock(device)
        if not graph:
            with torch.no_grad():
                potential(frame)
            return clock(device) - began, 0.0
        forces = potential(frame).forces
        middle = clock(device)
        error = force_error(forces, torch.zeros_like(forces), start.structure_index, 1).sum()
        torch.autograd.grad(error, wanted, allow_unused=True)
        return middle - began, clock(device) - middle

    def all_force_losses() -> None:
        """K force-loss passes."""
        for positions in path:
            force_loss(positions, parameters)

    jobs: dict[str, Callable[[], object]] = {"force_loss": all_force_losses}
    for mode in ("full", "checkpointed"):
        jobs[mode] = partial(gradient, potential, start, end, MODES[mode], int(steps))
    result: dict = {"steps": int(steps), "device": device} | {name: [] for name in jobs}
    for job in jobs.values():  # once untimed: what is loaded or compiled on first use
        job()
    for _ in range(int(repeats)):
        for name, job in jobs.items():
            result[name].append(time_spent(job, device))
    without, with_graph, to_parameters, to_both = [], [], [], []
    for x in path:
        without.append(force_loss(x, parameters, graph=False)[0])
        made, back = force_loss(x, parameters)
        with_graph.append(made)
        to_parameters.append(back)
        leaf = x.clone().requires_grad_()
        to_both.append(force_loss(leaf, [leaf, *parameters])[1])
    result["parts"] = {
        "forces without graph": statistics.median(without),
        "forces with graph": statistics.median(with_graph),
        "backward to parameters": statistics.median(to_parameters),
        "backward to parameters and positions": statistics.median(to_both),
    }
    return result


if __name__ == "__main__":  # a fresh process of `measure_costs` or `measure_paired`
    print(json.dumps({"one": _one, "paired": _paired}[sys.argv[1]](*sys.argv[2:])))
