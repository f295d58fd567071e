"""What a class answered."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from bpttviz.cli.options import file_stems

HELP = "count what a class answered: histograms of predictions, mistakes in exercises"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "folder", type=Path, metavar="ANSWERS", help="folder of files from lesson.export"
    )


def run(choices: argparse.Namespace) -> int:
    """Writes answers.csv, answers.txt and a picture a lesson, in place of an earlier call's.

    Raises:
        ValueError: --out lies in the folder of answers, or holds somebody's files of these names.
    """
    from bpttviz._files import FolderLock, lock_settings, write_atomic
    from bpttviz.evaluation.tables import to_csv
    from bpttviz.teaching.answers import COLUMNS, read_answers

    out = Path(choices.out)
    if out.resolve().is_relative_to(choices.folder.resolve()):
        raise ValueError(
            f"--out {out} lies in the folder of answers, where all files are read as answers; "
            "choose another folder"
        )
    answers = read_answers(choices.folder)
    known = answers.table.astype(object).where(answers.table.notna(), "")
    rows = [dict(zip(COLUMNS, line, strict=True)) for line in known.to_numpy().tolist()]
    asked = set(answers.table.loc[answers.table["kind"] == "prediction", "lesson"])
    pictures = _picture_files([lesson for lesson in answers.lessons if lesson in asked])
    with FolderLock(out):
        writes = ("answers.csv", "answers.txt", *pictures.values())
        lock_settings(out, {"command": "answers"}, writes)
        write_atomic(out / "answers.csv", to_csv(rows, COLUMNS))
        write_atomic(out / "answers.txt", f"{answers}\n")
        for lesson, file in pictures.items():
            write_atomic(out / file, answers.picture(lesson).png())
    print(answers)
    return 0


def _picture_files(lessons: list[str]) -> dict[str, str]:
    """Lesson → its picture's file: letters, digits, "-" and "_" alone, and no two the same."""
    plain = {name: re.sub(r"[^\w-]+", "_", name).strip("_") or "lesson" for name in lessons}
    taken: list[str] = []
    for name, stem in plain.items():
        plain[name] = file_stems([stem], taken)[stem]
        taken.append(plain[name])
    return {name: f"{stem}.png" for name, stem in plain.items()}
