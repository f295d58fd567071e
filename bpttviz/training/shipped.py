"""The fine-tuned potentials that come with the package, by name."""

from __future__ import annotations

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
    """The folder of a shipped run; None where there is none of that name."""
    return shelf() / name if name in shipped_runs() else None


def card_of(folder: Path) -> str:
    """What is to be known of a run (Markdown): its own card, or that of the shelf it stands on."""
    for place in (folder, folder.parent):
        if (place / CARD).is_file() and place.is_relative_to(shelf()):
            return (place / CARD).read_text(encoding="utf-8")
    return ""
