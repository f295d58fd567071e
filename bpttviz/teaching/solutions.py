"""Solutions of a notebook's exercises, kept apart from it, and the notebook with them filled in.

A notebook's exercise cell holds room to write in, and below it the line that calls
``lesson.attempt``. Its solutions stand in a Markdown file of their own::

    ## key of the exercise
    What there is to say about it.
    ```python
    answer = 2
    ```
    ### mistake: name of the mistake
    ```python
    answer = -2
    ```

The first program under a key is the solution; those under a mistake are what somebody writes who
makes it, and must get the verdict of that name.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from pathlib import Path

from bpttviz._checks import file_path

ATTEMPT = re.compile(r"^.*\blesson\.attempt\(", re.MULTILINE)
KEY = "exercise"  # of a cell's metadata
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Solution:
    """One exercise's.

    Attributes:
        code: what is right.
        mistakes: name → what leads to it.
    """

    code: str
    mistakes: dict[str, str] = field(default_factory=dict)


def read_solutions(path: str | Path) -> dict[str, Solution]:
    """Key of an exercise → `Solution`.

    Raises:
        OSError: the file cannot be read.
        ValueError: a heading without a program, or a key twice.
    """
    path = file_path("path", path)
    found: dict[str, Solution] = {}
    for part in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        key, body = part.split("\n", 1)
        own, *mistakes = re.split(r"^### mistake: ", body, flags=re.MULTILINE)
        if key.strip() in found:
            raise ValueError(f"{path}: {key.strip()!r} is there twice")
        named = (mistake.split("\n", 1) for mistake in mistakes)
        found[key.strip()] = Solution(
            _program(own, key, path),
            {name.strip(): _program(text, name, path) for name, text in named},
        )
    return found


def solved(notebook: dict, solutions: dict[str, Solution], mistakes: bool = False) -> dict:
    """A copy of a notebook with its exercises done.

    Args:
        notebook: as read by `json.loads`.
        solutions: what `read_solutions` returns.
        mistakes: before each solution every known mistake is made as well, in cells of their own
            that stop the notebook where another verdict is given. This is how solutions are tested.

    Raises:
        ValueError: an exercise without solution, a solution without exercise, or an exercise cell
            that does not call ``lesson.attempt``.
    """
    result = copy.deepcopy(notebook)
    cells, left = [], dict(solutions)
    for cell in result["cells"]:
        key = cell["metadata"].get(KEY)
        if key is None:
            cells.append(cell)
            continue
        if key not in left:
            raise ValueError(f"there is no solution of the exercise {key!r}")
        solution = left.pop(key)
        if mistakes:
            for name, code in solution.mistakes.items():
                cells.append(_filled(cell, key, code, ("mistake", name)))
        cells.append(_filled(cell, key, solution.code, ("right", "") if mistakes else None))
    if left:
        raise ValueError(f"there is no exercise {next(iter(left))!r} in this notebook")
    result["cells"] = cells
    return result


def _program(text: str, key: str, path: Path) -> str:
    program = PROGRAM.search(text)
    if program is None:
        raise ValueError(f"{path}: there is no ```python program under {key.strip()!r}")
    return program.group(1).rstrip()


def _filled(cell: dict, key: str, code: str, expected: tuple[str, str] | None) -> dict:
    """The cell with code in place of the room to write in."""
    source = "".join(cell["source"])
    place = ATTEMPT.search(source)
    if place is None:
        raise ValueError(f"the cell of the exercise {key!r} does not call lesson.attempt")
    filled = copy.deepcopy(cell)
    text = f"{code}\n\n{source[place.start() :]}"
    if expected is not None:
        text += (
            f"\n_verdict = lesson.exercises[{key!r}]\n"
            f"assert (_verdict.outcome, _verdict.mistake) == {expected!r}, _verdict"
        )
    filled["source"] = text.splitlines(keepends=True)
    if expected is not None and "id" in filled:  # several cells are made of one
        filled["id"] = f"{cell['id']}-{re.sub('[^a-z0-9]+', '-', expected[1].lower()) or 'right'}"[
            :64
        ]
    return filled
