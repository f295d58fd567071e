"""A folder of submissions to a table of points, offline; no submission can end the others.

Each submission is graded by a process of its own (`worker`): a copy in a folder of its own, no
network where the system lets it go, bounded memory, a time limit after which it and all that it
started is ended. What is not kept apart is the file system: a submission runs with the rights of
whoever grades, and can read what they can read, the autograder included.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
import psutil

from bpttviz._files import write_atomic
from bpttviz.teaching.assignments.build import require_otter

ANSWER_TAG = "otter_answer_cell"
GRADED = "graded"
GRADES = "grades.csv"


@dataclass(frozen=True)
class Limits:
    """What one submission may take.

    Attributes:
        seconds: of wall-clock time.
        gigabytes: of memory, for each process.
    """

    seconds: float = 600.0
    gigabytes: float = 4.0


@dataclass(frozen=True)
class Grade:
    """What came of one submission.

    Attributes:
        submission: its name, from its file.
        status: "graded", "time limit", "crashed" or "unreadable".
        reason: why it was not graded; "" where it was.
        questions: name → (points, points possible).
        remarks: a sentence for each hidden test that failed.
        words: answers in words, to be read by the instructor.
        seconds: that it took.
        offline: whether it had no network.
    """

    submission: str
    status: str
    reason: str = ""
    questions: dict[str, tuple[float, float]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    seconds: float = 0.0
    offline: bool = False

    @property
    def points(self) -> float:
        """All of them together."""
        return sum(got for got, _ in self.questions.values())


def grade_folder(
    submissions: Path,
    autograder: Path,
    out: Path,
    limits: Limits | None = None,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> list[Grade]:
    """Grade all notebooks of a folder, and write ``out/grades.csv`` and a feedback file for each.

    What was graded before, by the same autograder and unchanged, is not run again.

    Args:
        submissions: a folder; its notebooks, and those of its folders, are submissions.
        autograder: the autograder.zip of the assignment.
        out: where results go.
        limits: for each submission.
        workers: how many are graded at a time; each takes up to a core.
        say: told of each when it is done.

    Raises:
        AssignmentError: otter-grader is not installed.
        FileNotFoundError: no autograder there, or no notebook.
    """
    require_otter()
    if not autograder.is_file():
        raise FileNotFoundError(f"{autograder}: no autograder; `make assignments` makes it")
    files = find_submissions(submissions)
    kept = out / "results"
    kept.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()

    def one(numbered: tuple[int, Path]) -> Grade:
        number, file = numbered
        name = submission_name(file, submissions)
        found = _again_or_anew(name, file, autograder, kept, limits or Limits())
        left = f"{number} of {len(files)}"
        say(f"{left}: {name}: {found.status}, {found.points:g} points, {found.seconds:.0f} s")
        return found

    with ThreadPoolExecutor(workers) as pool:
        grades = list(pool.map(one, enumerate(files, 1)))
    write_atomic(out / GRADES, table(grades))
    for found in grades:
        place = out / "feedback" / f"{found.submission}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, feedback(found))
    say(f"{len(grades)} submissions in {time.monotonic() - begun:.0f} s: {out / GRADES}")
    if not all(found.offline for found in grades if found.status == GRADED):
        say("warning: this system lets no process leave the network; submissions had it")
    return grades


def find_submissions(folder: Path) -> list[Path]:
    """The notebooks of a folder and of those in it, without checkpoints.

    Raises:
        FileNotFoundError: no folder, or none in it.
    """
    files = sorted(
        file
        for file in folder.rglob("*.ipynb")
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    if not files:
        raise FileNotFoundError(f"{folder}: no notebooks (*.ipynb) to grade")
    return files


def submission_name(file: Path, folder: Path) -> str:
    """By which a submission is known: its place in the folder, in one word."""
    return "__".join(file.relative_to(folder).with_suffix("").parts)


def _again_or_anew(name: str, file: Path, autograder: Path, kept: Path, limits: Limits) -> Grade:
    """The grade of before where nothing has changed since."""
    depends = hashlib.sha256(file.read_bytes() + autograder.read_bytes()).hexdigest()
    saved = kept / f"{name}.json"
    if saved.exists():
        before = json.loads(saved.read_text(encoding="utf-8"))
        if before.pop("depends") == depends and before["status"] == GRADED:
            questions = {key: (got, of) for key, (got, of) in before.pop("questions").items()}
            remarks, words = (tuple(before.pop(key)) for key in ("remarks", "words"))
            return Grade(questions=questions, remarks=remarks, words=words, **before)
    found = grade_one(name, file, autograder, limits)
    write_atomic(saved, json.dumps({**asdict(found), "depends": depends}))
    return found


def grade_one(name: str, file: Path, autograder: Path, limits: Limits) -> Grade:
    """Grade one submission in a process of its own. Nothing that it does can raise here."""
    began = time.monotonic()
    try:
        words = answers_in_words(file)
    except Exception as error:
        return Grade(name, "unreadable", f"no notebook that can be read: {type(error).__name__}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        shutil.copy(file, home / "submission.ipynb")
        shutil.copy(autograder, home / "autograder.zip")
        result = home / "result.json"
        ended = _run(home, result, limits)
        seconds = time.monotonic() - began
        if not ended:
            reason = f"not done after {limits.seconds:g} s: an endless loop, or too much to compute"
            return Grade(name, "time limit", reason, words=words, seconds=seconds)
        if not result.exists():
            reason = "the process that graded it ended without a result"
            return Grade(name, "crashed", reason, words=words, seconds=seconds)
        found = json.loads(result.read_text(encoding="utf-8"))
    if "error" in found:
        return Grade(
            name, "crashed", found["error"], words=words, seconds=seconds, offline=found["offline"]
        )
    questions = {key: (got, of) for key, (got, of) in sorted(found["questions"].items())}
    remarks = tuple(found["remarks"])
    return Grade(name, GRADED, "", questions, remarks, words, seconds, found["offline"])


def answers_in_words(file: Path) -> tuple[str, ...]:
    """What a student wrote in the cells for words."""
    cells = nbformat.read(file, as_version=4).cells
    return tuple(
        cell.source.strip()
        for cell in cells
        if cell.cell_type == "markdown" and ANSWER_TAG in cell.metadata.get("tags", [])
    )


def _run(home: Path, result: Path, limits: Limits) -> bool:
    """Run the worker; whether it ended by itself. What it started ends with it."""
    command = [sys.executable, "-m", __name__.replace(".grade", ".worker")]
    command += ["submission.ipynb", "autograder.zip", str(result), str(limits.gigabytes)]
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home, env=_environment(home), stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            return False
        finally:
            _end(process)
    return True


def _end(process: subprocess.Popen) -> None:
    """End a process and all that it started and that can still be traced to it."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.kill()
    process.wait()


def _environment(home: Path) -> dict[str, str]:
    """Variables of the grading process: one thread, nothing of the grader's own home."""
    own = {key: str(home) for key in ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR")}
    own |= {"JUPYTER_RUNTIME_DIR": str(home / "run"), "JUPYTER_CONFIG_DIR": str(home / "config")}
    own |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    passed = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    return {key: os.environ[key] for key in passed if key in os.environ} | own


def table(grades: Sequence[Grade]) -> str:
    """CSV: a row for each submission, a column for each question, one left empty for words."""
    names = sorted({name for found in grades for name in found.questions})
    possible = {
        name: max(found.questions.get(name, (0.0, 0.0))[1] for found in grades) for name in names
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{name} (of {possible[name]:g})" for name in names]
    total = f"points (of {sum(possible.values()):g})"
    writer.writerow(
        ["submission", "status", total, *heads, "points for words", "words", "seconds", "reason"]
    )
    for found in grades:
        cells = [f"{found.questions.get(name, (0.0, 0.0))[0]:g}" for name in names]
        reason = found.reason or "; ".join(found.remarks)
        words = "\n\n".join(found.words)
        row = [found.submission, found.status, f"{found.points:g}", *cells, "", words]
        writer.writerow([_harmless(x) for x in [*row, f"{found.seconds:.1f}", reason]])
    return text.getvalue()


def _harmless(cell: str) -> str:
    """A spreadsheet would compute a cell that begins like a formula, whoever wrote it."""
    return f"'{cell}" if cell.startswith(("=", "+", "@")) else cell


def feedback(found: Grade) -> str:
    """What a student may read: points by question, and a sentence for each that is missing."""
    if found.status != GRADED:
        return f"{found.submission}: {found.status}. {found.reason}\n"
    lines = [f"{found.submission}: {found.points:g} points"]
    lines += [f"  question {key}: {got:g} of {of:g}" for key, (got, of) in found.questions.items()]
    lines += [f"  {remark}" for remark in found.remarks]
    return "\n".join(lines) + "\n"
