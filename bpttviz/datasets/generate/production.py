"""Relaxations made, continued or restarted, each as one file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from bpttviz.datasets.generate.bfgs import scaled_identity, spring_hessian
from bpttviz.datasets.generate.engines import Engine
from bpttviz.datasets.generate.files import (
    SettingsMismatch,
    exists,
    read_frames,
    refuse_mixed_settings,
    remove,
    write_atomically,
)
from bpttviz.datasets.generate.mpi import may_be_alone, say
from bpttviz.datasets.generate.relaxation import relax
from bpttviz.datasets.labels import delta_q, same_structure, settings_of, unfinished

PARTIAL = ".partial.extxyz"


def produce(
    name: str,
    start: Callable[[], Atoms],
    info: dict,
    engine: Engine,
    out: Path,
    earlier: Sequence[Atoms] = (),
    max_steps: int = 200,
    initial_hessian: Callable[[Atoms], np.ndarray] = scaled_identity,
) -> Path | None:
    """One relaxation into out/NAME.extxyz; None where that file exists already.

    `earlier` frames open the trajectory (for continuing a finished relaxation). The partial file
    of an interrupted call is taken up where it stopped. Every frame carries `info`, the engine's
    settings, its stage, and whether it is the end, at rest ("converged"). `initial_hessian`: as in `relax`.

    Raises what `relax` raises, the partial file then holding the frames so far, and

        SettingsMismatch: a file in the folder, or the frames known, have other settings.
        ValueError: the partial file is of another relaxation.
    """
    path, partial = out / f"{name}.extxyz", out / f"{name}{PARTIAL}"
    refuse_mixed_settings(out, engine.settings)
    if exists(path):
        say(f"{name}: {path} exists already and is left alone")
        return None
    info = {**info, "settings": engine.settings}

    def save(target: Path, frames: list[Atoms], converged: bool) -> None:
        for frame in frames:
            end = converged and frame is frames[-1]  # a file cut short then says that it is not
            frame.info = {**info, "converged": end, "stage": frame.info.get("stage", 0)}
        write_atomically(target, frames)

    first = earlier[0] if earlier else start()
    known, source = (read_frames(partial), partial) if exists(partial) else (list(earlier), name)
    _require_settings(known, engine, source)
    if known and not same_structure(known[0], first):
        raise ValueError(
            f"{partial} was left by a relaxation from another start than this one of the same "
            "name; choose another --out, or remove it"
        )
    atoms = known[-1] if known else first
    say(f"{name}: {len(atoms)} atoms" + (f", {len(known)} frames known" if known else ""))
    began, checked_again = time.time(), False

    def record(frames: list[Atoms]) -> None:
        nonlocal checked_again
        save(partial, frames, False)
        if not checked_again:  # another job may have looked at the folder when it was empty, too
            refuse_mixed_settings(out, engine.settings)
            checked_again = True

    frames = relax(
        atoms,
        engine,
        known,
        record=record,
        max_steps=max_steps,
        initial_hessian=initial_hessian,
        log=out / f"{name}.log",
    )
    save(path, frames, True)
    remove(partial)
    # What the last stage moved is the noise floor of ends that stopped before it.
    handed_over = next(f for f in frames if f.info["stage"] == len(engine.stages) - 1)
    say(
        f"{name}: {len(frames)} frames, {time.time() - began:.0f} s, Delta Q "
        f"{delta_q(frames[0], frames[-1]):.3f} from start to end, "
        f"{delta_q(handed_over, frames[-1]):.3f} in the last stage (amu^1/2 Å)"
    )
    return path


def continue_from(path: Path, engine: Engine, out: Path, max_steps: int = 200) -> Path | None:
    """Take a finished relaxation to the engine's tolerance, appending to its frames.

    Raises:
        SettingsMismatch: the file was made with other settings, or does not state them.
        ValueError: the file says that it is not finished.
    """
    frames = _read_finished(path)
    return _produce_from_end(path, frames[-1].copy(), engine, out, max_steps, frames)


def _require_settings(frames: Sequence[Atoms], engine: Engine, source: Path | str) -> None:
    for number, frame in enumerate(frames):
        found = settings_of(frame)
        if found != engine.settings:
            raise SettingsMismatch(
                f"{source}: frame {number} has settings {found!r}, this run {engine.settings!r}; "
                "`restart` makes a trajectory of its own from the end of any file"
            )


def restart_from(path: Path, engine: Engine, out: Path, max_steps: int = 200) -> Path | None:
    """Relax again from a finished relaxation's end, as a trajectory of its own.

    Raises:
        ValueError: the file says that it is not finished.
    """
    return _produce_from_end(path, _read_finished(path)[-1].copy(), engine, out, max_steps, ())


def _read_finished(path: Path) -> list[Atoms]:
    frames = read_frames(path)
    if unfinished(frames):
        raise ValueError(
            f"{path} says that its relaxation is not finished (converged=F), so its last frame is "
            "no end; finish it first"
        )
    return frames


def _produce_from_end(
    path: Path, end: Atoms, engine: Engine, out: Path, max_steps: int, earlier: Sequence[Atoms]
) -> Path | None:
    kept = ("defect", "group", "family", "species", "seed")
    info = {key: value for key, value in end.info.items() if key in kept}
    # the first shipped relaxations name both in one word, and a user's neither
    if "family" not in info and "defect" in info:
        info["family"], _, info["species"] = info["defect"].partition(":")
    name = Path(path.name.removesuffix(".xz")).stem
    written = produce(
        name, lambda: end, info, engine, out, earlier, max_steps, initial_hessian=spring_hessian
    )
    if written is not None:
        moved = delta_q(end, read_frames(written)[-1])
        say(f"{name}: moved Delta Q {moved:.3f} amu^1/2 Å from the end it was given")
    return written


def run(jobs: list[Callable[[], Path | None]]) -> int:
    """Do the jobs; one that fails is reported and leaves its partial file. Number that failed.

    Raises:
        SettingsMismatch: from a job, at once, because it is the order that is wrong.
        OSError: from a job of one rank under MPI, so that all are stopped and none waits for ever.
    """
    failed = 0
    for job in jobs:
        try:
            job()
        except SettingsMismatch:
            raise
        except Exception as error:  # an SCF that does not converge must not stop the other jobs
            if may_be_alone(error):
                raise
            failed += 1
            say(f"  FAILED: {type(error).__name__}: {error}")
    return failed
