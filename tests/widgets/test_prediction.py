"""The form of a prediction: in Python, and in a browser."""

import browser
import pytest
import saved_pages
from pages import Opened

import bpttviz as bv
from bpttviz.teaching.prediction import Prediction
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.lessons import _form
from bpttviz.widgets.prediction import ENTRY, PredictionForm


def test_what_is_clicked_is_stored_and_what_is_stored_is_shown():
    prediction = Prediction("end", "Where?", ("here", "there"), form=PredictionForm)
    form = prediction._form = _form(prediction)
    assert (form.answer, form.status) == ("", "no answer yet")
    form.answer = "there"  # as the browser sends it
    assert prediction.answer == "there"
    prediction.answer = "here"
    assert (form.answer, form.status) == ("here", "stored: here")


def test_what_is_no_number_is_said_and_not_stored():
    prediction = Prediction("many", "How many?", unit="Å")
    form = prediction._form = _form(prediction)
    form.answer = "many"
    assert prediction.answer is None
    assert "asks for a number" in form.status


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("1234567", "1234567"), ("0.12345678", "0.12345678"), ("2.50", "2.5"), ("1e22", "1e+22")],
)
def test_a_number_keeps_all_its_digits(typed, shown):
    prediction = Prediction("many", "How many?", unit="Å")
    form = prediction._form = _form(prediction)
    form.answer = typed
    assert (prediction.answer, form.answer) == (float(typed), shown)
    prediction.answer = 0.1 + 0.2  # in code
    assert (prediction.answer, form.answer) == (0.1 + 0.2, "0.30000000000000004")
    prediction.reveal(7.0)
    prediction.answer = 0.1 + 0.2
    assert not prediction.answered_late


def test_a_lesson_is_found_again_by_its_name():
    lesson = bv.open_lesson("test_prediction")
    assert bv.open_lesson("test_prediction") is lesson
    assert bv.open_lesson("test_prediction 2") is not lesson


PAGE = """
const told = [];
const values = {
  question: "Where <b>to</b>?", unit: "Å", answer: "", status: "no answer yet", ...given,
};
const listeners = [];
const model = { get: (name) => values[name], save_changes: () => told.push(values.answer),
                set: (name, value) => { values[name] = value; listeners.forEach((l) => l()); },
                on: (_, listener) => listeners.push(listener), off: () => {} };
m.render({ model, el: document.body });
const inputs = [...document.querySelectorAll("input")];
if (inputs[0].type === "radio") inputs[1].click();
else { inputs[0].value = "2.5"; inputs[0].dispatchEvent(new Event("change")); }
values.status = "stored";
listeners.forEach((l) => l());
return [told, inputs.map((input) => input.checked), document.querySelector("output").textContent,
        document.querySelector("legend").textContent, document.querySelectorAll("b").length];
"""


@pytest.mark.browser
@pytest.mark.parametrize(
    ("choices", "told", "checked"),
    [(["here", "there"], ["there"], [False, True]), ([], ["2.5"], [False])],
)
def test_in_a_browser(chromium, choices, told, checked):
    with browser.javascript(chromium, bundle(ENTRY)) as evaluate:
        assert evaluate(PAGE, {"choices": choices}) == [
            told, checked, "stored", "Where <b>to</b>?", 0
        ]  # fmt: skip
    assert ".bpttviz-prediction" in stylesheet(ENTRY)


@pytest.mark.browser
def test_it_is_answered_by_keyboard_alone(chromium, tmp_path):
    opened = Opened(chromium, saved_pages.PAGES["prediction"](tmp_path / "page.html"))
    press = opened.page.keyboard.press
    press("Tab")
    press("ArrowDown")
    assert opened.page.get_by_label("there").is_checked()
    skip = opened.page.get_by_role("button", name="skip: Where")
    assert skip.is_hidden()  # it is answered
    press("Tab")  # to the number
    opened.page.keyboard.type("2.5")
    press("Tab")
    assert opened.page.get_by_role("button", name="skip: How far").is_hidden()
    assert opened.errors == []
    opened.context.close()
