"""Files that are whole or not there: written in one move, in folders that hold one kind of result."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path


def write_in_one_move(target: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` make a new file, then put it in the old one's place in one move."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.unfinished")
    try:
        write(unfinished)
        with open(unfinished, "rb") as content:
            os.fsync(content.fileno())
        os.replace(unfinished, target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def lock_settings(out: Path, settings: dict) -> None:
    """Note the settings in ``out``, or refuse a folder that has others.

    Raises:
        ValueError: ``out`` holds other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / "settings.json"
    settings = json.loads(json.dumps(settings))
    if file.exists():
        saved = json.loads(file.read_text())
        if saved != settings:
            differing = [k for k in settings if saved.get(k) != settings[k]]
            raise ValueError(
                f"{out} holds results with other settings ({', '.join(differing)} differ); choose "
                "another folder or delete it"
            )
    else:
        write(file, json.dumps(settings, indent=1))


def write(target: Path, text: str) -> None:
    """Put a text file in place in one move, so that no reader ever finds half of it."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, target)
