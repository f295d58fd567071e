"""What a student is told at once: solutions pass, typical mistakes are named."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase.build import bulk

import bpttviz as bv
from bpttviz.teaching.assignments import a1, a2, a3, hidden
from bpttviz.teaching.assignments import challenge as challenges
from bpttviz.teaching.assignments.checks import NOT_YET, PASSED, verdict
from bpttviz.teaching.assignments.seeds import SEED_FILE
from bpttviz.teaching.code_errors import NO_RETURN

SOURCES = Path(__file__).parents[2] / "notebooks" / "assignments"


def solution(name: str) -> dict:
    """What the solution cells of a source define, without the challenge and what is stored."""
    cells = json.loads((SOURCES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict = {}
    inside = False
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "raw":
            inside = text.startswith("# BEGIN SOLUTION")
        elif cell["cell_type"] == "code" and (inside or "import numpy" in text[:200]):
            if "train(" in text:
                continue
            text = text.partition("found = judge(table)")[0]
            exec(text.replace("challenge = load_challenge()", ""), names)
    return names


RIGHT = {name: solution(name) for name in ("A1", "A2", "A3")}


def way_back(order, early=False):
    """A gradient of A1 that collects in this order."""

    def gradient(x0, eta, k, s, steps, target):
        path = RIGHT["A1"]["relax"](x0, eta, k, s, steps)
        sensitivity, by_k, by_s = 2 * (path[-1] - target), 0.0, 0.0
        for t in order:
            sensitivity *= 1 - eta * k if early else 1
            by_k += sensitivity * -eta * (path[t] - s)
            by_s += sensitivity * eta * k
            sensitivity *= 1 if early else 1 - eta * k
        return by_k, by_s

    return gradient


MISTAKES = [
    (a1.check_step, [lambda x, eta, k, s: x + eta * k * (x - s)], "uphill"),
    (a1.check_step, [lambda x, eta, k, s: -k * (x - s)], "give back the force"),
    (a1.check_step, [lambda x, eta, k, s: x - k * (x - s)], "eta is missing"),
    (a1.check_relax, [lambda x, eta, k, s, n: RIGHT["A1"]["relax"](x, eta, k, s, n)[1:]], "start"),
    (a1.check_end, [lambda x, eta, k, s, n: (1 - eta * k) ** n * (x - s), None], "three dots"),
    (a1.check_end, [RIGHT["A1"]["end"], lambda k: 1 / k], "single step arrives"),
    (a1.check_gradient, [lambda *a: tuple(-g for g in RIGHT["A1"]["gradient"](*a))], "sign"),
    (a1.check_gradient, [lambda *a: tuple(g / 2 for g in RIGHT["A1"]["gradient"](*a))], "factor 2"),
    (a1.check_gradient, [lambda *a: 1.0], "two numbers"),
    (a1.check_gradient, [way_back(range(4))], "first step to the last"),
    (a1.check_gradient, [way_back(range(3, 0, -1))], "t = 0"),
    (a1.check_gradient, [way_back(range(3, -1, -1), early=True)], "too early"),
    (a1.check_end, [lambda x, eta, k, s, n: (1 - eta * k) ** n * x, lambda k: 2 / k], "to 0"),
    (
        a1.check_backward,
        [lambda s, d, eta, last: eta * last * sum(d)],
        "sensitivity never changes",
    ),
    (a1.check_relax, [lambda x, *a: (RIGHT["A1"]["relax"](x, *a), x)], "a tuple of 2"),
    (
        a1.check_end,
        [lambda x, eta, k, s, n: s + (1 - n * eta * k) * (x - s), lambda k: 2 / k],
        "multiply",
    ),
    (a1.check_end, [RIGHT["A1"]["end"], lambda k: k / 2], "upside down"),
    (
        a1.check_gradient,
        [lambda x, e, k, *a: RIGHT["A1"]["gradient"](x, e, k, *a) * np.array([1, 1 / e])],
        "eta is missing in dL/ds",
    ),
    (
        a1.check_backward,
        [lambda fx, ft, eta, last: RIGHT["A1"]["backward"](fx - 1 / eta, ft, eta, last)],
        "stands in the step twice",
    ),
    (
        a1.check_backward,
        [lambda fx, ft, eta, last: RIGHT["A1"]["backward"](-fx, ft, eta, last)],
        "the sign in the factor",
    ),
    (
        a1.check_stiffness,
        [lambda eta: 1 / eta, {"a": True, "b": False, "c": True, "d": ...}],
        "not answered yet",
    ),
    (a1.check_stiffness, [lambda eta: 1 / eta, dict.fromkeys("abcd", True)], "think again about b"),
    (a2.check_changes, [lambda b, a: np.log10(a / b)], "base 10"),
    (a2.check_changes, [lambda b, a: np.log(b / a)], "exchanged"),
    (a2.check_sign_test, [lambda c: RIGHT["A2"]["sign_test"](c) / 2], "one-sided"),
    (a2.check_interval, [lambda c, g: RIGHT["A2"]["interval"](c, range(len(c)))], "witnesses"),
    (a2.check_verdict, [lambda end, force: "paradox"], "below zero"),
    (a2.check_falsify, [dict.fromkeys("abcd", True)], "think again about b"),
    (a3.check_sweep, [lambda *a: RIGHT["A3"]["sweep"](*a).T], "exchanged"),
    (a3.check_growth, [lambda eta, mu, k: abs(1 - eta * k), None], "three dots"),
    (
        a3.check_growth,
        [lambda eta, mu, k: abs(1 - eta * k), lambda mu, k: 1],
        "momentum is missing",
    ),
    (a3.check_estimate, [-1.0], "positive"),
]


@pytest.mark.parametrize(("question", "answers", "named"), MISTAKES)
def test_a_mistake_is_named(question, answers, named):
    assert named in verdict(question, *answers)


@pytest.mark.parametrize("name", ["A1", "A2", "A3"])
def test_what_is_not_answered_is_no_mistake(name, capsys):
    assignment = bv.open_assignment(name)
    for key in assignment.questions:
        assignment.check(key, ...)
    assert not any(assignment.passed.values())
    assert capsys.readouterr().out.count(NOT_YET) == len(assignment.questions)


# What it is called there, question by question.
ASKED = {
    "A1": {"1": "step", "2": "relax", "3": "end largest_step", "4": "gradient", "5": "backward",
           "6": "best_stiffness statements"},
    "A2": {"1": "log_changes", "2": "sign_test", "3": "interval", "4": "verdict", "5": "judge",
           "6": "statements"},
    "A3": {"1": "sweep", "2": "growth largest_step", "3": "same_end"},
}  # fmt: skip
EVERYTHING = [(name, key) for name, questions in ASKED.items() for key in questions]


def hidden_tests(name: str, key: str) -> list:
    """The hidden tests of a question, each as it is run when a submission is graded."""
    cells = json.loads((SOURCES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    found, inside = [], False
    for cell in cells:
        text = "".join(cell["source"])
        inside = text.startswith(f"# BEGIN QUESTION\nname: q{key}") or (
            inside and "# END QUESTION" not in text
        )
        if inside and cell["cell_type"] == "code" and "\ndef test_" in text:
            names: dict = {}
            exec(text, names)
            found += [test for kind, test in names.items() if kind.startswith("test_")]
    assert found
    return [one for one in found if one.__name__ != "test_stored_table"]


def failures(name: str, key: str, answers: dict) -> list[str]:
    """The hidden tests of a question that these answers do not pass."""

    def body(test):
        asked = test.__code__.co_varnames[: test.__code__.co_argcount]
        return SimpleNamespace(call_func=lambda names: test(*(names[one] for one in asked)))

    tests = hidden_tests(name, key)
    return [one.__name__ for one in tests if hidden._failure(body(one), answers, 20) is not None]


@pytest.fixture
def graded(tmp_path, monkeypatch):
    """A folder as hidden tests have it, with a challenge that nobody had to draw."""
    (tmp_path / SEED_FILE).write_text("0123456789abcdef\n")
    monkeypatch.chdir(tmp_path)
    cell = bulk("Si", cubic=True)
    references = bv.RelaxationDataset(
        bv.ReferenceRelaxation.from_ase(f"r{number}", [cell, cell])
        for number in range(11)  # of which no part is a whole number of quarters
    )
    challenge = SimpleNamespace(training=references)
    monkeypatch.setattr(challenges, "load_challenge", lambda: challenge)
    monkeypatch.setattr(a3, "load_challenge", lambda: challenge)


def test_solutions_pass_all_public_checks(graded, capsys):
    for name, key in EVERYTHING:
        if (name, key) != ("A2", "5"):  # asked about the stored table
            assignment = bv.open_assignment(name)
            assignment.check(key, *(RIGHT[name][answer] for answer in ASKED[name][key].split()))
            assert assignment.passed[key], capsys.readouterr().out
    said = capsys.readouterr().out
    assert PASSED in said
    assert "all passed" not in said.lower()


@pytest.mark.parametrize(("name", "key"), EVERYTHING)
def test_solutions_pass_all_hidden_tests(name, key, graded):
    assert failures(name, key, RIGHT[name]) == []


def all_at_once(df_dx, df_dtheta, eta, last):
    factors = 1 + eta * df_dx
    passed = np.concatenate([np.cumprod(factors[::-1])[::-1][1:], [1.0]])
    return last * eta * np.sum(passed * df_dtheta)


def back_in_place(df_dx, df_dtheta, eta, last):
    df_dx *= eta
    df_dx += 1
    for t in reversed(range(len(df_dx))):
        df_dtheta[t] *= eta * last
        last *= df_dx[t]
    return df_dtheta.sum()


def changes_in_place(before, after):
    after /= before
    return np.log(after, out=after)


def signs_in_place(changes):
    changes[:] = np.sign(changes)
    return RIGHT["A2"]["sign_test"](changes)


def interval_in_place(changes, groups):
    order = np.argsort(groups, kind="stable")
    groups.sort()
    changes[:] = changes[order]
    return RIGHT["A2"]["interval"](changes, groups)


def torchs_own_mean(ends_a, ends_b, within):
    return float((bv.delta_q(ends_a, ends_b) <= within).float().mean())


@pytest.mark.parametrize(
    ("name", "key", "answers"),
    [
        ("A1", "5", {"backward": all_at_once}),
        ("A1", "5", {"backward": back_in_place}),
        ("A1", "6", {"statements": {k: np.bool_(v) for k, v in a1.STATEMENTS.items()}}),
        ("A2", "1", {"log_changes": changes_in_place}),
        ("A2", "2", {"sign_test": signs_in_place}),
        ("A2", "3", {"interval": interval_in_place}),
        ("A2", "4", {"verdict": lambda *a: np.str_(RIGHT["A2"]["verdict"](*a))}),
        ("A2", "6", {"statements": {k: np.bool_(v) for k, v in a2.STATEMENTS.items()}}),
        ("A3", "1", {"sweep": lambda *a: torch.tensor(RIGHT["A3"]["sweep"](*a))}),
        ("A3", "3", {"same_end": torchs_own_mean}),
    ],
)
def test_public_and_hidden_tests_agree_on_what_is_right(name, key, answers, graded, capsys):
    answers = {**RIGHT[name], **answers}
    assignment = bv.open_assignment(name)
    for _ in range(2):  # an answer that works in place leaves nothing behind
        assignment.check(key, *(answers[one] for one in ASKED[name][key].split()))
        assert assignment.passed[key], capsys.readouterr().out
    assert failures(name, key, answers) == []


class Yes:
    """Agrees with everything."""

    def itself(self, *_):
        return self

    def true(self, *_):
        return True

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = itself
    __rtruediv__ = __abs__ = __neg__ = __getitem__ = __call__ = itself
    __lt__ = __gt__ = __le__ = __ge__ = __eq__ = __bool__ = true
    __hash__ = None


@pytest.mark.parametrize(("name", "key"), EVERYTHING)
def test_what_agrees_with_everything_is_no_answer(name, key, graded):
    answers = dict.fromkeys(ASKED[name][key].split(), Yes())
    assert len(failures(name, key, answers)) == len(hidden_tests(name, key))


@pytest.mark.parametrize(("name", "key"), EVERYTHING)
def test_what_is_empty_is_no_answer(name, key, graded):
    """NumPy finds nothing in it that differs."""
    for shape in ((0,), (0, 2), (0, 1), (1, 0)):
        asked = ASKED[name][key].split()
        answers = dict.fromkeys(asked, lambda *_, shape=shape: np.zeros(shape))
        assert len(failures(name, key, answers)) == len(hidden_tests(name, key))


def test_single_precision_is_told():
    def step(x, eta, k, s):
        return np.float32(x + eta * -k * (x - s))

    assert "right to single precision alone" in verdict(a1.check_step, step)
    assert "single precision" in verdict(a1.check_step, lambda *a: torch.tensor(float(step(*a))))


def test_too_few_answers_are_told_as_such():
    said = verdict(a1.check_end, lambda *_: 1.0)
    assert said == "this check takes 2 answers (end, largest_step), and got 1"


def test_a_tensor_with_a_gradient_is_a_number():
    def step(x, eta, k, s):
        return torch.tensor(x + eta * -k * (x - s), dtype=float, requires_grad=True)

    assert verdict(a1.check_step, step) == ""


@pytest.mark.parametrize("value", [float("nan"), None, "many"])
def test_a_table_with_an_entry_that_is_no_number_does_not_pass(value):
    import pandas as pd

    table = pd.DataFrame(
        {f"{c}_{w}": [1.0, 2.0] for c in ("dq", "force") for w in ("before", "after")}
    )
    found = {"end ratio": 0.9, "force ratio": 1.1, "end p": 0.5, "force p": 0.5}
    found["conclusion"] = "undecided"
    assert verdict(a2.check_table, table, found) == ""
    for entry in ("end ratio", "force p"):
        said = verdict(a2.check_table, table, found | {entry: value})
        assert said
        assert "your code stops" not in said


def test_text_is_no_number():
    assert "should give numbers, and gives a str" in verdict(a3.check_estimate, "0.5")


def test_an_error_in_a_students_code_is_a_sentence():
    said = verdict(a1.check_step, lambda x, eta, k, s: x / 0)
    assert "ZeroDivisionError" in said
    assert "at `said = verdict(a1.check_step, lambda x, eta, k, s: x / 0)`" in said
    assert "should give numbers, and gives a str" in verdict(a1.check_step, lambda *_: "far")
    assert "keep the first line" in verdict(a1.check_step, lambda x: x)
    assert "your answer is a float" in verdict(a1.check_step, 0.5)
    assert "should give a single number" in verdict(a1.check_step, lambda *_: [1.2])


def test_a_forgotten_return_is_no_missing_answer():
    def template(x, eta, k, s): ...

    def dots(x, eta, k, s):
        """What a lesson holds."""
        return ...

    def forgotten(x, eta, k, s):
        x + eta * -k * (x - s)

    assert verdict(a1.check_step, template) == NOT_YET
    assert verdict(a1.check_step, dots) == NOT_YET
    assert verdict(a1.check_step, forgotten) == NO_RETURN
