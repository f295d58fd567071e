"""From one source to a student's copy, a solution and an autograder.

A source is a notebook in the format of otter-grader's `otter assign`. What the instructor's seed
decides is added here: the seed itself for hidden tests, and the challenge of A3. Otter runs in a
process of its own, and grades the solution before anything is handed out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat

from bpttviz._files import write_atomic
from bpttviz.teaching.assignments.challenge import write_challenge
from bpttviz.teaching.assignments.kernels import SKIP_GRAMMAR, quick_kernels
from bpttviz.teaching.assignments.seeds import INSTRUCTOR_ONLY, SEED_FILE

NEVER_FOR_STUDENTS = (
    "import otter",
    "otter.Notebook",
    "grader.check",
    "ipywidgets",
    "hidden_draws",
)

# What a seed adds to an assignment beside the seed itself.
PREPARE: dict[str, Callable[[str, Path], None]] = {"A3": write_challenge}


class AssignmentError(RuntimeError):
    """An assignment that cannot be made; nothing of it is to be handed out."""


def require_otter() -> None:
    """Nothing of this goes without otter-grader.

    Raises:
        AssignmentError: it is not installed.
    """
    if importlib.util.find_spec("otter") is None:
        raise AssignmentError(
            "assignments are made and graded with otter-grader, which is not installed here: "
            "pip install -c constraints.txt -e '.[grading]'"
        )


def build_assignment(source: Path, out: Path, seed: str) -> Path:
    """Make the folder ``out/NAME`` of an assignment, NAME being that of its source.

    Two folders are in it: ``student``, to be handed out, and ``instructor``, to be kept: the
    solution, and ``autograder.zip``, which holds the seed.

    Args:
        source: a notebook; data files beside it that its configuration names come along.
        out: where assignments lie. A folder of this name in it is replaced.
        seed: the instructor's.

    Raises:
        AssignmentError: otter is missing or refuses, the solution does not get all points, or a
            student's copy would hold what students are not to have.
    """
    require_otter()
    name = source.stem
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for file in source.parent.iterdir():
            if file == source or file.suffix in (".csv", ".txt"):
                shutil.copy(file, work)
        write_atomic(work / SEED_FILE, seed + "\n")
        if name in PREPARE:
            PREPARE[name](seed, work)
        _otter_assign(work / source.name, work / "dist")
        (work / "made").mkdir()
        student = _student_copy(work / "dist" / "student", work / "made", source.name, seed)
        keep = work / "made" / "instructor"
        keep.mkdir()
        made = work / "dist" / "autograder"
        shutil.copy(made / source.name, keep / f"{name}_solution.ipynb")
        (archive,) = made.glob("*.zip")
        shutil.copy(archive, keep / "autograder.zip")
        place = out / name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(student.parent, place)
    return place


def _otter_assign(source: Path, result: Path) -> None:
    """Run `otter assign`, which grades the solution too.

    Raises:
        AssignmentError: it fails; its last lines say why.
    """
    program = f"{SKIP_GRAMMAR}; from otter.cli import cli; cli()"
    command = [sys.executable, "-c", program, "assign", "--no-pdfs", str(source), str(result)]
    settings = source.parent / "ipython"
    quick_kernels(settings)
    environment = {**os.environ, "IPYTHONDIR": str(settings), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=source.parent, env=environment
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise AssignmentError(f"otter assign refuses {source.name}:\n{said}")


def _student_copy(made: Path, place: Path, notebook: str, seed: str) -> Path:
    """The folder to hand out: the notebook without otter's own entries, and its data.

    Raises:
        AssignmentError: it holds what only the instructor may have.
    """
    student = place / "student"
    shutil.copytree(made, student)
    for secret in INSTRUCTOR_ONLY:
        if (student / secret).exists():
            raise AssignmentError(f"{secret} is among the students' files")
    copy = nbformat.read(student / notebook, as_version=4)
    kept = copy.metadata.get("otter", {}).get("assignment_name")
    copy.metadata["otter"] = {"assignment_name": kept}
    text = json.dumps(copy)
    for never in (*NEVER_FOR_STUDENTS, seed):
        if never in text:
            raise AssignmentError(f"the student's copy of {notebook} holds {never!r}")
    nbformat.write(copy, student / notebook)
    return student
