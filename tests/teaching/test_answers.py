"""What a class answered: from exported files to histograms, and the command that makes them."""

import json

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


def test_the_picture_has_words(folder):
    picture = bv.read_answers(folder).picture("a valley")
    assert "end: here: 2, there: 3, nowhere: 0, no answer: 1; measured: there." in picture.alt_text
    assert len(picture.png()) > 5000


def test_the_command_writes_table_text_and_picture(folder, tmp_path, capsys):
    assert main(["answers", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert "a valley: 6 students" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "answers.csv", "answers.txt", "a_valley.png",
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


def test_what_is_wrong_with_a_file_is_said(folder, tmp_path):
    (folder / "0.json").write_text(json.dumps({"lesson": "a"}))
    with pytest.raises(ValueError, match=r"0.json does not hold the answers of a lesson"):
        bv.read_answers(folder)
    with pytest.raises(FileNotFoundError, match="there are no answers"):
        bv.read_answers(tmp_path / "none")
    (folder / "0.json").unlink()
    with pytest.raises(KeyError, match="no answers to 'x'"):
        bv.read_answers(folder).histogram("a valley", "x")
