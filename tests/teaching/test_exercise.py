"""Verdicts on answers: right, a mistake that is known, or what can be seen of the numbers."""

import numpy as np
import pytest
import torch

from bpttviz.teaching.exercise import Exercise, Mistake, values

LENGTH = Exercise(
    "length",
    right=lambda v: (v**2).sum() ** 0.5,
    trials=[(torch.tensor([3.0, 4.0]),), (torch.tensor([1.0, 0.0]),)],
    mistakes=[
        Mistake("no root", "That is its square.", lambda v: (v**2).sum()),
        Mistake("breaks", "Never.", lambda v: v.no_such_thing),
    ],
    praise="As Pythagoras has it.",
)
NUMBER = Exercise("ends", 0.25, [Mistake("inverse", "The other way round.", 4.0)], unit="Å")


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (lambda v: v.norm(), "right", "Right. As Pythagoras has it."),
        (lambda v: v @ v, "mistake", "That is its square."),
        (lambda v: -v.norm(), "wrong", "The size is right, the sign is not."),
        (lambda v: 2 * v.norm(), "wrong", "It is 2 times what it should be"),
        (lambda v: v, "wrong", "It has 2 numbers, 1 are asked for."),
        (lambda v: v.sum() / 0, "wrong", "not finite"),
        (lambda v: v.sum(), "wrong", "off by up to 40 %"),
        (lambda v: 1 / 0, "error", "ZeroDivisionError"),
        (lambda: 1, "error", "TypeError"),
        (lambda v: "long", "wrong", "Not yet."),
        (lambda v: {"a": 1}, "error", "numbers are asked for, got dict"),
        (lambda v: None, "untried", "Not tried yet."),
        (lambda v: print(v), "wrong", "is its return missing?"),
        (..., "untried", "Not tried yet."),
        (5.0, "wrong", "A function is asked for"),
    ],
)
def test_functions_are_judged_by_what_they_return(answer, outcome, words):
    verdict = LENGTH.judge(answer)
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert verdict.mistake == ("no root" if outcome == "mistake" else "")


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (0.25, "right", "Right."),
        (np.float32(0.25), "right", "Right."),
        (torch.tensor(4), "mistake", "The other way round."),
        (-0.25, "wrong", "the sign is not"),
        (0.5, "wrong", "It is 2 times what it should be (you: 0.5 Å)."),
        (0.25001, "wrong", "off by up to 0.004 %"),
        ("?", "untried", ""),
        (float("nan"), "wrong", "not finite"),
    ],
)
def test_numbers_are_judged_by_their_value(answer, outcome, words):
    verdict = NUMBER.judge(answer)
    assert verdict.outcome == outcome
    assert words in verdict.sentence


def test_what_a_function_is_tried_on_is_not_its_to_change():
    def doubled(v):
        v *= 2
        return v

    exercise = Exercise(
        "twice", lambda v: 2 * v, [Mistake("once", "Twice.", lambda v: v)],
        trials=[(np.array([1.0, 2.0]),), (np.array([3.0]),)],
    )  # fmt: skip
    for _ in range(2):
        assert exercise.judge(doubled).outcome == "right"
        assert exercise.judge(lambda v: v).mistake == "once"
    halved = Exercise("half", lambda v: v / 2, exercise.mistakes, exercise.trials)
    assert halved.judge(doubled).sentence.startswith("Not yet. It is 4 times")
    in_place = Mistake("doubled", "No.", doubled)
    assert Exercise("half", halved.right, [in_place], exercise.trials).judge(doubled).mistake


def test_a_mistake_that_divides_by_zero_is_known_by_where():
    exercise = Exercise(
        "sum", lambda v: v.sum(0), [Mistake("mean", "No mean.", lambda v: v.mean(0))],
        trials=[(torch.ones(2, 2),), (torch.ones(0, 2),)],
    )  # fmt: skip
    assert exercise.judge(lambda v: v.mean(0)).mistake == "mean"
    assert exercise.judge(lambda v: v.sum(0) / 0).outcome == "wrong"


@pytest.mark.parametrize("answer", ["0.25", "a quarter", np.str_("0.25")])
def test_who_gives_text_for_a_number_is_told_so(answer):
    about = Exercise("about", 0.25, accepts=lambda x: 0 < x < 1)
    tested = Exercise("tested", 0.25, [Mistake("m", "No.", when=lambda x: x > 1)])
    for exercise in (NUMBER, about, tested):
        found = exercise.judge(answer)
        assert (found.outcome, found.sentence) == (
            "wrong", "A number is asked for, without quotation marks.",
        )  # fmt: skip
    assert "without quotation marks" in LENGTH.judge(lambda v: answer).sentence


def test_where_several_answers_are_right_a_test_decides():
    exercise = Exercise(
        "step", 0.3, accepts=lambda x: 0 < x < 1,
        mistakes=[Mistake("too long", "Beyond the limit.", when=lambda x: x >= 1)],
    )  # fmt: skip
    assert [exercise.judge(x).outcome for x in (0.3, 0.9, 1.5, -1)] == [
        "right", "right", "mistake", "wrong",
    ]  # fmt: skip


def test_words_are_compared_as_words():
    exercise = Exercise("which", "vacancy", [Mistake("other", "Look again.", "interstitial")])
    assert exercise.judge(" Vacancy ").outcome == "right"
    assert exercise.judge("interstitial").mistake == "other"
    assert exercise.judge(3.0).sentence == "A word is asked for, in quotation marks."


def test_numbers_are_found_in_whatever_holds_them():
    nested = [torch.ones(2), (np.array([[2.0]]), 3)]
    assert values(nested).tolist() == [1, 1, 2, 3]
