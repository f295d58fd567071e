"""The course as a table: what each notebook asks of its reader, and what running it costs.

    python tests/notebooks/course_table.py                          # the tests' small parameters
    python tests/notebooks/course_table.py --parameters defaults 00 06
    python tests/notebooks/course_table.py --parameters solved 05   # or: others

Each notebook is executed alone, on one thread. Time is the kernel's processor time, of its children
too, so that a busy machine changes nothing; memory is the most that the kernel held. Executed
copies stay in ``build/course``. The exit status is 1 where a notebook fails.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from test_lessons import NOTEBOOKS, OTHERS, SOLVED
from test_notebooks import SMALL

from bpttviz.teaching.solutions import KEY, read_solutions, solved

BUILD = NOTEBOOKS.parent / "build" / "course"
HEADS = (
    "notebook", "cells", "words", "code lines", "exercises", "CPU / s", "peak / GB", "checks",
    "leads to",
)  # fmt: skip
# bpttviz.Meter forgets the peak where it begins, so that one look at the end would not do.
WATCH = """
import threading, time, pathlib, re
def _peak(found=[0]):
    status = pathlib.Path("/proc/self/status").read_text()
    found[0] = max(found[0], int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]))
    return found[0]
def _watch():
    while True:
        _peak(); time.sleep(0.1)
threading.Thread(target=_watch, daemon=True).start()
"""
SAY = """
import os, json
print(json.dumps({
    "seconds": sum(os.times()[:4]), "peak": _peak() * 1024,
    "checks": len(lesson.checks) if "lesson" in dir() else None,
}))
"""


def text(cell) -> str:
    return "".join(cell["source"])


def visible_code(notebook) -> list:
    """Code cells that are not folded."""
    return [
        cell for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and not cell["metadata"].get("jupyter", {}).get("source_hidden")
    ]  # fmt: skip


def words(notebook) -> int:
    return sum(len(text(c).split()) for c in notebook["cells"] if c["cell_type"] == "markdown")


def leads_to(notebook) -> str:
    """Notebooks that the last cell names."""
    found = re.findall(r"(?<![\w.])(\d\d|A\d)(?=[_\]\b`)])", text(notebook["cells"][-1]))
    return ", ".join(dict.fromkeys(found))


def executed(notebook, parameters: dict, folder: Path) -> tuple[dict, str]:
    """Run it; returns what it cost and, where it failed, the sentence."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "source.ipynb"
    source.write_text(json.dumps(notebook), encoding="utf-8")
    given = parameterize_notebook(
        load_notebook_node(str(source)), {**parameters, "out": str(folder)},
        kernel_name="python3", language="python",
    )  # fmt: skip
    new = nbformat.v4.new_code_cell
    given.cells = [new(WATCH), *given.cells, new(SAY)]
    client = NotebookClient(
        given, timeout=None, kernel_name="python3", resources={"metadata": {"path": NOTEBOOKS}}
    )
    failure = ""
    with client.setup_kernel():
        try:
            for number, cell in enumerate(given.cells[:-1]):
                client.execute_cell(cell, number)
        except CellExecutionError as error:
            failure = f"{error.ename}: {error.evalue}"
        last = client.execute_cell(given.cells[-1], len(given.cells) - 1)
    given.cells = given.cells[1:-1]
    nbformat.write(given, folder / "executed.ipynb")
    return json.loads(last.outputs[-1]["text"].splitlines()[-1]), failure


def row(name: str, kind: str) -> tuple[list[str], str]:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    source, answers = notebook, NOTEBOOKS / "solutions" / f"{name}.md"
    if kind == "solved" and answers.exists():
        notebook = solved(notebook, read_solutions(answers), mistakes=True)
    sets = {"small": SMALL, "defaults": {}, "solved": SOLVED, "others": OTHERS}
    cost, failure = executed(notebook, sets[kind].get(name, {}), BUILD / kind / name)
    counted = [
        name, len(source["cells"]), words(source),
        sum(len(text(cell).splitlines()) for cell in visible_code(source)),
        sum(KEY in cell["metadata"] for cell in source["cells"]),
        f"{cost['seconds']:.0f}", f"{cost['peak'] / 1e9:.2f}", cost["checks"] or "-",
        leads_to(source),
    ]  # fmt: skip
    return [str(entry) for entry in counted], failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="how names begin; none: all")
    parser.add_argument(
        "--parameters", choices=("small", "defaults", "solved", "others"), default="small"
    )
    asked = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}", flush=True)
    failures = {}
    for name in SMALL:
        if name.startswith(tuple(asked.names) or ""):
            entries, failure = row(name, asked.parameters)
            print(f"| {' | '.join(entries)} |{'  FAILED' * bool(failure)}", flush=True)
            if failure:
                failures[name] = failure
    for name, failure in failures.items():
        print(f"{name}: {failure}", file=sys.stderr)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
