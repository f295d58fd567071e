"""Files that are whole or not there, in folders that hold one kind of result and one writer.

No torch here: the generator of data, which runs without it, writes its files through this too.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # and asked for where it is used

UNDESCRIBED = "undescribed"  # {UNDESCRIBED: what} stands where a part could not say what it is


_ABSENT = object()


class FolderInUse(RuntimeError):
    """Another process writes there: says which, on what machine, since when."""


def write_atomic(path: str | Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Put a file in place in one move, so that no reader ever finds half of it.

    The content is written under another name, forced to the disk, and moved. Whatever goes wrong,
    the file of before is intact and nothing unfinished is left. (A process that is killed leaves
    ``.*.unfinished``, which the next `FolderLock` on the folder removes; what a writer keeps beside
    the file that it is given is its own.) Permissions are those that the umask gives a new file,
    whatever the writer does. A link is followed, not replaced.

    Args:
        path: the file; its folder must exist.
        content: text (written as UTF-8, line ends as they are), bytes, or a function that writes
            the file whose path it is given (a hidden one that ends in ``.unfinished``: it must not
            choose its format by that).

    Raises:
        OSError: the disk refused; ``filename`` is the file that was to be written.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "could not be written (it is a folder)", str(path))
    mark = f"{os.getpid()}-{threading.get_ident()}"
    unfinished = target.with_name(f".{target.name}.{mark}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if not callable(content):
                file.write(content.encode() if isinstance(content, str) else content)
        if callable(content):
            content(unfinished)
            os.chmod(unfinished, mode)  # some writers make files that only their owner can read
        with open(unfinished, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except OSError as error:
        why = error.strerror or str(error)
        raise OSError(error.errno or 0, f"could not be written ({why})", str(path)) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Have the new name survive a loss of power too, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def lock_settings(folder: str | Path, settings: dict, writes: Iterable[str] = ()) -> None:
    """Note in ``folder`` what its results were made with, or refuse one that has other results.

    Args:
        folder: made if it is not there.
        settings: all that the results depend on, as JSON can hold it (NumPy's numbers are
            converted); parts through `bpttviz.provenance.specification`, inputs through its
            fingerprints.
        writes: names of the files that will be written there.

    Raises:
        ValueError: the folder holds results with other settings (each is named, with both values),
            or its settings are damaged, or a part does not say what it is (see `refusal`); or it
            has no settings, and yet a file of a name that will be written, which is not ours.
        OSError: the folder cannot be made or written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "settings.json"
    wanted = plain(settings)
    with FolderLock(folder, "settings", wait=10):
        if not file.exists():
            require_unused(folder, writes)
            write_atomic(file, json.dumps(wanted, indent=1))
            return
        try:
            saved = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(saved, dict):
                raise ValueError("it holds no settings")
        except ValueError as error:
            raise ValueError(
                f"{file} is damaged ({error}), so nobody can say what the results beside it were "
                "made with; choose another folder or delete this one"
            ) from error
    reason = refusal(saved, wanted)
    if reason:
        raise ValueError(
            f"{folder} holds results with other settings ({reason}). Choose another folder, delete "
            "this one, or repeat the old settings"
        )


def read_json(file: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        ValueError: damaged; names the file.
        OSError: it cannot be read.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def require_unused(folder: Path, names: Iterable[str]) -> None:
    """Refuse to write over files that somebody else has put there.

    Raises:
        ValueError: names the first such file.
    """
    for name in names:
        if os.path.lexists(folder / name):
            raise ValueError(
                f"{folder / name} is there already, and not from a result in this folder; it would "
                "be written over: choose another folder"
            )


def plain(settings: dict) -> dict:
    """``settings`` as JSON gives them back: NumPy's numbers and arrays become Python's.

    Raises:
        TypeError: a value that JSON cannot hold.
    """

    def convert(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise TypeError(
            f"a setting is a {type(value).__name__} ({value!r}), which JSON cannot hold"
        )

    return json.loads(json.dumps(settings, default=convert))


def refusal(saved: dict, wanted: dict) -> str:
    """Why results made with the settings ``saved`` are not those wanted; "" where they are.

    A part that could not be described (`bpttviz.provenance.specification`) is never taken for the
    same as before.
    """
    found = list(_differences(saved, plain(wanted)))
    return "; ".join(found[:6]) + (f"; and {len(found) - 6} more" if len(found) > 6 else "")


def _differences(saved: Any, wanted: Any, at: str = "") -> Iterator[str]:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        if UNDESCRIBED in wanted or UNDESCRIBED in saved:
            what = wanted.get(UNDESCRIBED, saved.get(UNDESCRIBED))
            yield (
                f"{at}: {what} cannot say what it is, so nobody knows whether it is the same as "
                'before; name it (part.provenance_name = "...", another name for each version)'
            )
            return
        for key in [*saved, *(key for key in wanted if key not in saved)]:
            where = f"{at}.{key}" if at else str(key)
            if key not in saved or key not in wanted:
                yield _difference(where, saved.get(key, _ABSENT), wanted.get(key, _ABSENT))
            else:
                yield from _differences(saved[key], wanted[key], where)
    elif isinstance(saved, list) and isinstance(wanted, list) and len(saved) == len(wanted):
        found = [
            list(_differences(one, other, f"{at}[{index}]"))
            for index, (one, other) in enumerate(zip(saved, wanted, strict=True))
        ]
        lines = [line for member in found for line in member]
        if len(lines) > 2 and UNDESCRIBED not in json.dumps([saved, wanted]):
            yield _difference(at, saved, wanted)
        else:
            yield from lines
    elif saved != wanted or type(saved) is not type(wanted):
        yield _difference(at, saved, wanted)


def _difference(at: str, saved: Any, wanted: Any) -> str:
    def short(value: Any) -> str:
        text = "absent" if value is _ABSENT else repr(value)
        return text if len(text) <= 80 else f"{text[:77]}..."

    return f"{at}: saved {short(saved)}, now {short(wanted)}"


class FolderLock:
    """While it is held no other process (and no other thread) can hold it: a context manager.

    The operating system keeps the lock (flock), so that of a process that was killed is gone with
    it; the hidden file beside the results only says who it is. Where the file system knows no locks
    (some network mounts) there is none, and nothing is said.

    Args:
        folder: made if it is not there.
        name: what of the folder is locked: all of it (""), or one result of several in a folder
            that processes share by design.
        wait: seconds to wait for another process.

    Raises:
        FolderInUse: (on entering) another holds it.
        OSError: (on entering) the folder cannot be made or written.
    """

    def __init__(self, folder: str | Path, name: str = "", wait: float = 0.0):
        self.folder, self.wait = Path(folder), wait
        self.what = f"{name} in {folder}" if name else str(folder)
        self.whole = not name
        self.file = self.folder / (f".{name}.lock" if name else ".lock")
        self._handle: int | None = None

    def __enter__(self) -> FolderLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        # A tenth of a second in any case: the lock of one that is just leaving counts as none.
        deadline = time.monotonic() + max(self.wait, 0.1)
        while not self._take():
            if time.monotonic() >= deadline:
                raise FolderInUse(
                    f"{self.what} is in use by {self._owner()}; wait for it, stop it, or choose "
                    "another folder"
                )
            time.sleep(0.02)
        if self.whole:  # nobody else writes here: what a killed process left unfinished is nobody's
            for left_behind in self.folder.glob(".*.unfinished"):
                with suppress(OSError):
                    left_behind.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        handle, self._handle = self._handle, None
        if handle is None:
            return
        with suppress(OSError):  # Windows removes no open file
            # The folder may have been removed and made anew by another, who holds a lock there.
            if _same_file(handle, self.file):
                self.file.unlink(missing_ok=True)
        os.close(handle)

    def _take(self) -> bool:
        handle = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            # Whoever held it may have removed the file after we opened it: then ours is no lock.
            if not _flock(handle) or not _same_file(handle, self.file):
                os.close(handle)
                return False
            os.ftruncate(handle, 0)
            os.write(handle, self._signature())
        except BaseException:
            with suppress(OSError):
                os.close(handle)
            raise
        self._handle = handle
        return True

    @staticmethod
    def _signature() -> bytes:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        return json.dumps(
            {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        ).encode()

    def _owner(self) -> str:
        try:
            who = json.loads(self.file.read_text(encoding="utf-8"))
            here = who["pid"] == os.getpid() and who["host"] == socket.gethostname()
            process = "this process itself" if here else f"process {who['pid']} on {who['host']}"
            return f"{process}, since {who['since']}"
        except (OSError, ValueError, TypeError, KeyError):  # just taken, or not readable for us
            return "another process"


def _flock(handle: int) -> bool:
    """Whether the lock is ours now; True as well where the file system has none to give."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the text, which others are to read
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
