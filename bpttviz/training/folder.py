"""The folder of a run: one training at a time in it, and what tells its states apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bpttviz._files import FolderInUse, FolderLock
from bpttviz.training.checkpoint import FILE, RunError


def stamp(path: Path | None) -> tuple[int, ...] | None:
    """What tells one state of a folder's run from another; None where there is no run."""
    if path is None:
        return None
    try:
        found = (path / FILE).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else trains in the folder.

    Raises:
        RunError: somebody does, or the folder cannot be written.
    """
    lock = FolderLock(path)
    try:
        lock.__enter__()
    except FolderInUse as error:
        raise RunError(f"a training goes on there already: {error}") from error
    except OSError as error:
        kept = "the state saved before is intact" if stamp(path) else "nothing was saved yet"
        raise RunError(
            f"could not write in {path} ({error.strerror or error}); {kept}. Choose another "
            "folder, then call finetune again"
        ) from error
    try:
        yield
    finally:
        lock.__exit__()
