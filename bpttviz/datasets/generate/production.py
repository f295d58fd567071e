"""Relaxations made, continued or restarted, each as one file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from bpttviz.datasets.generate.engines import Engine
from bpttviz.datasets.generate.files import (
    SettingsMismatch,
    exists,
    read_frames,
    refuse_mixed_settings,
    remove,
    write_frames,
)
from bpttviz.datasets.generate.hessians import InitialHessian, scaled_identity, spring_hessian
from bpttviz.datasets.generate.mpi import log, may_be_alone
from bpttviz.datasets.generate.relaxation import relax
from bpttviz.datasets.labels import delta_q, same_structure, settings_of, unfinished

PARTIAL = ".partial.extxyz"


def produce(
    name: str,
    start: Callable[[], Atoms],
    info: dict[str, Any],
    engine: Engine,
    out: Path,
    earlier: Sequence[Atoms] = (),
    max_steps: int = 200,
    initial_hessian: InitialHessian = scaled_identity,
) -> Path | None:
    """One relaxation into out/NAME.extxyz; what an interrupted call left is taken up.

    Args:
        name: of the file, without its ending.
        start: makes the start, the same at every call.
        info: what every frame is to say, besides the engine's settings, its stage, and whether it
            is the end, at rest ("converged").
        engine: what computes energies and forces.
        out: a folder that exists, with one kind of label.
        earlier: frames that open the trajectory (to continue a finished relaxation).
        max_steps: the most steps, known ones included.
        initial_hessian: of atoms, (3N, 3N) in eV/Å².

    Returns:
        The file, or None where it exists already.

    Raises:
        NotAtRest: see `relax`; the partial file then holds the frames so far.
        FloatingPointError: likewise.
        SettingsMismatch: a file in the folder, or the frames known, have other settings.
        ValueError: the partial file is of another relaxation.
    """
    file = _Output(out, name, {**info, "settings": engine.settings})
    refuse_mixed_settings(out, engine.settings)
    if exists(file.whole):
        log(f"{name}: {file.whole} exists already and is left alone")
        return None
    first = earlier[0] if earlier else start()
    known = _known_frames(file, earlier, first, engine)
    log(f"{name}: {len(first)} atoms" + (f", {len(known)} frames known" if known else ""))
    began = time.time()
    frames = relax(
        known[-1] if known else first,
        engine,
        known,
        record=file.record,
        max_steps=max_steps,
        initial_hessian=initial_hessian,
        log_file=out / f"{name}.log",
    )
    file.finish(frames)
    _report(name, frames, time.time() - began, len(engine.stages) - 1)
    return file.whole


@dataclass
class _Output:
    """The file of one relaxation, and the partial file that holds its frames until it is whole."""

    folder: Path
    name: str
    info: dict[str, Any]
    checked_again: bool = False

    @property
    def whole(self) -> Path:
        return self.folder / f"{self.name}.extxyz"

    @property
    def partial(self) -> Path:
        return self.folder / f"{self.name}{PARTIAL}"

    def record(self, frames: list[Atoms]) -> None:
        """Keep the frames so far."""
        self._write(self.partial, frames, at_rest=False)
        if not self.checked_again:  # another job may have looked when the folder was empty, too
            refuse_mixed_settings(self.folder, self.info["settings"])
            self.checked_again = True

    def finish(self, frames: list[Atoms]) -> None:
        """The whole file in the partial one's place."""
        self._write(self.whole, frames, at_rest=True)
        remove(self.partial)

    def _write(self, target: Path, frames: list[Atoms], at_rest: bool) -> None:
        for frame in frames:
            end = at_rest and frame is frames[-1]  # a file cut short then says that it is not
            stage = frame.info.get("stage", 0)
            frame.info = {**self.info, "converged": end, "stage": stage}
        write_frames(target, frames)


def _known_frames(
    file: _Output, earlier: Sequence[Atoms], first: Atoms, engine: Engine
) -> list[Atoms]:
    """What an interrupted call left, or the ``earlier`` frames, if they are of this relaxation."""
    if exists(file.partial):
        known, source = read_frames(file.partial), str(file.partial)
    else:
        known, source = list(earlier), file.name
    for number, frame in enumerate(known):
        found = settings_of(frame)
        if found != engine.settings:
            raise SettingsMismatch(
                f"{source}: frame {number} has settings {found!r}, this run {engine.settings!r}; "
                "`restart` makes a trajectory of its own from the end of any file"
            )
    if known and not same_structure(known[0], first):
        raise ValueError(
            f"{file.partial} was left by a relaxation from another start than this one of the same "
            "name; choose another --out, or remove it"
        )
    return known


def _report(name: str, frames: Sequence[Atoms], seconds: float, last_stage: int) -> None:
    # What the last stage moved is the noise floor of ends that stopped before it.
    handed_over = next(frame for frame in frames if frame.info["stage"] == last_stage)
    log(
        f"{name}: {len(frames)} frames, {seconds:.0f} s, Delta Q "
        f"{delta_q(frames[0], frames[-1]):.3f} from start to end, "
        f"{delta_q(handed_over, frames[-1]):.3f} in the last stage (amu^½ Å)"
    )


def continue_from(path: Path, engine: Engine, out: Path, max_steps: int = 200) -> Path | None:
    """Take a finished relaxation to the engine's tolerance, appending to its frames.

    Args:
        path: extended XYZ, or that in .xz.
        engine: the one that made it.
        out: the folder for the longer one.
        max_steps: the most steps, those in the file included.

    Returns:
        The file, or None where it exists already.

    Raises:
        SettingsMismatch: the file was made with other settings, or does not state them.
        ValueError: the file says that it is not finished.
    """
    frames = _read_finished(path)
    return _produce_from_end(path, frames[-1].copy(), engine, out, max_steps, frames)


def restart_from(path: Path, engine: Engine, out: Path, max_steps: int = 200) -> Path | None:
    """Relax again from a finished relaxation's end, as a trajectory of its own.

    Args:
        path: extended XYZ, or that in .xz.
        engine: any.
        out: the folder for the new one.
        max_steps: the most steps of the new one.

    Returns:
        The file, or None where it exists already.

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
        log(f"{name}: moved Delta Q {moved:.3f} amu^½ Å from the end it was given")
    return written


def run(jobs: Sequence[Callable[[], object]]) -> int:
    """Do the jobs; one that fails is reported and leaves its partial file.

    Returns:
        The number of jobs that failed.

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
            log(f"  FAILED: {type(error).__name__}: {error}")
    return failed
