"""Hidden tests, run in a submission's kernel when its own cells are done.

A test that fails is tried once more with the right answers to earlier questions, so that a mistake
costs once. An answer that never ends, or ends the program, fails its own tests and no other.
"""

from __future__ import annotations

import builtins
import inspect
import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from IPython import get_ipython

from bpttviz.teaching.assignments.checks import on_copies
from bpttviz.teaching.assignments.library import earlier_answers
from bpttviz.teaching.code_errors import line_that_stops, untouched

CARRIED = "counted with the right answers to earlier questions"
NOT_JUDGED = "not judged: an answer to an earlier question ended the tests"
NO_END = "it does not end"
AGAIN = 5  # what did not end gets this part of the time when it is tried again
WAITS = 4  # times as long may an answer take by the clock, which sleeps and busy machines stretch


class TooLong(BaseException):
    """An answer's time is up; no ``except Exception`` of a student's catches it."""


def run(assignment: str, paths: Sequence[str], result: str, seconds: float) -> None:
    """Run tests on what is defined now, and write otter's results.

    Args:
        assignment: its name.
        paths: of otter's test files, one a question.
        result: file that otter reads its results from.
        seconds: of processor time for one test.
    """
    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files import GradingResults, create_test_file
    from otter.test_files.abstract_test import TestCaseResult

    names = get_ipython().user_ns
    files = [create_test_file(path, NBMetadataConfig()) for path in sorted(paths)]
    for file in files:
        file.test_case_results = [
            TestCaseResult(case, NOT_JUDGED, False) for case in file.test_cases
        ]
    try:
        for file in files:
            file.test_case_results = judge(assignment, file.name, file.test_cases, names, seconds)
    finally:  # what was judged until then counts, whatever ended it
        Path(result).write_bytes(pickle.dumps(GradingResults(files)))


def judge(
    assignment: str, question: str, cases: Sequence[Any], names: dict[str, Any], seconds: float
) -> list[Any]:
    """Otter's result of each test of a question; its message says what was special about it."""
    from otter.test_files.abstract_test import TestCaseResult

    endless: BaseException | None = None
    right: dict[str, Any] | None = None
    found = []
    for case in cases:
        failed = endless or _failure(case.body, names, seconds)
        endless = failed if isinstance(failed, TooLong) else endless
        message = _missing(case.body, names) if failed else ""
        message = message or ("" if failed is None else _why(failed, case.body))
        again = seconds / AGAIN if endless else seconds
        if failed and right is None:
            right = _right(assignment, question, names, again)
        if failed and right:
            with patch.dict(names, right):
                still = _failure(case.body, names, again)
            if still is None:
                failed, message = None, CARRIED
            elif isinstance(still, TooLong):
                right = {}  # it is this answer that does not end
        found.append(TestCaseResult(test_case=case, message=message, passed=failed is None))
    return found


def _right(
    assignment: str, question: str, names: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """Right answers to what a question builds on; some are found by a student's own code."""
    try:
        with _limited(seconds):
            return earlier_answers(assignment, question.lstrip("q"), names)
    except BaseException:  # as in a test
        return {}


def _failure(test: Any, names: Mapping[str, Any], seconds: float) -> BaseException | None:
    """What ended a test; None where it passed."""
    try:
        with _limited(seconds):
            test.call_func({name: on_copies(value) for name, value in names.items()})
    except BaseException as error:  # exit() and the end of an endless loop are none of Exception
        return error
    return None


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises TooLong after so much processor time, or `WAITS` times as much by the clock."""
    timers = (signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, WAITS)

    def ring(*_: Any) -> None:
        raise TooLong

    before = [signal.signal(number, ring) for _, number, _ in timers]
    try:
        for timer, _, times in timers:
            signal.setitimer(timer, times * seconds)
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)
        for (_, number, _), handler in zip(timers, before, strict=True):
            signal.signal(number, handler)


def _missing(test: Any, names: Mapping[str, Any]) -> str:
    """What a test asks for and is not there, as where its cell was deleted or renamed."""
    asked = inspect.signature(test.test_func).parameters
    gone = [name for name in asked if name not in names]
    if gone:
        return f"there is no `{'`, `'.join(gone)}` in the notebook"
    untried = [name for name in asked if names[name] is ... or untouched(names[name])]
    return f"`{'`, `'.join(untried)}` not answered" if untried else ""


def _why(error: BaseException, test: Any) -> str:
    """Where a student's code stopped. Its error's text is left out: it may hold hidden numbers."""
    if isinstance(error, TooLong):
        return NO_END
    line = line_that_stops(error, without=[test.test_func.__code__.co_filename])
    if not line:
        return ""
    kind = type(error)
    known = getattr(builtins, kind.__name__, None) is kind
    return f"your code stops at `{line}` with {kind.__name__ if known else 'an error'}"
