"""Assignments as an instructor meets them: made by one command, handed out, collected, graded."""

import csv
import importlib.util
import json
import os
import time
import warnings
import zipfile
from pathlib import Path

import pytest
from submissions import MISTAKES, a_class, mistaken, with_cell

from bpttviz.cli.main import main
from bpttviz.teaching.assignments.grade import GRADED, Limits, find_submissions, grade_folder
from bpttviz.teaching.assignments.seeds import SEED_FILE, instructor_seed

SOURCES = Path(__file__).parents[2] / "notebooks" / "assignments"
CLASS = int(os.environ.get("BPTTVIZ_CLASS", "5"))  # submissions an assignment; 40 on demand


# It lives on only where the network is unreachable.
CALLS_HOME = """
import errno, os, socket
unreachable = False
try:
    socket.create_connection(("192.0.2.1", 80), 5)
except OSError as error:
    unreachable = error.errno == errno.ENETUNREACH
if not unreachable:
    os._exit(1)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of A1 and A2, made by the command."""
    if importlib.util.find_spec("otter") is None:
        message = "no otter-grader here: NO ASSIGNMENT IS MADE OR GRADED"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message + " (CI must have it: the extra test)")
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    out = tmp_path_factory.mktemp("assignments")
    assert (
        main(["assign", *(str(SOURCES / f"{n}.ipynb") for n in ("A1", "A2")), "--out", str(out)])
        == 0
    )
    return out


def check_class(name, made, folder, out):
    expected = a_class(name, made / name, folder, CLASS)
    began = time.monotonic()
    grades = grade_folder(folder, made / name / "instructor" / "autograder.zip", out)
    took = time.monotonic() - began
    print(f"{name}: {len(grades)} submissions graded offline in {took:.0f} s")
    for found in grades:
        assert found.status == GRADED, found.reason
        full = {key: of for key, (_, of) in found.questions.items()}
        assert sum(full.values()) == 20
        lost = {key: of - got for key, (got, of) in found.questions.items() if of > got}
        wanted = expected[found.submission]
        assert lost == (full if wanted is None else wanted), found
        assert found.offline, "this machine lets no process leave the network"
    return grades


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A1", "A2"])
def test_every_submission_gets_what_it_should(name, made, tmp_path):
    grades = check_class(name, made, tmp_path / "in", tmp_path / "out")
    with (tmp_path / "out" / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(grades) == CLASS
    assert rows[0]["points (of 20)"] == "20"
    assert rows[0]["points for words"] == ""
    assert rows[-1]["words"].startswith("_Type your answer here")
    told = (tmp_path / "out" / "feedback" / f"{grades[1].submission}.txt").read_text()
    assert "assert" not in told
    assert f"{grades[1].points:g} points" in told


@pytest.mark.slow
def test_a3_trains_and_is_graded(made, tmp_path):
    assert main(["assign", str(SOURCES / "A3.ipynb"), "--out", str(made)]) == 0
    assert not (made / "A3" / "student" / "withheld_ends.extxyz").exists()
    files = {file.name for file in (made / "A3" / "student").iterdir()}
    assert files == {"A3.ipynb", "challenge_training.extxyz", "challenge_starts.extxyz"}
    # the solution got all points while it was made
    (replacements, losses) = MISTAKES["A3"]["three_at_once"]
    (tmp_path / "in").mkdir()
    solution = made / "A3" / "instructor" / "A3_solution.ipynb"
    mistaken(solution, replacements, tmp_path / "in" / "wrong.ipynb")
    student = (made / "A3" / "student" / "A3.ipynb").read_bytes()
    (tmp_path / "in" / "empty.ipynb").write_bytes(student)
    archive = made / "A3" / "instructor" / "autograder.zip"
    empty, wrong = grade_folder(tmp_path / "in", archive, tmp_path / "out")
    assert (empty.status, wrong.status) == (GRADED, GRADED), (empty.reason, wrong.reason)
    assert empty.points == 0
    assert sum(of for _, of in wrong.questions.values()) == 20
    lost = {key: of - got for key, (got, of) in wrong.questions.items() if of > got}
    assert lost == losses


@pytest.mark.slow
def test_a_broken_submission_has_a_row_and_ends_no_other(made, tmp_path):
    folder = tmp_path / "in"
    (folder / "a student").mkdir(parents=True)
    solution = made / "A1" / "instructor" / "A1_solution.ipynb"
    with_cell(solution, "import os; os._exit(1)", folder / "dies.ipynb")
    with_cell(solution, "1 / 0", folder / "raises.ipynb")
    with_cell(solution, CALLS_HOME, folder / "a student" / "calls home.ipynb")
    (folder / "no notebook.ipynb").write_text("Dear instructor,")
    archive = made / "A1" / "instructor" / "autograder.zip"
    found = {g.submission: g for g in grade_folder(folder, archive, tmp_path / "out")}
    assert found["dies"].status == "crashed"
    assert "died" in found["dies"].reason.lower()
    assert found["no notebook"].status == "unreadable"
    for name in ("raises", "a student__calls home"):
        assert (found[name].status, found[name].points) == (GRADED, 20)
    # the same again runs nothing anew but what was not graded
    told = []
    grade_folder(folder, archive, tmp_path / "out", Limits(seconds=3), say=told.append)
    assert any("raises: graded" in line for line in told)
    assert any("dies: time limit" in line or "dies: crashed" in line for line in told)


@pytest.mark.slow
def test_an_endless_loop_is_ended(made, tmp_path):
    solution = made / "A1" / "instructor" / "A1_solution.ipynb"
    (tmp_path / "in").mkdir()
    with_cell(solution, "while True:\n    pass", tmp_path / "in" / "loop.ipynb")
    archive = made / "A1" / "instructor" / "autograder.zip"
    (found,) = grade_folder(tmp_path / "in", archive, tmp_path / "out", Limits(seconds=20))
    assert found.status == "time limit"
    assert found.seconds < 60


@pytest.mark.slow
def test_a_students_copy_needs_bpttviz_alone_and_tells_nothing(made):
    seed = (made / SEED_FILE).read_text().strip()
    for name in ("A1", "A2"):
        text = (made / name / "student" / f"{name}.ipynb").read_text(encoding="utf-8")
        for never in ("import otter", "grader.", "SOLUTION", "hidden_draws", "def test_", seed):
            assert never not in text
        cells = json.loads(text)["cells"]
        assert not any(cell.get("outputs") for cell in cells)
        with zipfile.ZipFile(made / name / "instructor" / "autograder.zip") as archive:
            assert any(file.endswith(SEED_FILE) for file in archive.namelist())


def test_a_seed_is_drawn_once_and_a_short_one_refused(tmp_path):
    file = tmp_path / "course" / SEED_FILE
    assert instructor_seed(file) == instructor_seed(file)
    assert len(instructor_seed(file)) == 32
    file.write_text("2027\n")
    with pytest.raises(ValueError, match="could be guessed"):
        instructor_seed(file)


def test_checkpoints_are_no_submissions(tmp_path):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "a.ipynb").write_text("{}")
    with pytest.raises(FileNotFoundError, match="no notebooks"):
        find_submissions(tmp_path)


@pytest.mark.parametrize("name", ["A1", "A2", "A3"])
def test_sources_have_no_outputs(name):
    cells = json.loads((SOURCES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
