"""The fine-tuned potentials that come with the package, by name."""

from __future__ import annotations

import os
import warnings
from importlib.resources import files
from pathlib import Path

from bpttviz.training.checkpoint import FILE

CARD = "README.md"


def shelf() -> Path:
    """Where they stand."""
    return Path(str(files("bpttviz") / "training" / "shipped_runs"))


def shipped_runs() -> tuple[str, ...]:
    """Names that `bpttviz.load_run` takes: "si-defects/chgnet"."""
    found = shelf().rglob(FILE)
    return tuple(sorted(file.parent.relative_to(shelf()).as_posix() for file in found))


def shipped_folder(name: str) -> Path | None:
    """The folder of a shipped run; None where there is none of that name.

    Warns where the name is also that of a folder of one's own with a run in it.
    """
    if name not in shipped_runs():
        return None
    if (Path(name) / FILE).exists():
        warnings.warn(
            f"{name!r} is the run of that name that comes with bpttviz. There is also a run in a "
            f"folder called so: for that one write {os.path.join('.', name)!r}",
            stacklevel=4,
        )
    return shelf() / name


def card_of(folder: Path) -> str:
    """What is to be known of a run (Markdown): its own card, or that of the shelf it stands on."""
    for place in (folder, folder.parent):
        if (place / CARD).is_file() and place.is_relative_to(shelf()):
            return (place / CARD).read_text(encoding="utf-8")
    return ""
