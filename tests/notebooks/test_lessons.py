"""What a lesson promises: exercises that answer, claims that can fail, and no luck with defaults.

`test_notebooks` runs each notebook as a student gets it, with small parameters. Here it runs twice
more, with others: once with every known mistake and then the solution in each exercise, and with a
wrong claim in its check cell; once untouched.
"""

import json
import os
import re
from pathlib import Path

import papermill
import pytest

from bpttviz.teaching.solutions import KEY, read_solutions, solved

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = [
    "00_quickstart",
    "01_foggy_valley",
    "02_gradient_through_time",
    "03_wrong_force_right_place",
    "04_meet_a_pretrained_potential",
    "05_relax_silicon_defects",
    "06_finetune_through_relaxation",
    "07_the_paradox",
    "08_memory_and_implicit",
    "09_robustness",
    "10_bring_your_own",
]
# Lists, not tuples: papermill makes text of what it does not know.
SOLVED = {
    "00_quickstart": {"n_train": 2, "n_held_out": 1, "n_epochs": 1, "n_steps": 12},
    "01_foggy_valley": {"step_sizes": [0.1, 0.4, 0.5], "updates": 70},
    "02_gradient_through_time": {
        "n_pages": 2, "defects": ["000_vac_Si"], "n_steps": 3, "spring_steps": 45,
    },
    "03_wrong_force_right_place": {"n_held_out": 6, "n_updates": 50, "short": 5, "long": 50},
    "04_meet_a_pretrained_potential": {"n_differences": 11, "n_distances": 6, "n_frames": 3},
    "05_relax_silicon_defects": {"defects": ["004_divac_Si", "005_tet_Si"], "n_steps": 18},
    "06_finetune_through_relaxation": {
        "n_train": 1, "n_epochs": 3, "n_steps": 1, "n_val": 1, "n_test": 1, "alphas": [0.25, 0.5],
        "my_answers": {"ends": "better", "forces": "rises", "half way back": "about half"},
    },
    "07_the_paradox": {"n_epochs": 22, "n_springs": 15},
    "08_memory_and_implicit": {"max_steps": 2, "n_seeds": 1},
    "09_robustness": {
        "steps": [2], "step_sizes": [0.2, 5.0], "n_updates": 1,
        "my_answers": {
            "too short": "further away", "step too long": "cannot work", "forces": "no difference",
        },
    },
    "10_bring_your_own": {"n_epochs": 3, "n_steps": 15, "n_painn": 2},
}  # fmt: skip
OTHERS = {
    "00_quickstart": {"fold": 2, "n_train": 2, "n_held_out": 2, "n_epochs": 1, "n_steps": 8},
    "01_foggy_valley": {"few": 10, "many": 80, "updates": 80},
    "02_gradient_through_time": {
        "n_pages": 2, "defects": ["005_tet_Si"], "n_steps": 3, "step_size": 0.05,
    },
    "03_wrong_force_right_place": {"n_train": 10, "n_held_out": 6, "n_updates": 50, "seed": 1},
    "04_meet_a_pretrained_potential": {
        "defect": "000_vac_Si", "n_differences": 13, "n_distances": 6, "n_frames": 4,
    },
    "05_relax_silicon_defects": {"defects": ["005_tet_Si", "002_split_Si"], "n_steps": 20},
    "06_finetune_through_relaxation": {
        "n_train": 3, "n_epochs": 2, "n_steps": 3, "n_val": 2, "n_test": 2, "alphas": [0.1, 0.9],
        "learning_rate": 1e-4,
    },
    "07_the_paradox": {"n_epochs": 20, "n_springs": 17, "seed": 1},
    "08_memory_and_implicit": {"max_steps": 4, "n_seeds": 1},
    "09_robustness": {"steps": [1, 3], "step_sizes": [0.3], "n_updates": 3},
    "10_bring_your_own": {"n_epochs": 4, "step_size": 0.03, "n_painn": 1},
}  # fmt: skip

# In the check cell: what stands there, the opposite, and the sentence that is then false.
WRONG = {
    "00_quickstart": (".max()) < 1e-9", ".max()) > 1e-9", "your step is the map's"),
    "01_foggy_valley": ("apart > 1", "apart < 1", "the step size alone can change the valley"),
    "02_gradient_through_time": ("worst < 1e-7", "worst > 1e-7", "central differences agree too"),
    "03_wrong_force_right_place": (
        'mean["twice as strong"] < 0.005', 'mean["twice as strong"] > 0.005',
        "doubled forces lead to the right place",
    ),
    "04_meet_a_pretrained_potential": (
        "slope[k] < 0.95", "slope[k] > 0.95", "all three are too soft",
    ),
    "05_relax_silicon_defects": (
        "naive > 5 * images", "naive < 5 * images", "without images it is nonsense",
    ),
    "06_finetune_through_relaxation": (
        'same and part.status == "interrupted"', 'part.status != "interrupted"',
        "resuming changes no bit",
    ),
    "07_the_paradox": (
        'force.direction != "rises"', 'force.direction == "rises"',
        "by this recipe the force error does not rise",
    ),
    "08_memory_and_implicit": (
        "distance[5] > 1e-3", "distance[5] < 1e-3", "a converged unroll is the implicit gradient",
    ),
    "09_robustness": ("median < 0.1", "median > 0.1", "half of them lose nine tenths"),
    "10_bring_your_own": (
        "curl.figure > curl.limit", "curl.figure < curl.limit", "pushes are no gradient",
    ),
}  # fmt: skip

FAILS = """
try:
    exec({source!r})
except AssertionError as error:
    assert {sentence!r} in str(error), error
    print("as it should:", error)
else:
    raise RuntimeError("a wrong claim was not noticed")
"""


def read(name):
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))


def text(cell):
    return "".join(cell["source"])


def check_cell(notebook):
    (cell,) = [c for c in notebook["cells"] if "lesson.summary()" in text(c)]
    return cell


def execute(path, name, parameters, folder, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    return papermill.execute_notebook(
        path, folder / "done.ipynb", parameters={**parameters, "out": str(folder)},
        kernel_name="python3", progress_bar=False,
    )  # fmt: skip


# The dear ones, and a third set of parameters, are for `make test-full`.
FULL = pytest.mark.skipif(
    os.environ.get("BPTTVIZ_NOTEBOOKS") != "full", reason="runs in `make test-full`"
)
DEAR = (
    "00_quickstart",
    "03_wrong_force_right_place",
    "05_relax_silicon_defects",
    "06_finetune_through_relaxation",
    "07_the_paradox",
    "08_memory_and_implicit",
    "09_robustness",
    "10_bring_your_own",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=FULL) if name in DEAR else name for name in NAMES]
)
def test_solutions_are_right_mistakes_are_named_and_a_wrong_claim_fails(
    name, tmp_path, monkeypatch
):
    given = solved(
        read(name), read_solutions(NOTEBOOKS / "solutions" / f"{name}.md"), mistakes=True
    )
    was, wrong, sentence = WRONG[name]
    check = text(check_cell(given))
    assert check.count(was) == 1
    last = json.loads(json.dumps(check_cell(given)))
    last |= {
        "id": "wrong",
        "source": [FAILS.format(source=check.replace(was, wrong), sentence=sentence)],
    }
    given["cells"].insert(given["cells"].index(check_cell(given)) + 1, last)
    path = tmp_path / "solved.ipynb"
    path.write_text(json.dumps(given))
    done = execute(path, name, SOLVED[name], tmp_path, monkeypatch)
    printed = json.dumps(done)
    assert "as it should: the claim" in printed


@FULL
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_works_with_other_parameters(name, tmp_path, monkeypatch):
    done = execute(NOTEBOOKS / f"{name}.ipynb", name, OTHERS[name], tmp_path, monkeypatch)
    printed = json.dumps(done, ensure_ascii=False)
    # Run All reproaches nobody, and gives nothing away.
    assert "waits for your prediction" in printed
    assert "Not tried yet." in printed
    picture = tmp_path.rglob(f"{name}.png")
    assert next(picture).stat().st_size > 5000, "the picture of the first screen"


@pytest.mark.parametrize("name", NAMES)
def test_the_first_screen_has_a_picture_with_words(name):
    first = text(read(name)["cells"][0])
    (words, path) = re.search(r"!\[(.+?)\]\((.+?)\)", first, re.DOTALL).groups()
    assert len(words) > 60
    assert path == f"pictures/{name}.png"
    assert 5e3 < (NOTEBOOKS / path).stat().st_size < 2e5


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_asks(name):
    cells = read(name)["cells"]
    words = sum(len(text(c).split()) for c in cells if c["cell_type"] == "markdown")
    seen = [
        c for c in cells
        if c["cell_type"] == "code" and not c["metadata"].get("jupyter", {}).get("source_hidden")
    ]  # fmt: skip
    lines = sum(len(text(c).splitlines()) for c in seen)
    exercises = [c["metadata"][KEY] for c in cells if KEY in c["metadata"]]
    print(f"{name}: {len(cells)} cells, {words} words, {lines} lines seen, {exercises}")
    assert words <= 1200
    assert lines <= 170
    assert len(exercises) >= 2
    solved(read(name), read_solutions(NOTEBOOKS / "solutions" / f"{name}.md"))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_ends_with_where_to_go_next(name):
    path = ["00", "01", "02", "03", "A1", "04", "05", "06", "07", "A2", "08", "09", "A3", "10"]
    last = text(read(name)["cells"][-1])
    where = re.search(r"\*\*Next: (?:the assignment )?[`\[]?(\w+)", last).group(1)
    after = path[path.index(name[:2]) + 1 :]
    assert where[:2] in after[:1] or not after
