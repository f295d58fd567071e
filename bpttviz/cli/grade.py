"""Points for a class."""

from __future__ import annotations

import argparse
from pathlib import Path

from bpttviz.cli.options import positive, require_ours, whole

HELP = "grade a folder of submitted assignments into a table, offline"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("submissions", help="folder of submitted notebooks, one each")
    parser.add_argument(
        "--autograder", required=True, metavar="ZIP", help="instructor/autograder.zip of `assign`"
    )
    parser.add_argument(
        "--time-limit", type=positive, default=600, help="seconds for one submission"
    )
    parser.add_argument("--memory", type=positive, default=4, help="GB for one process")
    parser.add_argument("--workers", type=whole, default=1, help="submissions at a time")


def run(choices: argparse.Namespace) -> int:
    """Writes grades.csv, and a feedback file for each submission; 1 if some were not graded."""
    from bpttviz.teaching.assignments.grade import Limits, grade_folder
    from bpttviz.teaching.assignments.gradebook import GRADED

    require_ours(Path(choices.out), ("grades.csv", "feedback"), "results")
    grades = grade_folder(
        Path(choices.submissions),
        Path(choices.autograder),
        Path(choices.out),
        Limits(choices.time_limit, choices.memory),
        choices.workers,
    )
    return 0 if all(found.status == GRADED for found in grades) else 1
