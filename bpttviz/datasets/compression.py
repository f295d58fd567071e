"""Compressed files, unpacked piece by piece and never beyond a limit. Without torch."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from bpttviz.datasets.labels import DataError

OPENERS: dict[str, Callable[..., io.BufferedIOBase]] = {
    ".xz": lzma.LZMAFile,
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
}

# What reading a damaged file raises.
DAMAGED = (OSError, EOFError, lzma.LZMAError, zlib.error)

# Bytes. Relaxations of thousands of atoms stay below; a file that unpacks to more was made to fill
# a disk, and so was one that packs better than any numbers do (they shrink 3 to 20 times).
MAX_UNPACKED = 500_000_000
MAX_RATIO = 200
ALWAYS = 20_000_000  # that much is never refused
PIECE = 1 << 20


def is_compressed(path: Path) -> bool:
    """Whether the name ends in .xz, .gz or .bz2."""
    return path.suffix.lower() in OPENERS


def pieces(path: Path, limit: int | None = None) -> Iterator[bytes]:
    """The content of a compressed file, a megabyte at a time.

    Args:
        path: the file.
        limit: bytes; by default `MAX_UNPACKED`, or `MAX_RATIO` times the file's size if that is
            less (but at least `ALWAYS`).

    Raises:
        DataError: more than ``limit`` bytes, or a file packed twice.
        `DAMAGED`: damaged content.
    """
    if is_compressed(path.with_suffix("")):
        raise DataError(f"{path} is compressed twice: unpack it once by hand")
    if limit is None:
        limit = min(MAX_UNPACKED, max(ALWAYS, MAX_RATIO * path.stat().st_size))
    total = 0
    with OPENERS[path.suffix.lower()](path, "rb") as packed:
        while piece := packed.read(PIECE):
            total += len(piece)
            if total > limit:
                raise DataError(
                    f"{path} ({path.stat().st_size / 1e6:.2g} MB) unpacks to more than "
                    f"{limit / 1e6:.0f} MB, the most that is read from a compressed file; if it "
                    "really holds a relaxation, unpack it by hand"
                )
            yield piece


def decompressed(path: Path) -> io.StringIO:
    """The text of an xz file of the generator or of `bpttviz.datasets.pack`, whole.

    ASE's reader seeks to and fro, and in a compressed stream every step back starts over.

    Raises:
        DataError: see `pieces`.
    """
    return io.StringIO(b"".join(pieces(path)).decode())
