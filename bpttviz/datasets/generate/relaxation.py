"""From a start through an engine's stages to rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.optimize import BFGS

from bpttviz.datasets.generate.engines import Engine
from bpttviz.datasets.generate.hessians import InitialHessian, scaled_identity
from bpttviz.datasets.generate.mpi import log
from bpttviz.datasets.labels import largest_force

LONGEST_STEP = 0.15  # Å, of any atom


class NotAtRest(RuntimeError):
    """A relaxation reached its largest number of steps before its force tolerance."""


def relax(
    atoms: Atoms,
    engine: Engine,
    known: Sequence[Atoms] = (),
    record: Callable[[list[Atoms]], None] = lambda frames: None,
    max_steps: int = 200,
    log_file: Path | None = None,
    initial_hessian: InitialHessian = scaled_identity,
) -> list[Atoms]:
    """Relax through the engine's stages.

    Args:
        atoms: the start, or where ``known`` frames end; left as it is.
        engine: what computes energies and forces.
        known: frames of the same relaxation so far: their forces teach the Hessian, and stages that
            they have passed are skipped.
        record: sees all frames after each step.
        max_steps: the most steps, those between known frames included.
        log_file: the calculator's own log.
        initial_hessian: of atoms, (3N, 3N) in eV/Å².

    Returns:
        The frames, known ones first, with energy (eV) and forces (eV/Å). ``info["stage"]`` says
        which stage labelled a frame; one computed twice at the same place is kept in its later
        form only.

    Raises:
        NotAtRest: the force is too large after ``max_steps``.
        FloatingPointError: the engine gave an energy or a force that is not finite.
    """
    frames, atoms = list(known), atoms.copy()
    atoms.calc = engine.calculator(log_file)
    optimizer = BFGS(atoms, logfile=None, maxstep=LONGEST_STEP)
    optimizer.H0 = initial_hessian(frames[0] if frames else atoms)
    if frames:
        optimizer.replay_trajectory(frames)
    first = _first_stage(frames, engine)
    for number, stage in list(enumerate(engine.stages))[first:]:
        atoms.calc.set(**stage.parameters)
        while (fmax := _label(atoms, number, frames, record)) > stage.fmax:
            if len(frames) > max_steps:
                raise NotAtRest(
                    f"fmax {fmax:.4f} eV/Å after {max_steps} steps; with more (--max-steps) it "
                    "goes on from there"
                )
            optimizer.step()
    return frames


def _first_stage(known: Sequence[Atoms], engine: Engine) -> int:
    """The stage in which known frames end, or which their last force allows."""
    if not known:
        return 0
    passed = [largest_force(known[-1]) <= stage.fmax for stage in engine.stages[:-1]]
    return max(sum(passed), known[-1].info.get("stage", 0))


def _label(
    atoms: Atoms, stage: int, frames: list[Atoms], record: Callable[[list[Atoms]], None]
) -> float:
    """Compute, append and record the frame where ``atoms`` are; its largest force, eV/Å."""
    began = time.time()
    frame = _labelled(atoms, stage)
    if frames and np.abs(frame.positions - frames[-1].positions).max() < 1e-6:
        frames.pop()
    frames.append(frame)
    record(frames)
    fmax = largest_force(frame)
    log(
        f"  {len(frames) - 1:3d}  stage {stage}  {frame.get_potential_energy():14.6f} eV"
        f"  fmax {fmax:8.4f} eV/Å  {time.time() - began:7.1f} s"
    )
    return fmax


def _labelled(atoms: Atoms, stage: int) -> Atoms:
    """A copy that keeps energy and forces (and the energy the forces derive from, if told)."""
    frame = atoms.copy()
    frame.info["stage"] = stage
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if "free_energy" in atoms.calc.results:
        results["free_energy"] = atoms.calc.results["free_energy"]
    frame.calc = SinglePointCalculator(frame, **results)
    if not all(np.isfinite(value).all() for value in results.values()):
        raise FloatingPointError("energy or forces are not finite")
    return frame
