"""Hidden tests in a submission's kernel: a mistake costs once, and nothing ends the others."""

import json
import pickle
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest

from bpttviz.teaching.assignments import a2, hidden
from bpttviz.teaching.assignments.hidden import CARRIED, judge
from bpttviz.teaching.assignments.library import open_assignment
from bpttviz.teaching.assignments.unusual import unusual_code

SOURCES = Path(__file__).parents[2] / "notebooks" / "assignments"

TESTS = """
from otter.test_files import test_case
name = "q2"

@test_case(points=1)
def test_start(relax):
    assert relax(3.0, 0.1, 1.0, 0.0, 2)[0] == 3.0

@test_case(points=2)
def test_end(relax):
    assert abs(relax(3.0, 0.1, 1.0, 0.0, 2)[-1] - 2.43) < 1e-12
"""

RELAX = """
def relax(x0, eta, k, s, steps):
    places = [x0]
    for _ in range(steps):
        places.append(step(places[-1], eta, k, s))
    return places
"""


JUDGED = """
from otter.test_files import test_case
name = "q5"

@test_case(points=1)
def test_judge(judge):
    assert judge(0) == 3.0

@test_case(points=1)
def test_found(found):
    assert found == 3.0
"""


def results(code, seconds=5.0, tests=TESTS, assignment="A1"):
    """Of some tests, on what some code defines: whether each passed, and what it says."""
    exception_test = pytest.importorskip("otter.test_files.exception_test")
    file = exception_test.ExceptionTestFile.from_string(tests, "q2.py")
    names: dict = {}
    exec(code, names)
    found = judge(assignment, file.name, file.test_cases, names, seconds)
    return [(one.passed, one.message) for one in found]


def test_what_is_right_passes_without_a_word():
    right = "def step(x, eta, k, s):\n    return x - eta * k * (x - s)\n"
    assert results(right + RELAX) == [(True, ""), (True, "")]


@pytest.mark.parametrize(
    "step",
    [
        "def step(x, eta, k, s):\n    return x + eta * k * (x - s)\n",
        "def step(x, eta, k, s):\n    print(x)\n",
        "step = ...\n",
        "def step(x, eta, k, s):\n    exit()\n",
    ],
)
def test_a_mistake_costs_once(step):
    passed, told = zip(*results(step + RELAX), strict=True)
    assert passed == (True, True)
    assert told[1] == CARRIED


def test_who_allows_for_a_mistake_of_their_own_keeps_the_points():
    moved = "def step(x, eta, k, s):\n    return -eta * k * (x - s)\n"
    adding = RELAX.replace("step(places", "places[-1] + step(places")
    assert results(moved + adding) == [(True, ""), (True, "")]


@pytest.mark.parametrize(
    ("relax", "said"),
    [
        ("def relax(*a):\n    while True:\n        pass\n", "it does not end"),
        ("import sys\nrelax = lambda *a: sys.exit()\n", ""),
        ("relax = None\n", ""),
    ],
)
def test_what_never_ends_or_ends_the_program_fails_alone(relax, said):
    found = results(relax, seconds=0.2)
    assert [passed for passed, _ in found] == [False, False]
    assert found[0][1].startswith(said)


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        ("while True:\n        pass\n", "it does not end"),
        ("import time\n    time.sleep(60)\n", "it does not end"),
        ("raise SystemExit\n", ""),
        ("raise KeyboardInterrupt\n", ""),
        ("return sign_test(table)\n", "counted with"),
    ],
)
def test_what_judges_a_table_may_never_end(judges, said):
    code = f"table = 0\nsign_test = None\ndef judge(table):\n    {judges}"
    began = time.monotonic()
    with patch("bpttviz.teaching.assignments.a2._sign_test", lambda changes: 3.0):
        found = results(code, 0.25, JUDGED, "A2")
    passes = said == "counted with"
    assert [passed for passed, _ in found] == [passes, passes]
    assert found[0][1].startswith(said)
    assert time.monotonic() - began < 10


def test_what_was_judged_counts_whatever_ends_the_tests(tmp_path, monkeypatch):
    test_files = pytest.importorskip("otter.test_files")
    for name in ("q1", "q2", "q3"):
        text = f"OK_FORMAT = False\n{TESTS.replace('q2', name)}"
        (tmp_path / f"{name}.py").write_text(text)
    paths = [str(path) for path in tmp_path.glob("*.py")]

    def until_second(assignment, question, cases, *_):
        if question == "q2":
            raise SystemExit
        return [test_files.abstract_test.TestCaseResult(case, "", True) for case in cases]

    monkeypatch.setattr(hidden, "get_ipython", lambda: SimpleNamespace(user_ns={}))
    monkeypatch.setattr(hidden, "judge", until_second)
    with pytest.raises(SystemExit):
        hidden.run("A1", paths, str(tmp_path / "results"), 1.0)
    kept = pickle.loads((tmp_path / "results").read_bytes()).results
    assert [kept[name].score for name in ("q1", "q2", "q3")] == [3, 0, 0]


def test_an_errors_own_text_is_told_to_nobody(tmp_path):
    file = tmp_path / "cell.py"
    file.write_text("class Secret(Exception): pass\ndef relax(*a):\n    raise Secret('seed')\n")
    found = results(f"exec(compile({file.read_text()!r}, {str(file)!r}, 'exec'))")
    assert found[0] == (False, "your code stops at `raise Secret('seed')` with an error")


def test_the_public_check_says_when_only_an_earlier_answer_is_wrong(capsys):
    names: dict = {"np": np}
    exec("def step(x, eta, k, s):\n    return x + eta * k * (x - s)\n" + RELAX, names)
    assignment = open_assignment("A1")
    assignment.check("2", names["relax"])
    assert "this is right, but an answer that it builds on is not: step" in capsys.readouterr().out
    assert not assignment.passed["2"]
    assert names["step"](1.0, 0.1, 1.0, 0.0) == 1.1  # the student's own is back


@pytest.mark.parametrize("name", ["A1", "A2"])
def test_what_a_student_has_in_hand_holds_no_answers(name):
    held = vars(open_assignment(name))
    assert set(held) == {"name", "questions", "passed"}
    assert all(each.__name__.startswith("check_") for each in held["questions"].values())


def test_the_table_is_judged_again_with_right_earlier_answers():
    names = {"judge": lambda table: log_changes(*table), "table": (1.0, np.e), "log_changes": None}  # noqa: F821
    names["judge"] = type(names["judge"])(names["judge"].__code__, names)
    assert a2.earlier("5", names)["found"] == pytest.approx(1.0)
    assert names["log_changes"] is None
    assert a2.earlier("3", names) == {}


@pytest.mark.parametrize("name", ["A1", "A2", "A3"])
def test_nothing_in_a_source_is_unusual(name):
    cells = json.loads((SOURCES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert unusual_code([text for text in code if "TEST CONFIG" not in text]) == ()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os.path", ("import os.path",)),
        ("from pathlib import Path", ("import pathlib",)),
        ("from bpttviz.teaching.assignments import a1", ("import bpttviz.teaching.assignments",)),
        ("import numpy as np\nnp.allclose = lambda *a: True", ("changes np.allclose",)),
        ("open('in' + 'structor')", ("open",)),
        ("step.__globals__['x']", ("__globals__",)),
        ("if x:\n    !pip install y\n%matplotlib inline", ("shell commands",)),
        ("%%bash\nls", ("%%bash",)),
        (
            "this is no code, and names the instructor_seed",
            ("instructor_seed", "a cell that is no Python"),
        ),
        ("import os\nnp.linspace?", ("import os",)),
        ("files = !ls", ("shell commands",)),
        ("(exec('x'), 1)[1].run_line_magic('pinfo', 'x')", ("exec",)),
        ("%time import os", ("import os",)),
        ("%%timeit -n 1\nimport os", ("import os",)),
        ("await x\nimport os", ("import os",)),
        ("r = np.random\nr.default_rng = None", ("changes r.default_rng",)),
        ("[np][0].allclose = None", ("changes [np][0].allclose",)),
        ("ase.io.read('with' + 'held')\nnp.load('x')", ("read", "load")),
        ("pd.read_csv('A2_results.csv', comment='#')\njson.loads('1')", ()),
        ("f = pd.read_csv", ("read_csv",)),
        ("class A:\n    def f(self):\n        self.x = 1\nk.requires_grad = True", ()),
        ("step = a1._earlier('4', {})['step']", ("_earlier",)),
        ("from bpttviz import teaching as t\nstep = t.assignments.a1._step", ("teaching", "_step")),
        ("from bpttviz.teaching.assignments.challenge import _frames", ("_frames",)),
        (
            "from numpy import loadtxt as f\nimport numpy.ctypeslib",
            ("loadtxt", "import numpy.ctypeslib"),
        ),
        ("import warnings\nwarnings.sys.modules", ("modules", "sys")),
        (
            "from operator import attrgetter\nattrgetter('__globals__')",
            ("attrgetter", "__globals__"),
        ),
        ("match a1:\n    case object(_earlier=e):\n        pass", ("_earlier",)),
        (
            "class A:\n    def __init__(self): pass\n    def __call__(self): pass",
            (),
        ),
        ("class A:\n    def __lt__(self, other):\n        return True", ("def __lt__",)),
        ("class A:\n    f = lambda *a: True\n    __gt__ = f", ("__gt__",)),
        ("A = type('A', (), {'__eq__': lambda *a: True})", ("__eq__",)),
        ("if __name__ == '__main__':\n    for _ in range(3):\n        pass", ()),
        ("import numpy as np\nplotter, x = np.sin(1), {}\nx['a'] = 1", ()),
    ],
)
def test_what_no_answer_needs_is_named(code, said):
    assert unusual_code([code]) == said
