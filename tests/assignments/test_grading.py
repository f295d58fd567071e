"""Assignments as an instructor meets them: made by one command, handed out, collected, graded."""

import csv
import importlib.util
import io
import json
import os
import sys
import time
import warnings
import zipfile
from pathlib import Path

import nbformat
import pytest
from submissions import MISTAKES, a_class, mistaken, with_cell

from bpttviz.cli.main import main
from bpttviz.teaching.assignments.grade import (
    Limits,
    _graded_before,
    _Job,
    grade_folder,
    grade_one,
)
from bpttviz.teaching.assignments.gradebook import (
    GRADED,
    Grade,
    as_csv,
    look_at,
    table_rows,
    write_grades,
)
from bpttviz.teaching.assignments.isolation import may_be_covered
from bpttviz.teaching.assignments.seeds import SEED_FILE, instructor_seed
from bpttviz.teaching.assignments.submissions import (
    UnreadableSubmission,
    find_submissions,
    prepare,
)

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


# It lives on only where nothing of the instructor's can be read.
SPIES = """
from pathlib import Path
for place in (".", "..", {made!r}):
    for name in ("instructor_seed.txt", "q1.py", "A1_solution" + ".ipynb", "auto" + "grader.zip"):
        assert not list(Path(place).rglob(name)), (place, name)
"""


# It lives on only where nothing but its own folder can be written, and exit() ends a cell alone.
WRITES = """
import os
import bpttviz
open("own", "w").close()
try:
    open(bpttviz.__file__, "a").close()
except OSError:
    exit()
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
        assert found.isolated, "this machine makes no namespaces"
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
    with_cell(solution, "import os; os.kill(-1, 9)", folder / "kills.ipynb")
    with_cell(solution, "1 / 0", folder / "raises.ipynb")
    with_cell(solution, "while True:\n    pass", folder / "loop.ipynb")
    with_cell(solution, CALLS_HOME, folder / "a student" / "calls home.ipynb")
    with_cell(solution, WRITES, folder / "writes.ipynb")
    with_cell(solution, SPIES.format(made=str(made)), folder / "spies.ipynb")
    (folder / "no notebook.ipynb").write_text("Dear instructor,")
    (folder / "link.ipynb").symlink_to(folder / "nothing")
    archive, told = made / "A1" / "instructor" / "autograder.zip", []
    found = {
        g.submission: g
        for g in grade_folder(folder, archive, tmp_path / "out", Limits(75), say=told.append)
    }
    assert found["kills"].status == "crashed"
    assert found["no notebook"].reason.startswith("not a notebook")
    assert found["link"].reason.startswith("the file cannot be read")
    for name in ("raises", "loop", "spies", "writes", "a student__calls home"):
        assert (found[name].status, found[name].points) == (GRADED, 20), found[name]
    assert found["raises"].errors == (
        "the cell `1 / 0` stops: ZeroDivisionError: division by zero",
    )
    assert "took too long" in found["loop"].errors[0]
    assert found["spies"].errors == ()
    assert found["writes"].errors == ("the cell `import os` stops: SystemExit",)
    assert found["spies"].unusual == ("instructor_seed", "_solution", "import pathlib")
    assert found["kills"].unusual == ("import os",)
    # the same again runs nothing anew but what was not graded
    again = grade_folder(folder, archive, tmp_path / "out", Limits(seconds=1), say=told.append)
    assert {g.submission for g in again if g.seconds > 0 and g.status != GRADED} == {"kills"}
    assert any("loop: graded, 20 points, as before" in line for line in told)


@pytest.mark.slow
def test_an_endless_function_costs_its_own_question(made, tmp_path):
    (tmp_path / "in").mkdir()
    solution = made / "A1" / "instructor" / "A1_solution.ipynb"
    endless = [("return x + eta * -k * (x - s)", "while True:\n        pass")]
    mistaken(solution, endless, tmp_path / "in" / "ana.ipynb")
    archive = made / "A1" / "instructor" / "autograder.zip"
    (found,) = grade_folder(tmp_path / "in", archive, tmp_path / "out", Limits(seconds=90))
    assert (found.status, found.questions["q1"][0], found.points) == (GRADED, 0, 18), found
    assert found.out_of_time
    assert any("it does not end" in remark for remark in found.remarks)
    # with more time it might, so it is tried again
    (one,), _ = find_submissions(tmp_path / "in")
    kept = tmp_path / "out" / "results"
    for seconds, before in ((89, found), (91, None)):
        job = _Job(archive.read_bytes(), kept, Limits(seconds), (), tmp_path)
        assert _graded_before(one, job) == before


@pytest.mark.slow
def test_what_is_missing_is_named(made, tmp_path):
    (tmp_path / "in").mkdir()
    notebook = nbformat.read(made / "A1" / "instructor" / "A1_solution.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("def end(", "def ende(")
        if "def backward(" in cell.source:
            cell.source = "def backward(df_dx, df_dtheta, eta, last):\n    ..."
    nbformat.write(notebook, tmp_path / "in" / "ana.ipynb")
    archive = made / "A1" / "instructor" / "autograder.zip"
    (found,) = grade_folder(tmp_path / "in", archive, tmp_path / "out")
    said = "\n".join(found.remarks)
    assert "there is no `end` in the notebook" in said
    assert "`backward` not answered" in said


def test_another_assignments_autograder_and_what_is_none_are_refused(made, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ipynb").write_text("no notebook")
    one, other = (made / name / "instructor" / "autograder.zip" for name in ("A1", "A2"))
    grade_folder(tmp_path / "in", one, tmp_path / "out")
    table = (tmp_path / "out" / "grades.csv").read_bytes()
    with pytest.raises(ValueError, match=r"other settings \(assignment: saved 'A1', now 'A2'"):
        grade_folder(tmp_path / "in", other, tmp_path / "out")
    for none in (made / "A1" / "instructor" / "A1_solution.ipynb", tmp_path / "empty.zip"):
        zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
        with pytest.raises(ValueError, match=f"{none.name} is no autograder"):
            grade_folder(tmp_path / "in", none, tmp_path / "out")
    assert (tmp_path / "out" / "grades.csv").read_bytes() == table


@pytest.mark.slow
def test_an_answer_counts_wherever_it_was_written(made, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    notebook = nbformat.read(made / "A1" / "instructor" / "A1_solution.ipynb", as_version=4)
    (step,) = [cell for cell in notebook.cells if "def step(" in cell.source]
    right, step.source = step.source, "step = ...  # below"
    notebook.cells.insert(notebook.cells.index(step) + 1, nbformat.v4.new_code_cell(right))
    notebook.metadata = {"kernelspec": {"name": "somebodys", "display_name": "elsewhere"}}
    (folder / "A1.ipynb").write_bytes(nbformat.writes(notebook).replace("\n", "\r\n").encode())
    archive = made / "A1" / "instructor" / "autograder.zip"
    (found,) = grade_folder(folder, archive, tmp_path / "out")
    assert (found.status, found.points) == (GRADED, 20), found


def test_an_endless_submission_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/bin/sh")
    monkeypatch.setattr("bpttviz.teaching.assignments.grade.WORKER", ("-c", "sleep 60"))
    autograder = tmp_path / "autograder.zip"
    with zipfile.ZipFile(autograder, "w") as archive:
        archive.writestr("otter_config.json", '{"assignment_name": "A1"}')
    content = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]))
    found = grade_one("a", content.encode(), autograder.read_bytes(), Limits(seconds=1))
    assert found.status == "time limit"
    assert 1 <= found.seconds < 30


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


def test_names_differ_and_archives_are_opened(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.ipynb").write_text("{}")
    (tmp_path / "a__b.IPYNB").write_text("{}")
    with zipfile.ZipFile(tmp_path / "Žofie.zip", "w") as archive:
        archive.writestr("in/A1.ipynb", "{}")
        archive.writestr("/abs/x.ipynb", "{}")
        archive.writestr("c:\\y.ipynb", "{}")
        archive.writestr("__MACOSX/in/._A1.ipynb", "")
    (tmp_path / "broken.zip").write_text("none")
    (tmp_path / "essay.pdf").write_text("")
    found, others = find_submissions(tmp_path)
    names = [one.name for one in found]
    inside = ["Žofie__in__A1", "Žofie__abs__x", "Žofie__c:__y"]  # all names of files in one folder
    assert names == ["a__b", "a__b (2)", "broken", *inside]
    assert found[2].problem.startswith("the archive cannot be opened")
    assert [file.name for file in others] == ["essay.pdf"]


def test_odd_names_and_damaged_archives_are_rows(tmp_path):
    notebook = '{"cells": [], "nbformat": 4}'
    (tmp_path / "A1.ipynb.txt").write_text(notebook)
    (tmp_path / "no ending").write_text(notebook)
    (tmp_path / "list.json").write_text('{"names": []}')
    (tmp_path / ".ipynb").write_text(notebook)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.ipynb")).write_text(notebook)
    with zipfile.ZipFile(tmp_path / "half.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bad.ipynb", notebook * 200)
        archive.writestr("good.ipynb", notebook)
    damaged = bytearray((tmp_path / "half.zip").read_bytes())
    damaged[40:60] = b"\xff" * 20  # compressed bytes of the first
    (tmp_path / "half.zip").write_bytes(damaged)
    found, others = find_submissions(tmp_path)
    problems = {one.name: one.problem for one in found}
    expected = {".ipynb", "A1.ipynb", "no ending", "M�ller", "half__bad", "half__good"}
    assert set(problems) == expected
    assert problems.pop("half__bad").startswith("it cannot be unpacked from its archive")
    assert not any(problems.values())
    assert [file.name for file in others] == ["list.json"]


def test_a_folder_is_asked_for(tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"a\.ipynb: a file, and a folder is asked for"):
        find_submissions(tmp_path / "a.ipynb")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        find_submissions(tmp_path / "nowhere")


@pytest.mark.parametrize("tagged", [True, False])
def test_words_are_found_with_and_without_their_tags(tagged):
    words = nbformat.v4.new_markdown_cell("Because.")
    words.metadata["tags"] = ["otter_answer_cell"] if tagged else []
    cells = [
        nbformat.v4.new_markdown_cell("A text of the course."),
        nbformat.v4.new_code_cell("1"),
        nbformat.v4.new_markdown_cell("<!-- BEGIN QUESTION -->\n\n### In words"),
        words,
        nbformat.v4.new_markdown_cell("<!-- END QUESTION -->"),
        nbformat.v4.new_markdown_cell("The end."),
    ]
    text = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
    found = prepare(text.encode(), "A1").words
    assert found == (("Because.",) if tagged else ("### In words", "Because."))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b'{"cells": [{"cell_ty', "breaks off"),
        (b"%PDF", "not a notebook"),
        (b"[1]", "no notebook"),
        (b'{"nbformat": 4}', "no notebook"),
        (b'{"nbformat": 4, "cells": []}', "without a code cell"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "1"}], '
         b'"metadata": {"otter": {"assignment_name": "A2"}}}', "this is A2"),
    ],
)  # fmt: skip
def test_what_cannot_be_graded_says_why(content, said):
    with pytest.raises(UnreadableSubmission, match=said):
        prepare(content, "A1")


def test_what_others_programs_write_is_brought_into_one_form():
    cell = {"cell_type": "code", "source": ["x = 1\r\n", "y = 2"], "outputs": ["much"]}
    text = json.dumps({"nbformat": 4, "nbformat_minor": 2, "cells": [cell]})
    kept = prepare(text.encode("utf-16"), "A1")
    assert kept.notebook.cells[0].source == "x = 1\ny = 2"
    assert kept.notebook.cells[0].outputs == []
    assert prepare(b"\xef\xbb\xbf" + text.encode(), "A1").code == kept.code
    nbformat.validate(kept.notebook)


def test_copies_and_unusual_code_are_to_be_looked_at():
    same = {"status": GRADED, "questions": {"q1": (1.0, 1.0)}, "fingerprint": "f"}
    ana, ben = Grade("ana", **same), Grade("ben", **same, unusual=("os.kill",))
    empty = Grade("eva", GRADED, questions={"q1": (0.0, 1.0)}, fingerprint="f")
    assert look_at(ana, [ana, ben]) == "same code as ben"
    assert look_at(ben, [ana, ben]) == "uses os.kill; same code as ana"
    assert look_at(empty, [ana, ben, empty]) == ""  # empty copies are no news


def test_what_was_not_graded_has_no_points_in_the_table():
    of = {"q1": (2.0, 2.0), "q2": (0.0, 3.0)}
    grades = [Grade("Žofie", GRADED, questions=of), Grade("ben", "crashed", "it ended")]
    rows = list(csv.reader(as_csv(*table_rows(grades)).splitlines()))
    assert rows[0][:5] == ["submission", "status", "points (of 5)", "q1 (of 2)", "q2 (of 3)"]
    assert rows[1][:5] == ["Žofie", "graded", "2", "2", "0"]
    assert rows[2][:5] == ["ben", "crashed", "", "", ""]


def with_points(out, points, separator=",", encoding="utf-8-sig"):
    """A spreadsheet saves the table, with points for words in it."""
    file = out / "grades.csv"
    rows = list(csv.reader(file.read_text(encoding="utf-8-sig").splitlines()))
    for row in rows[1:]:
        row[rows[0].index("points for words")] = points.get(row[0], "")
    lines = (separator.join(f'"{cell}"' for cell in row) for row in rows)
    file.write_bytes("\r\n".join(lines).encode(encoding))


def points_in(out):
    rows = csv.DictReader((out / "grades.csv").read_text(encoding="utf-8-sig").splitlines())
    return {row["submission"]: row["points for words"] for row in rows}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_points_for_words_are_kept_when_the_table_is_written_again(tmp_path, separator, encoding):
    grades = [Grade("Žofie", GRADED), Grade("-ben", GRADED)]
    write_grades(tmp_path, grades)
    assert points_in(tmp_path) == {"Žofie": "", "'-ben": ""}
    with_points(tmp_path, {"Žofie": "3.5", "'-ben": "2,5"}, separator, encoding)
    write_grades(tmp_path, [*grades, Grade("late", GRADED)])
    assert points_in(tmp_path) == {"Žofie": "3.5", "'-ben": "2,5", "late": ""}
    assert {place.name for place in tmp_path.iterdir()} == {"grades.csv", "results"}


def edited(out, name, **cells):
    """An instructor changes cells of a row, and a spreadsheet saves the table."""
    file = out / "grades.csv"
    heads, *rows = csv.reader(file.read_text(encoding="utf-8-sig").splitlines())
    for row in rows:
        if row[0] == name:
            for head, cell in cells.items():
                row[next(i for i, found in enumerate(heads) if found.startswith(head))] = cell
    file.write_text(as_csv(heads, rows))


def row_of(out, name):
    rows = csv.DictReader((out / "grades.csv").read_text(encoding="utf-8-sig").splitlines())
    return next(row for row in rows if row["submission"] == name)


def test_a_correction_stays_until_what_it_corrects_is_computed_anew(tmp_path):
    ana = Grade("ana", GRADED, questions={"q1": (0.0, 4.0)}, remarks=("q1: not the end",))
    write_grades(tmp_path, [ana])
    edited(tmp_path, "ana", q1="2", points="2,0", reason="half right")
    told = []
    for _ in range(2):  # also when it is written again and again
        write_grades(tmp_path, [ana, Grade("ben", GRADED)], told.append)
        row = row_of(tmp_path, "ana")
        assert (row["q1 (of 4)"], row["points (of 4)"], row["reason"]) == ("2", "2,0", "half right")
    assert told == []
    better = Grade("ana", GRADED, questions={"q1": (4.0, 4.0)})
    write_grades(tmp_path, [better], told.append)
    assert row_of(tmp_path, "ana")["q1 (of 4)"] == "4"
    assert "your corrections of ana, points (of 4); ana, q1 (of 4); ana, reason" in told[0]
    assert "half right" in (tmp_path / "grades_before_1.csv").read_text()


def test_points_for_words_that_have_changed_are_told(tmp_path):
    write_grades(tmp_path, [Grade("ana", GRADED, words=("Because.",))])
    edited(tmp_path, "ana", **{"points for words": "3"})
    told = []
    write_grades(tmp_path, [Grade("ana", GRADED, words=("Because.\n",))], told.append)
    assert told == []
    write_grades(tmp_path, [Grade("ana", GRADED, words=("",))], told.append)
    assert told == ["ana has other words than those you gave 3 for: look again"]
    assert points_in(tmp_path) == {"ana": "3"}


def test_a_number_that_lost_its_zeros_is_still_the_student(tmp_path):
    write_grades(tmp_path, [Grade("00123", GRADED)])
    edited(tmp_path, "00123", submission="123", **{"points for words": "3"})
    told = []
    write_grades(tmp_path, [Grade("00123", GRADED)], told.append)
    assert (points_in(tmp_path), told) == ({"00123": "3"}, [])


def test_long_words_are_no_reason_not_to_read_the_table(tmp_path):
    for _ in range(2):
        write_grades(tmp_path, [Grade("ana", GRADED, words=("x" * 200_000,))])


def test_a_table_that_cannot_be_read_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.setattr("bpttviz.teaching.assignments.grade.require_otter", lambda: None)
    (tmp_path / "a.zip").write_bytes(b"")
    file = tmp_path / "grades.csv"
    heads = "submission,points for words\n"
    for content in (b"\xff\xfe1", "Žofie,3".encode(), f"{heads}a,1\na,2\n".encode()):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"grades.csv .*(cannot be read|two rows for a)"):
            write_grades(tmp_path, [Grade("Žofie", GRADED)])
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "a.ipynb").write_text("{}")
        with pytest.raises(ValueError, match=r"grades.csv"):  # before anything is graded
            grade_folder(tmp_path / "in", tmp_path / "a.zip", tmp_path)
        assert file.read_bytes() == content
        assert not (tmp_path / "results").exists()


def test_what_the_new_table_has_no_place_for_stays_in_the_one_of_before(tmp_path):
    write_grades(tmp_path, [Grade("ana", GRADED), Grade("ben", GRADED)])
    with_points(tmp_path, {"ana": "3"})
    told = []
    write_grades(tmp_path, [Grade("ben", GRADED)], told.append)
    assert points_in(tmp_path) == {"ben": ""}
    assert "points for the words of ana" in told[0]
    assert '"ana"' in (tmp_path / "grades_before_1.csv").read_text()
    file = tmp_path / "grades.csv"
    file.write_text(file.read_text().replace("look at", "look at,my note"))
    write_grades(tmp_path, [Grade("ben", GRADED)], told.append)
    assert "your columns my note" in told[1]
    assert "my note" in (tmp_path / "grades_before_2.csv").read_text()


@pytest.mark.parametrize("cell", ["=1", "+1", "@a", "-2+3+cmd|' /C calc'!A0", "\t=1", "\r=1", "-a"])
def test_no_cell_is_a_formula(cell):
    written = as_csv(*table_rows([Grade(cell, GRADED, cell, words=(cell,))]))
    rows = list(csv.reader(io.StringIO(written)))
    assert rows[1][0] == rows[1][4] == rows[1][6] == "'" + cell.replace("\r", "\n")


def test_what_grading_needs_is_never_covered(tmp_path):
    assert may_be_covered(tmp_path / "in") is False  # not there
    assert may_be_covered(tmp_path)
    assert not may_be_covered(Path(sys.prefix))


def test_checkpoints_are_no_submissions(tmp_path):
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "a.ipynb").write_text("{}")
    with pytest.raises(FileNotFoundError, match="no notebooks"):
        find_submissions(tmp_path)


@pytest.mark.parametrize("name", ["A1", "A2", "A3"])
def test_sources_have_no_outputs(name):
    cells = json.loads((SOURCES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
