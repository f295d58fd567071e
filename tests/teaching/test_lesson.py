"""Lessons: predictions, reveals and checks, without any widget."""

import subprocess
import sys

import pytest

from bpttviz.teaching import prediction as predictions
from bpttviz.teaching import show
from bpttviz.teaching.exercise import Exercise, Mistake
from bpttviz.teaching.lesson import GOES_ON, Lesson

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
    shell = type("Shell", (), {"kernel": object()})()
    monkeypatch.setattr(show, "get_ipython", lambda: shell)

    class Handle:
        update = staticmethod(lambda what, raw: displayed.append(("replaced", what)))

    def display(what, **_):
        displayed.append(what)
        return Handle()

    for module in (show, predictions):
        monkeypatch.setattr(module, "display", display)
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
    lesson.predict("share", "Which?", unit="%", answer=50)
    lesson.reveal("share", 40.0)
    assert lesson["share"].verdict().endswith("too high by 10 percentage points.")
    with pytest.raises(
        KeyError, match="no prediction 'x' in this lesson; there are: 'many', 'share'"
    ):
        lesson["x"]
    with pytest.raises(AssertionError, match="'it is so' does not hold here"):
        lesson.check("it is so", False)
    lesson.check("it is not so", True, "0.1 Å")
    lesson.summary()
    assert "1 of 2 claims hold; 0 of 2 predictions right" in capsys.readouterr().out


def test_a_reveal_waits_for_an_answer_and_then_replaces_itself(shown):
    lesson = Lesson("a")
    lesson.predict("end", "Where?", ("here", "there"))
    lesson.reveal("end", "there", "0.3 Å")
    waiting = shown[-1]
    assert "there" not in waiting["text/plain"]
    assert "<details><summary" in waiting["text/html"], "folded: opening it is a skip"
    assert "waits for your prediction" in waiting["text/html"]
    lesson["end"].answer = "here"
    kind, now = shown[-1]
    assert kind == "replaced"
    assert now["text/plain"].endswith(
        "end: there (0.3 Å). You predicted here. What made you expect that?"
    )
    assert "after the reveal" not in now["text/plain"]
    lesson["end"].answer = "there"  # having seen it
    assert "You predicted there, after the reveal: right." in shown[-1][1]["text/plain"]


def test_a_skip_shows_the_result_without_a_reproach(shown):
    lesson = Lesson("a")
    lesson.predict("end", "Where?", ("here", "there"))
    lesson.reveal("end", "there")
    lesson["end"].skip()
    assert shown[-1][1]["text/plain"] == "end: there. Skipped."
    lesson.predict("many", "How many?")
    lesson["many"].skip()  # before anything was measured
    lesson.reveal("many", 2)
    assert shown[-1]["text/plain"] == "many: 2. Skipped."


def test_a_terminal_says_what_is_waited_for(capsys):
    lesson = Lesson("a")
    lesson.predict("end", "Where?", ("here", "there"))
    lesson.reveal("end", "there")
    assert capsys.readouterr().out.endswith("waits for your prediction, or for skip()\n")
    lesson["end"].skip()
    assert capsys.readouterr().out == "end: there. Skipped.\n"


def test_an_attempt_is_answered_and_the_notebook_goes_on_with_what_is_right(capsys):
    mistake = Mistake("no factor", "That is x.", lambda x: x)
    exercise = Exercise("double", lambda x: 2 * x, [mistake], trials=[(3.0,)])
    lesson = Lesson("a")

    def mine(x):
        return x + x

    assert lesson.attempt(exercise, lambda x: None) is exercise.right
    assert lesson.attempt(exercise, lambda x: x) is exercise.right
    assert lesson.attempt(exercise, mine) is mine
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"· double: Yours. Not tried yet. {GOES_ON}",
        f"✗ double: Not yet. That is x. {GOES_ON}",
        "✓ double: Right.",
    ]  # fmt: skip
    lesson.summary()
    assert "1 of 1 exercises solved" in capsys.readouterr().out


def test_pictures_in_a_lessons_text_follow_the_theme_from_its_beginning(shown):
    Lesson("a").begin()
    [style] = shown
    assert 'data-jp-theme-light="false"' in style["text/html"]
    assert '.jp-RenderedMarkdown :is(img[src*="/pictures/0"]' in style["text/html"]


def test_cost_is_counted_from_the_beginning_of_the_lesson():
    lesson = Lesson("a")
    lesson.begin()
    lesson.check_cost(60, gigabytes=64)
    with pytest.raises(AssertionError, match="no more than promised"):
        lesson.check_cost(0, gigabytes=64)


def test_a_list_is_text_in_a_terminal_and_html_in_a_notebook(capsys, monkeypatch):
    show.bullets(["a < b", "c"])
    assert capsys.readouterr().out == "• a < b\n• c\n"
    shown = []
    monkeypatch.setattr(show, "get_ipython", lambda: object())
    monkeypatch.setattr(show, "display", lambda bundle, raw: shown.append(bundle))
    show.bullets(["a < b"])
    assert shown == [{"text/html": "<ul><li>a &lt; b</li></ul>", "text/plain": "• a < b"}]
