"""`Provenance`: where a committed number comes from."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpttviz
from bpttviz._files import read_json, write_atomic


@dataclass(frozen=True)
class Provenance:
    """Where a row or a table comes from.

    Attributes:
        command: that makes it again.
        commit: of this package; its version where there is no checkout.
        data: fingerprint of the relaxations that it was measured on.
        seed: of the training; None where nothing is drawn.
        machine: class of the machine: processor and threads.
        seconds: of the processor, in the call that made it: what was shared with other rows, or
            done before the call was resumed, is not in it. None: not recorded.
        source: the committed file that it was read from.
    """

    command: str
    commit: str = ""
    data: str = ""
    seed: int | None = None
    machine: str = ""
    seconds: float | None = None
    source: str = ""


def commit_here() -> str:
    """The commit of the checkout that the package is in, or its version; "+" where it differs."""
    package = Path(bpttviz.__file__)
    root = package.parents[1]
    try:
        subprocess.run(  # or the checkout around it is somebody else's
            ["git", "-C", str(root), "ls-files", "--error-unmatch", str(package)],
            capture_output=True,
            check=True,
        )
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no", "bpttviz"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return f"version {bpttviz.__version__}"
    return found + ("+" if changed.strip() else "")


def add_note(file: Path, what: str, note: dict[str, Any]) -> None:
    """Put a note under a key of a JSON file, beside those that are there; lock it before."""
    known = read_json(file) if file.exists() else {}
    known[what] = note
    write_atomic(file, json.dumps(known, indent=1, ensure_ascii=False) + "\n")
