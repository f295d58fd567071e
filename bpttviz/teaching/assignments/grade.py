"""A folder of submissions to a table of points, offline; no submission can end the others.

Each submission is graded by a process of its own (`worker`): a copy in a folder of its own, bounded
memory, a time limit after which it and all that it started is ended, and, where the system makes
namespaces, no network, no process of others, no other submission, solution or seed, and no file to
write but its own (`isolation`). Other files of whoever grades can be read. Tests and seed come to
the disk when a submission's own cells are done. They run in the same Python as the answers; an
answer that reads them then, or changes what judges it, is what the table's column "look at"
is for.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil

from bpttviz._files import lock_settings, write_atomic
from bpttviz.teaching.assignments.build import require_otter
from bpttviz.teaching.assignments.corrections import read_sheet
from bpttviz.teaching.assignments.gradebook import (
    GRADED,
    GRADES,
    UNREADABLE,
    Grade,
    feedback,
    write_grades,
)
from bpttviz.teaching.assignments.isolation import may_be_covered
from bpttviz.teaching.assignments.submissions import (
    Submission,
    UnreadableSubmission,
    find_submissions,
    prepare,
    printable,
)

WORKER = ("-m", "bpttviz.teaching.assignments.worker")
FOR_CELLS = 1 / 2  # of the time limit; the rest is for the tests


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
class _Job:
    """What is the same for all submissions."""

    autograder: bytes
    kept: Path
    limits: Limits
    covered: Sequence[Path]
    rooms: Path


_running: set[subprocess.Popen] = set()


def grade_folder(
    submissions: Path,
    autograder: Path,
    out: Path,
    limits: Limits | None = None,
    workers: int = 1,
    say: Callable[[str], None] = print,
) -> list[Grade]:
    """Grade all notebooks of a folder, and write ``out/grades.csv`` and a feedback file for each.

    What was graded before, by the same autograder and unchanged, is not run again, unless it ran
    out of time and has more now. Points for words and corrections that the instructor wrote into
    the table of before are kept.

    Args:
        submissions: a folder; its notebooks, and those of its folders and archives, are
            submissions.
        autograder: the autograder.zip of the assignment.
        out: where results go.
        limits: for each submission.
        workers: how many are graded at a time; each takes up to a core.
        say: told of each when it is done.

    Raises:
        AssignmentError: otter-grader is not installed.
        FileNotFoundError: no autograder there, or no notebook.
        ValueError: the autograder is none, ``out`` holds results of another assignment, or a table
            of before whose points for words cannot be read.
    """
    require_otter()
    if not autograder.is_file():
        raise FileNotFoundError(f"{autograder}: no autograder; `make assignments` makes it")
    found, others = find_submissions(submissions)
    if others:
        names = ", ".join(printable(str(file)) for file in others)
        say(f"left alone, as no notebooks: {names}")
    read_sheet(out / GRADES)  # a table that cannot be read again is no news for after an hour
    kept = out / "results"
    lock_settings(kept, {"assignment": assignment_name(autograder.read_bytes(), autograder)})
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as rooms:
        covered = (submissions, out, *_instructors_folders(autograder), Path(rooms))
        job = _Job(autograder.read_bytes(), kept, limits or Limits(), covered, Path(rooms))
        grades = _grade_all(found, job, workers, say)
    table = write_grades(out, grades, say)
    for grade in grades:
        place = out / "feedback" / f"{grade.submission}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(place, feedback(grade))
    say(f"{len(grades)} submissions in {time.monotonic() - begun:.0f} s: {table}")
    if not all(grade.isolated for grade in grades if grade.status == GRADED):
        say(
            "warning: this system makes no namespaces for you; submissions had the network, and "
            "could read your files"
        )
    return grades


def _grade_all(
    found: Sequence[Submission], job: _Job, workers: int, say: Callable[[str], None]
) -> list[Grade]:
    """One after the other, or several at a time; Ctrl-C ends what is being graded."""

    def one(numbered: tuple[int, Submission]) -> Grade:
        number, submission = numbered
        again = False
        try:
            before = _graded_before(submission, job)
            again = before is not None
            grade = before or _graded_now(submission, job)
        except Exception as error:  # none is foreseen; one row is wrong then, not the class's run
            grade = Grade(submission.name, "crashed", f"{type(error).__name__}: {error}")
        say(
            f"{number} of {len(found)}: {grade.submission}: {grade.status}, {grade.points:g} "
            f"points, {'as before' if again else f'{grade.seconds:.0f} s'}"
        )
        return grade

    pool = ThreadPoolExecutor(workers)
    try:
        grades = list(pool.map(one, enumerate(found, 1)))
    except BaseException:  # Ctrl-C: what is being graded is ended, what was graded is kept
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(_running):
            _end(process)
        raise
    pool.shutdown()
    return grades


def _instructors_folders(autograder: Path) -> list[Path]:
    """Where solutions, seed and the autograder lie, if it is where `bpttviz assign` put it."""
    folder = autograder.resolve().parent
    return [folder.parent.parent if folder.name == "instructor" else folder]


def _graded_before(one: Submission, job: _Job) -> Grade | None:
    """The grade of before, where nothing has changed since that could change it."""
    with suppress(OSError, ValueError, TypeError, KeyError):  # none yet, or another version's
        before = json.loads((job.kept / f"{one.name}.json").read_text(encoding="utf-8"))
        depends, seconds = before.pop("depends"), before.pop("allowed")
        more_time = before["out_of_time"] and job.limits.seconds > seconds
        if depends == _depends(one, job) and before["status"] == GRADED and not more_time:
            return _from_json(before)
    return None


def _graded_now(one: Submission, job: _Job) -> Grade:
    if one.problem:
        return Grade(one.name, UNREADABLE, one.problem)
    found = grade_one(one.name, one.content, job.autograder, job.limits, job.covered, job.rooms)
    about = {"depends": _depends(one, job), "allowed": job.limits.seconds}
    write_atomic(job.kept / f"{one.name}.json", json.dumps({**asdict(found), **about}))
    return found


def _depends(one: Submission, job: _Job) -> str:
    return hashlib.sha256(one.content + job.autograder).hexdigest()


def _from_json(saved: dict[str, Any]) -> Grade:
    saved["questions"] = {key: (got, of) for key, (got, of) in saved["questions"].items()}
    for key in ("errors", "remarks", "words", "unusual"):
        saved[key] = tuple(saved[key])
    return Grade(**saved)


def grade_one(
    name: str,
    content: bytes,
    autograder: bytes,
    limits: Limits,
    covered: Sequence[Path] = (),
    rooms: Path | None = None,
) -> Grade:
    """Grade one submission in a process of its own.

    Args:
        name: of the submission.
        content: its notebook, as it was handed in.
        autograder: the content of autograder.zip.
        limits: what it may take.
        covered: folders that are hidden from it.
        rooms: where its own folder is made; the system's place for such if not given.
    """
    began = time.monotonic()
    try:
        ready = prepare(content, assignment_name(autograder))
    except UnreadableSubmission as error:
        return Grade(name, UNREADABLE, str(error))
    known: dict[str, Any] = {
        "words": ready.words,
        "unusual": ready.unusual,
        "fingerprint": hashlib.sha256(ready.code.encode()).hexdigest(),
    }
    with tempfile.TemporaryDirectory(dir=rooms, ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        nbformat.write(ready.notebook, home / "submission.ipynb")
        (home / "autograder.zip").write_bytes(autograder)
        result = home / "result.json"
        ended = _run(home, result, assignment_name(autograder), limits, covered)
        known["seconds"] = time.monotonic() - began
        if not ended:
            reason = f"not done after {limits.seconds:g} s: an endless loop, or too much to compute"
            return Grade(name, "time limit", reason, **known)
        try:
            found = json.loads(result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            reason = "the process that graded it ended without a result"
            return Grade(name, "crashed", reason, **known)
    known |= {key: found[key] for key in ("isolated", "out_of_time") if key in found}
    if "error" in found:
        return Grade(name, "crashed", found["error"], **known)
    questions = {key: (got, of) for key, (got, of) in sorted(found["questions"].items())}
    errors, remarks = tuple(found["errors"]), tuple(found["remarks"])
    return Grade(name, GRADED, "", questions, errors, remarks, **known)


def assignment_name(autograder: bytes, file: Path | None = None) -> str | None:
    """Of which assignment an autograder is; None where it does not say.

    Raises:
        ValueError: it is no autograder; names the file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(autograder)) as archive:
            return json.loads(archive.read("otter_config.json")).get("assignment_name")
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ValueError(
            f"{file or 'this'} is no autograder ({error}): name the autograder.zip in the folder "
            "instructor that `bpttviz assign` made"
        ) from None


def _run(
    home: Path, result: Path, assignment: str | None, limits: Limits, covered: Sequence[Path]
) -> bool:
    """Run the worker; whether it ended by itself. What it started ends with it."""
    settings = {
        "submission": "submission.ipynb",
        "autograder": "autograder.zip",
        "assignment": assignment,
        "result": str(result),
        "gigabytes": limits.gigabytes,
        "cell_seconds": FOR_CELLS * limits.seconds,
        "covered": [str(folder) for folder in covered if may_be_covered(folder)],
    }
    (home / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, *WORKER, "settings.json"]
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home, env=_environment(home), stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        _running.add(process)
        try:
            process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            return False
        finally:
            _end(process)
            _running.discard(process)
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
