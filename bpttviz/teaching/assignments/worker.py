"""The process in which one submission is graded: isolated, in bounded memory.

    python -m bpttviz.teaching.assignments.worker SETTINGS

It writes what it found as JSON. Whoever started it sets the time limit and ends what is left over.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bpttviz.teaching.assignments.hidden import NO_END
from bpttviz.teaching.assignments.isolation import bounded_memory, isolate
from bpttviz.teaching.assignments.kernels import quick_kernels, skip_grammar
from bpttviz.teaching.assignments.seeds import INSTRUCTOR_ONLY

LONGEST_LINE = 200  # characters of an error, in a table
CELLS_THAT_MAY_STALL = 3  # each is interrupted after this part of the time left for cells
TESTS_THAT_MAY_STALL = 6  # each may take this part of the time for cells
MOST_ERRORS = 3  # what follows is mostly their consequence


def grade(
    submission: str, autograder: str, assignment: str | None, cell_seconds: float, alone: bool
) -> dict[str, Any]:
    """Points by question, errors of cells, and what to tell of the points that are missing.

    Args:
        submission, autograder: files.
        assignment: name of the assignment.
        cell_seconds: for all cells together.
        alone: see `end_leftovers`.
    """
    from otter.api import grade_submission

    _tests_come_last(Path(autograder).resolve(), cell_seconds, alone)
    _run_tests_by(assignment or "", cell_seconds / TESTS_THAT_MAY_STALL)
    results = grade_submission(submission, autograder, quiet=True)
    if results.has_catastrophic_failure():
        return {"error": _why(results.catastrophic_error)}
    questions, remarks = {}, []
    for name, file in results.results.items():
        questions[name] = [float(file.score), float(file.possible)]
        for case in file.test_case_results:
            said = case.test_case.failure_message or "a hidden test failed"
            if not case.passed:
                remarks.append(f"{name}: {said}" + f" ({case.message})" * bool(case.message))
            elif case.message and f"{name}: {case.message}" not in remarks:
                remarks.append(f"{name}: {case.message}")
    errors, cells_stopped = cell_errors(results.notebook.cells)
    return {
        "questions": questions,
        "remarks": remarks,
        "errors": errors,
        "out_of_time": cells_stopped or any(NO_END in remark for remark in remarks),
    }


def _tests_come_last(autograder: Path, cell_seconds: float, alone: bool) -> None:
    """Otter's cells are run by a preprocessor that brings the tests before the last cell, its own.

    Until then neither tests nor seed nor withheld ends are where a submission could read them, and
    a cell that takes too long is interrupted, so that the others count. Whatever many cells do,
    they leave the time of the tests alone: each gets a part of what those before it have left.
    """
    from nbconvert import preprocessors

    class Preprocessor(preprocessors.ExecutePreprocessor):
        def preprocess(self, nb: Any, resources: Any = None, km: Any = None) -> Any:
            self.interrupt_on_timeout = True
            self.startup_timeout = max(60, round(cell_seconds))
            self._left = cell_seconds
            self._place = Path.cwd()
            self._kept = {
                path: path.read_bytes()
                for path in (*(self._place / "tests").rglob("*.py"), *_secrets(self._place))
            }
            self._last = nb.cells[-1]
            for path in self._kept:
                path.unlink()
            shutil.rmtree(self._place.parent / "source", ignore_errors=True)
            autograder.unlink(missing_ok=True)
            return super().preprocess(nb, resources, km)

        def preprocess_cell(self, cell: Any, resources: Any, index: int) -> Any:
            self.timeout = max(1, int(self._left / CELLS_THAT_MAY_STALL))
            if cell is self._last:
                self.timeout = None  # each test has a limit of its own
                end_leftovers(_process_number(self.km), alone)
                for path, content in self._kept.items():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            began = time.monotonic()
            try:
                return super().preprocess_cell(cell, resources, index)
            finally:
                self._left -= time.monotonic() - began

    preprocessors.ExecutePreprocessor = Preprocessor  # type: ignore[misc]


def _process_number(kernel: Any) -> int:
    return kernel.provisioner.pid


def end_leftovers(kernel: int, alone: bool) -> None:
    """End what a submission's cells started and left running: it would meet the tests.

    Args:
        kernel: process number of its kernel.
        alone: whether no process is in sight but those of this submission.
    """
    found = psutil.process_iter() if alone else psutil.Process(kernel).children(recursive=True)
    for process in found:
        if process.pid not in (1, os.getpid(), kernel):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _run_tests_by(assignment: str, seconds: float) -> None:
    """Otter's last cell runs our tests, and cannot be broken by what a notebook calls `open`."""
    from otter.execute import preprocessor

    module = "bpttviz.teaching.assignments.hidden"
    preprocessor.EXPORT_CELL_SOURCE = (
        f"__import__({module!r}, fromlist=['run']).run("
        f'{assignment!r}, {{tests_glob_json}}, "{{results_path}}", {seconds})'
    )


def _secrets(place: Path) -> list[Path]:
    return [place / name for name in INSTRUCTOR_ONLY if (place / name).exists()]


def cell_errors(cells: list[Any]) -> tuple[list[str], bool]:
    """A sentence for each of a submission's cells that raises; whether one ran out of time.

    Otter's own cells are left out.
    """
    found, stopped = [], False
    for cell in cells:
        if cell.cell_type != "code" or not cell.get("id", "").startswith("cell-"):
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                line = next(iter(cell.source.strip().splitlines()), "")
                said = f"{output.ename}: {output.evalue}".splitlines()[0].rstrip(": ")
                said = re.sub(r" \(\d+\.py, line \d+\)$", "", said)  # a name that nobody gave
                if output.ename == "KeyboardInterrupt":
                    said, stopped = "interrupted, because it took too long", True
                found.append(f"the cell `{line}` stops: {said}"[:LONGEST_LINE])
    if len(found) > MOST_ERRORS:
        found[MOST_ERRORS:] = [f"{len(found) - MOST_ERRORS} more cells stop"]
    return found, stopped


def _why(error: BaseException | None) -> str:
    if type(error).__name__ == "DeadKernelError":
        return "its kernel died: more memory than there is, or os._exit()"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else 'no reason given'}"


def main(settings: str) -> None:
    """Grade and write; whatever goes wrong is written too."""
    given = json.loads(Path(settings).read_text(encoding="utf-8"))
    isolated = isolate(given["covered"], str(Path(settings).resolve().parent))
    bounded_memory(given["gigabytes"])
    skip_grammar()
    quick_kernels(Path(os.environ["IPYTHONDIR"]))
    asked = {key: given[key] for key in ("submission", "autograder", "assignment", "cell_seconds")}
    try:
        found = grade(**asked, alone=isolated)
    except Exception as error:  # a submission may break anything
        found = {"error": _why(error)}
    end_leftovers(os.getpid(), isolated)  # or one of them could write another result
    Path(given["result"]).write_text(json.dumps({**found, "isolated": isolated}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
