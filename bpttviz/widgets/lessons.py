"""Lessons whose predictions are answered in forms; in a terminal they are words alone."""

from __future__ import annotations

from bpttviz._checks import text
from bpttviz.teaching.lesson import Lesson
from bpttviz.teaching.prediction import Prediction, PredictionView

_open: dict[str, Lesson] = {}


def open_lesson(name: str) -> Lesson:
    """The lesson of that name in this process, with the answers given so far.

    Raises:
        TypeError: the name is no string.
    """
    text("name", name)
    return _open.setdefault(name, Lesson(name, form=_form))


def _form(prediction: Prediction) -> PredictionView:
    # Only a notebook shows forms: a terminal needs nothing of anywidget.
    from bpttviz.widgets.prediction import PredictionForm

    return PredictionForm(prediction)
