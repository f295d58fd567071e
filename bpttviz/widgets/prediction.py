"""The form in which a reader answers a prediction."""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets

from bpttviz.teaching.prediction import Prediction
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.static import described

ENTRY = "prediction/index.js"


class PredictionForm(anywidget.AnyWidget):
    """Buttons (arrow keys choose) or a field for one `Prediction`, which it keeps up to date.

    Args:
        prediction: what is asked.

    Attributes:
        question, choices, unit: what is asked (traits, as all that follow).
        answer: as text; "" for none yet.
        skipped: whether the result is to be shown without an answer.
        status: what is stored, or what is wrong with the answer.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(ENTRY)

    question = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    answer = traitlets.Unicode().tag(sync=True)
    skipped = traitlets.Bool(False).tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)

    def __init__(self, prediction: Prediction):
        super().__init__(
            question=prediction.question, choices=list(prediction.choices), unit=prediction.unit
        )
        self._prediction = prediction
        self.update_from(prediction)
        self.observe(self._answered, "answer")
        self.observe(self._skipped, "skipped")

    def update_from(self, prediction: Prediction) -> None:
        """Show the prediction's answer."""
        answer = prediction.answer
        words = "" if answer is None else prediction.format_answer(answer)
        missing = "skipped" if prediction.skipped else "no answer yet"
        self.status = f"stored: {words}" if words else missing
        self.skipped = prediction.skipped
        # Every digit, as what stands here is stored; format_answer rounds for reading.
        typed = repr(answer).removesuffix(".0") if isinstance(answer, float) else answer
        self.answer = "" if typed is None else typed

    def _answered(self, change: dict) -> None:
        try:
            self._prediction.answer = change["new"]
        except ValueError as error:  # something typed that is no number
            self.status = str(error)

    def _skipped(self, change: dict) -> None:
        if change["new"] and not self._prediction.skipped:
            self._prediction.skip()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        return described(super()._repr_mimebundle_(**kwargs), self)

    def __repr__(self) -> str:
        return f"({self.status})"
