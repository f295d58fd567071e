"""What a class answered."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

HELP = "count what a class answered: histograms of predictions, mistakes in exercises"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "folder", type=Path, metavar="ANSWERS", help="folder of files from lesson.export"
    )


def run(choices: argparse.Namespace) -> int:
    """Writes answers.csv, answers.txt and a picture a lesson."""
    from bpttviz._files import write_atomic
    from bpttviz.evaluation.tables import to_csv
    from bpttviz.teaching.answers import COLUMNS, read_answers

    answers = read_answers(choices.folder)
    out = Path(choices.out)
    out.mkdir(parents=True, exist_ok=True)
    known = answers.table.astype(object).where(answers.table.notna(), "")
    rows = (dict(zip(COLUMNS, line, strict=True)) for line in known.to_numpy().tolist())
    write_atomic(out / "answers.csv", to_csv(rows, COLUMNS))
    write_atomic(out / "answers.txt", f"{answers}\n")
    for lesson in answers.lessons:
        if "prediction" in set(answers.table.loc[answers.table["lesson"] == lesson, "kind"]):
            name = re.sub(r"[^\w-]+", "_", lesson).strip("_") or "lesson"
            write_atomic(out / f"{name}.png", answers.picture(lesson).png())
    print(answers)
    return 0
