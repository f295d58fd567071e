"""Files of frames: written whole, and one kind of label in a folder.

Under MPI every rank calls these functions; rank 0 alone reads and writes, without collective calls
inside, and tells the others what it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ase.io
from ase import Atoms

from bpttviz._files import write_atomic
from bpttviz.datasets.compression import decompressed
from bpttviz.datasets.generate.mpi import on_rank_zero
from bpttviz.datasets.labels import settings_of


class SettingsMismatch(ValueError):
    """A folder or file holds labels made with other engine settings."""


def write_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write extended XYZ so that `path` is never half a file.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """

    def write(unfinished: Path) -> None:
        # parallel=False: ase.io.write is collective otherwise and would wait for other ranks
        ase.io.write(str(unfinished), frames, format="extxyz", parallel=False)

    on_rank_zero(lambda: write_atomic(path, write))


def read_frames(path: Path) -> list[Atoms]:
    """All frames of a file (also one compressed with xz, as shipped), with their labels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read.
    """
    return on_rank_zero(lambda: _read(path, ":"))


def _read(path: Path, index: str) -> list[Atoms]:
    try:
        source = decompressed(path) if path.suffix == ".xz" else str(path)
        frames = ase.io.read(source, index, format="extxyz", parallel=False)
        if not isinstance(frames, list) or not frames:
            raise EOFError("it holds no frame")
        return frames
    except FileNotFoundError:
        raise
    except Exception as error:  # ASE's reader raises whatever its parser tripped over
        raise ValueError(
            f"{path} could not be read as extended XYZ ({type(error).__name__}: {error}); it may "
            "be truncated"
        ) from error


def exists(path: Path) -> bool:
    """Whether there is such a file."""
    return on_rank_zero(path.exists)


def remove(path: Path) -> None:
    """Remove a file, if there is one."""
    on_rank_zero(lambda: path.unlink(missing_ok=True))


def refuse_mixed_settings(folder: Path, settings: str) -> None:
    """See that every file in the folder was made with these settings.

    Raises:
        SettingsMismatch: one was made with others, or does not say.
        ValueError: one cannot be read.
    """

    def look() -> None:
        for path in sorted(folder.glob("*.extxyz")):
            try:
                first = _read(path, ":1")
            except FileNotFoundError:
                continue  # another job has just finished it, and removed its partial file
            found = settings_of(first[0])
            if found != settings:
                raise SettingsMismatch(
                    f"{path} has settings {found!r}, this run {settings!r}; choose another --out"
                )

    on_rank_zero(look)
