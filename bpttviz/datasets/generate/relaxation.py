"""From a start through an engine's stages to rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from bpttviz.datasets.generate.bfgs import BFGS, scaled_identity
from bpttviz.datasets.generate.engines import Engine
from bpttviz.datasets.generate.mpi import say
from bpttviz.datasets.labels import largest_force


class NotAtRest(RuntimeError):
    """A relaxation reached its largest number of steps before its force tolerance."""


def relax(
    atoms: Atoms,
    engine: Engine,
    known: Sequence[Atoms] = (),
    record: Callable[[list[Atoms]], None] = lambda frames: None,
    max_steps: int = 200,
    log: Path | None = None,
    initial_hessian: Callable[[Atoms], np.ndarray] = scaled_identity,
) -> list[Atoms]:
    """Relax from `atoms` through the engine's stages; the frames, `known` ones first.

    `known` are frames of the same relaxation so far, ending where `atoms` is: their forces teach
    the Hessian, and stages that they have passed are skipped. Frames say in info["stage"] which
    stage labelled them; one computed twice at the same place is kept in its later form only.
    `record` sees the frames after each step; `log` is the calculator's; `initial_hessian` gives the Hessian
    (3N,3N) in eV/Å² to begin with.

    Raises:
        NotAtRest: more frames than `max_steps`, known ones included, and the force too large.
        FloatingPointError: the engine gave an energy or a force that is not finite.
    """
    frames, first = list(known), 0
    bfgs = BFGS(initial_hessian(frames[0] if frames else atoms))
    for frame in frames:
        bfgs.learn(frame.positions, frame.get_forces())
    if frames:
        passed = [largest_force(frames[-1]) <= stage.fmax for stage in engine.stages[:-1]]
        first = max(sum(passed), frames[-1].info.get("stage", 0))
    atoms = atoms.copy()
    atoms.calc = engine.calculator(log)
    for number, stage in list(enumerate(engine.stages))[first:]:
        atoms.calc.set(**stage.parameters)
        while True:
            began = time.time()
            frame = _labelled(atoms, number)
            if frames and np.abs(frame.positions - frames[-1].positions).max() < 1e-6:
                frames.pop()
            frames.append(frame)
            record(frames)
            fmax = largest_force(frame)
            say(
                f"  {len(frames) - 1:3d}  stage {number}  {frame.get_potential_energy():14.6f} eV"
                f"  fmax {fmax:8.4f} eV/Å  {time.time() - began:7.1f} s"
            )
            bfgs.learn(frame.positions, frame.get_forces())
            if fmax <= stage.fmax:
                break
            if len(frames) > max_steps:
                raise NotAtRest(
                    f"fmax {fmax:.4f} eV/Å after {max_steps} steps; with more (--max-steps) it "
                    "goes on from there"
                )
            atoms.positions += bfgs.step()
    return frames


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
