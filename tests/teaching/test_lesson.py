"""Lessons: predictions, reveals and checks, without any widget."""

import subprocess
import sys

import pytest

from bpttviz.teaching import lesson as lessons
from bpttviz.teaching.lesson import Lesson

TERMINAL = """
import sys
sys.modules["anywidget"] = sys.modules["ipywidgets"] = None  # as if they were not installed
import bpttviz as bv
lesson = bv.open_lesson("terminal")
lesson.predict("end", "Where does it end?", ("here", "there"))
lesson["end"].answer = "here"
lesson.reveal("end", "there", "0.3 Å")
assert bv.open_lesson("terminal") is lesson
"""


class Form:
    """What a notebook would show; remembers what it was told."""

    def __init__(self, prediction):
        self.answers = [prediction.answer]

    def update_from(self, prediction):
        self.answers.append(prediction.answer)


@pytest.fixture
def shown(monkeypatch):
    """What is displayed in a notebook."""
    displayed = []
    monkeypatch.setattr(lessons, "get_ipython", lambda: type("Shell", (), {"kernel": object()})())
    monkeypatch.setattr(lessons, "display", lambda what, **_: displayed.append(what))
    return displayed


def test_in_a_terminal_nothing_of_widgets_is_needed():
    done = subprocess.run(
        [sys.executable, "-c", TERMINAL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Where does it end? [here / there] no answer yet" in done.stdout
    assert "end: there (0.3 Å). You predicted here. What made you expect that?" in done.stdout


def test_in_a_notebook_the_form_given_is_shown_and_kept_up_to_date(shown):
    lesson = Lesson("a", form=Form)
    lesson.predict("end", "Where?", ("here", "there"))
    form = shown[-1]
    assert isinstance(form, Form)
    lesson.predict("end", "Where?", ("here", "there"), answer="there")  # the cell again
    assert shown[-1] is form
    assert form.answers == [None, "there"]
    lesson.predict("end", "Whither?", ("here", "there"))  # another question begins anew
    assert shown[-1] is not form


def test_without_a_form_there_are_words_alone(shown):
    Lesson("a").predict("end", "Where?", ("here", "there"))
    assert [type(what) for what in shown] == [dict]


def test_answers_are_checked_and_judged(capsys):
    lesson = Lesson("a")
    lesson.predict("many", "How many?", unit="Å", within=0.1)
    with pytest.raises(ValueError, match="asks for a number, got 'x'"):
        lesson["many"].answer = "x"
    lesson["many"].answer = "2.1"
    lesson.reveal("many", 2.0)
    assert lesson["many"].right
    lesson["many"].answer = 4
    assert "too high by 2 Å" in lesson["many"].verdict()
    assert "after the reveal" in lesson["many"].verdict()
    with pytest.raises(KeyError, match="no prediction 'x' in this lesson; there are: 'many'"):
        lesson["x"]
    with pytest.raises(AssertionError, match="'it is so' does not hold here"):
        lesson.check("it is so", False)
    lesson.check("it is not so", True, "0.1 Å")
    lesson.summary()
    assert "1 of 2 claims hold; 0 right of 1 predictions made" in capsys.readouterr().out
