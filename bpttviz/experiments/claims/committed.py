"""Rows that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bpttviz.experiments.claims.evidence import Evidence, read_rows


def committed_rows() -> list[Evidence]:
    """All rows that the package's own files hold."""
    return stored_rows()


def shelf() -> Path:
    """Where rows of the studies stand, a file a run."""
    return Path(str(files("bpttviz") / "experiments" / "stored" / "claims"))


def stored_rows() -> list[Evidence]:
    """What `bpttviz reproduce --run` gave and was kept."""
    return [row for file in sorted(shelf().glob("*.jsonl")) for row in read_rows(file, file.name)]
