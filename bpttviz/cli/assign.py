"""Assignments for a class."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make the students' copies, solutions and autograders of graded assignments"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="notebooks in the format of otter assign"
    )
    parser.add_argument(
        "--seed-file",
        metavar="FILE",
        help="holds the instructor's seed; drawn if it is not there "
        "(by default instructor_seed.txt in the folder for results)",
    )


def run(choices: argparse.Namespace) -> int:
    """Writes a folder for each assignment, with what to hand out and what to keep."""
    from bpttviz.teaching.assignments.build import build_assignment, require_otter
    from bpttviz.teaching.assignments.seeds import SEED_FILE, instructor_seed

    require_otter()
    out, sources = Path(choices.out), [Path(source) for source in choices.sources]
    _require_sources(sources, out)
    seed_file = Path(choices.seed_file or out / SEED_FILE)
    seed = instructor_seed(seed_file)
    print(f"the instructor's seed is in {seed_file}: keep it, and show it to nobody")
    for source in sources:
        place = build_assignment(source, out, seed)
        print(f"{place.name}: hand out {place / 'student'}, keep {place / 'instructor'}")
    return 0


def _require_sources(sources: list[Path], out: Path) -> None:
    """Before anything is drawn or replaced: sources are there, and folders to replace are ours.

    Raises:
        ValueError: names the first of which that is not so.
    """
    for source in sources:
        if not source.is_file():
            raise ValueError(f"{source}: there is no such notebook")
        place = out / source.stem
        found = {one.name for one in place.iterdir()} if place.is_dir() else set()
        if place.exists() and found != {"student", "instructor"}:
            raise ValueError(
                f"{place} holds something else than student and instructor, and would be replaced: "
                "move it, or choose another folder"
            )
    names = [source.stem for source in sources]
    if len(set(names)) < len(names):
        raise ValueError("two of the sources have one name, and so would their folders")
