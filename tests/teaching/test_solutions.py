"""Solutions go into copies of a notebook, from one file beside it."""

import json

import pytest

from bpttviz.cli.main import main
from bpttviz.teaching.solutions import read_solutions, solved

TEXT = """# A notebook
## half
Words.
```python
answer = 0.5
```
### mistake: the other way
```python
answer = 2
```
"""
CELL = "answer = ...\n\nlesson.attempt(HALF, answer)"


def notebook(key="half", source=CELL):
    cell = {"cell_type": "code", "id": "e1", "metadata": {"exercise": key}, "outputs": [],
            "execution_count": None, "source": [source]}  # fmt: skip
    return {"cells": [cell], "metadata": {}}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "solutions" / "a.md"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def test_a_solution_takes_the_place_of_what_is_above_the_attempt(file):
    (cell,) = solved(notebook(), read_solutions(file))["cells"]
    assert "".join(cell["source"]) == "answer = 0.5\n\nlesson.attempt(HALF, answer)"


def test_mistakes_come_first_and_are_asserted(file):
    wrong, right = solved(notebook(), read_solutions(file), mistakes=True)["cells"]
    assert "answer = 2" in "".join(wrong["source"])
    assert "== ('mistake', 'the other way')" in "".join(wrong["source"])
    assert "== ('right', '')" in "".join(right["source"])
    assert wrong["id"] != right["id"]


def test_a_notebook_and_its_solutions_have_the_same_exercises(file):
    with pytest.raises(ValueError, match="no solution of the exercise 'other'"):
        solved(notebook("other"), read_solutions(file))
    with pytest.raises(ValueError, match="no exercise 'half' in this notebook"):
        solved({"cells": []}, read_solutions(file))
    with pytest.raises(ValueError, match=r"does not call lesson.attempt"):
        solved(notebook(source="answer = 1"), read_solutions(file))
    file.write_text(TEXT + "## empty\nnothing\n")
    with pytest.raises(ValueError, match="no ```python program under 'empty'"):
        read_solutions(file)


def test_the_command_writes_a_copy_and_spares_the_notebook(file, tmp_path, capsys):
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook()))
    assert main(["solutions", str(path), "--out", str(tmp_path / "done")]) == 0
    assert "0.5" in (tmp_path / "done" / "a.ipynb").read_text()
    assert "0.5" not in path.read_text()
    assert main(["solutions", str(path), "--out", str(tmp_path)]) == 1
    assert "the notebook itself" in capsys.readouterr().err
    copy = tmp_path / "done" / "a.ipynb"
    assert main(["solutions", str(path), "--out", str(tmp_path / "done")]) == 0  # as it is there
    copy.write_text("mine")
    assert main(["solutions", str(path), "--out", str(tmp_path / "done")]) == 1
    assert "is there already, and differs" in capsys.readouterr().err
    assert copy.read_text() == "mine"
    (tmp_path / "b").mkdir()
    twin = tmp_path / "b" / "a.ipynb"
    twin.write_text(path.read_text())
    line = ["solutions", str(path), str(twin), "--solutions", str(file.parent)]
    assert main([*line, "--out", str(tmp_path / "new")]) == 1
    assert "two of the notebooks are called a.ipynb" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    path.write_text("[]")
    assert main(["solutions", str(path), "--out", str(tmp_path / "done")]) == 1
    assert "is no notebook" in capsys.readouterr().err
