"""What a class answered: from exported files to histograms, and the command that makes them."""

import json

import numpy as np
import pytest

import bpttviz as bv
from bpttviz.cli.main import main
from bpttviz.evaluation.tables import read_csv
from bpttviz.teaching.exercise import Exercise, Mistake
from bpttviz.teaching.lesson import Lesson

HALF = Exercise("half", 0.5, [Mistake("double", "The other way.", 2.0)])


@pytest.fixture
def folder(tmp_path, capsys):
    """Six students: two wrong, one late, one skipped."""
    answers = ["here", "here", "there", "there", None, "there"]
    for number, answer in enumerate(answers):
        lesson = Lesson("a valley")
        lesson.predict("end", "Where?", ("here", "there", "nowhere"), answer=answer)
        lesson.predict("many", "How many?", unit="Å", answer=1.0 + number)
        if answer is None:
            lesson["end"].skip()
        lesson.reveal("end", "there")
        lesson.reveal("many", 2.0)
        lesson.attempt(HALF, (0.5, 2.0, 7.0, ..., 0.5, 0.5)[number])
        lesson.export(tmp_path / "class" / f"{number}.json", student=f"s{number}" * (number > 0))
    capsys.readouterr()
    return tmp_path / "class"


def test_answers_are_counted(folder):
    answers = bv.read_answers(folder)
    assert answers.lessons == ["a valley"]
    assert answers.histogram("a valley", "end") == {
        "here": 2, "there": 3, "nowhere": 0, "no answer": 1,
    }  # fmt: skip
    many = answers.histogram("a valley", "many")
    assert sum(many.values()) == 6
    assert answers.histogram("a valley", "half") == {
        "right": 3, "mistake: double": 1, "wrong": 1, "untried": 1,
    }  # fmt: skip
    assert set(answers.table["student"]) == {"0", "s1", "s2", "s3", "s4", "s5"}
    assert "there        3  ###  ← measured" in str(answers)


def write(file, answer, measured=100.4, choices=(), lesson="a walk", **changed):
    """One student's answers as exported, to one question."""
    asked = {"choices": list(choices), "answer": answer, "measured": measured, "right": False}
    exported = {"lesson": lesson, "student": "", "predictions": {"many": asked | changed},
                "exercises": {}, "checks": {}}  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(exported))
    return exported


@pytest.mark.parametrize(
    "given",
    [
        [100.0, 100.0, 100.1, 101.0],
        [1e6, 1e6 + 1, 1e6 + 1, 5.0],
        [0.1, np.nextafter(0.1, 1), 0.1],
        [-1.7e308, 1.7e308, 0.0],
        [3.0, 3.0],
    ],
)
def test_every_number_is_counted_once(tmp_path, given):
    for number, answer in enumerate(given):
        write(tmp_path / f"{number}.json", answer, measured=given[0])
    answers = bv.read_answers(tmp_path)
    assert sum(answers.histogram("a walk", "many").values()) == len(given)
    answers.picture("a walk")
    assert "a walk" in str(answers)


def test_ranges_have_the_digits_that_tell_them_apart(tmp_path):
    for number, answer in enumerate([100.0, 100.0, 100.1, 101.0]):
        write(tmp_path / f"{number}.json", answer)
    answers = bv.read_answers(tmp_path)
    ranges = answers.histogram("a walk", "many")
    assert list(ranges.values()) == [3, 0, 0, 0, 0, 1]
    assert next(iter(ranges)) == "100 to 100.2"
    assert "100.3 to 100.5    0    ← measured" in str(answers)


def test_what_is_no_number_is_counted_too(tmp_path):
    for number, answer in enumerate([1.0, 2.0, "many", float("inf"), None]):
        write(tmp_path / f"{number}.json", answer)
    found = bv.read_answers(tmp_path).histogram("a walk", "many")
    assert (found["no number"], found["no answer"], sum(found.values())) == (2, 1, 5)
    for number, answer in enumerate(["far", "near", 3.0]):  # and in a choice all are words
        write(tmp_path / f"{number}.json", answer, 3.0, ["far", "near"], lesson="b")
    answers = bv.read_answers(tmp_path)
    assert answers.histogram("b", "many") == {"far": 1, "near": 1, "3.0": 1}
    assert "measured" not in str(answers).split("b: 3 students")[1]


def test_a_folder_for_each_student_tells_them_apart(tmp_path):
    for name in ("ana", "ben", "eva", ".ipynb_checkpoints"):
        write(tmp_path / name / "foggy_valley.json", 1.0)
    answers = bv.read_answers(tmp_path)
    assert list(answers.table["student"]) == [
        "ana/foggy_valley", "ben/foggy_valley", "eva/foggy_valley",
    ]  # fmt: skip
    assert "a walk: 3 students" in str(answers)


def test_a_file_of_which_something_is_missing_or_strange_is_named(tmp_path):
    whole = write(tmp_path / "a.json", 1.0)
    asked = whole["predictions"]["many"]
    without = {key: value for key, value in asked.items() if key != "choices"}
    for strange in (
        {"predictions": {"many": without}},
        {"predictions": {"many": asked | {"choices": None}}},
        {"predictions": {"many": asked | {"answer": 10**400}}},
        {"predictions": {"many": asked | {"measured": [1]}}},
        {"student": ["a"]},
        {"lesson": None},
        {"exercises": {"half": {"outcome": [], "mistake": ""}}},
    ):
        (tmp_path / "a.json").write_text(json.dumps(whole | strange))
        with pytest.raises(ValueError, match=r"a\.json does not hold the answers of a lesson"):
            bv.read_answers(tmp_path)


def test_the_picture_has_words(folder):
    picture = bv.read_answers(folder).picture("a valley")
    assert "end: here: 2, there: 3, nowhere: 0, no answer: 1; measured: there." in picture.alt_text
    assert len(picture.png()) > 5000


def test_the_command_writes_table_text_and_picture(folder, tmp_path, capsys):
    assert main(["answers", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "a valley: 6 students" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "answers.csv", "answers.txt", "a_valley.png", "settings.json",
    }  # fmt: skip


def test_no_cell_of_the_commands_table_is_a_formula(folder, tmp_path):
    file = json.loads((folder / "0.json").read_text())
    file["student"] = "=1+1"
    (folder / "0.json").write_text(json.dumps(file))
    assert main(["answers", str(folder), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "answers.csv").read_text()
    assert ",'=1+1," in text
    assert ",=1+1," not in text
    assert "nan" not in text
    students = {row["student"] for row in read_csv(tmp_path / "out" / "answers.csv")}
    assert students == {"=1+1", "s1", "s2", "s3", "s4", "s5"}


def test_lessons_have_a_picture_each_whatever_their_names(tmp_path, capsys):
    names = ["foggy valley", "foggy_valley", "Foggy_Valley", "l" * 300, "…"]
    for number, lesson in enumerate(names):
        write(tmp_path / "in" / f"{number}.json", 1.0, lesson=lesson)
    out = tmp_path / "out"
    assert main(["answers", str(tmp_path / "in"), "--out", str(out)]) == 0
    pictures = {path.name for path in out.glob("*.png")}
    assert len(pictures) == len(names)
    assert {"foggy_valley.png", "foggy_valley_.png", "Foggy_Valley__.png", "lesson.png"} < pictures


def test_the_command_replaces_its_own_files_alone(folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "answers.csv").write_text("mine")
    line = ["answers", str(folder), "--out"]
    assert main([*line, str(out)]) == 1
    assert "answers.csv is there already" in capsys.readouterr().err
    assert (out / "answers.csv").read_text() == "mine"
    (out / "answers.csv").unlink()
    assert main([*line, str(out)]) == main([*line, str(out)]) == 0
    assert main([*line, str(folder / "out")]) == 1
    assert "lies in the folder of answers" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_what_is_wrong_with_a_file_is_said(folder, tmp_path):
    (folder / "0.json").write_text(json.dumps({"lesson": "a"}))
    with pytest.raises(ValueError, match=r"0.json does not hold the answers of a lesson"):
        bv.read_answers(folder)
    with pytest.raises(FileNotFoundError, match="there are no answers"):
        bv.read_answers(tmp_path / "none")
    (folder / "0.json").unlink()
    with pytest.raises(KeyError, match="no answers to 'x'"):
        bv.read_answers(folder).histogram("a valley", "x")
