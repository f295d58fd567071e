"""What users give by mistake, and what may come of it: the machinery of `test_bad_inputs`."""

from __future__ import annotations

import dis
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

PACKAGE = Path(__file__).resolve().parents[2] / "bpttviz"
DOCUMENTED = (ValueError, TypeError, LookupError, RuntimeError, ImportError, OSError)
SECONDS = 10  # of the processor, that one call may take; it may wait six times as long


class Hang(BaseException):
    """A call took too long."""


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise `Hang` in the middle of what takes too long."""

    def ring(*_):
        raise Hang(f"no answer after {SECONDS} s")

    before = [signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGALRM, signal.SIGPROF), before, strict=True):
            signal.signal(number, handler)


@dataclass(frozen=True)
class Kind:
    """What a parameter is for, as values that have to be refused, may be refused, must be taken.

    ``taken`` makes other ways to say a good value from that value.
    """

    refused: dict[str, Any]
    either: dict[str, Any] = field(default_factory=dict)
    taken: Callable[[Any], dict[str, Any]] = lambda good: {}

    def without(self, *names: str, either: bool = False) -> Kind:
        """The same, where some values are not to be refused: they are left out, or may be taken."""
        gone = {name: self.refused[name] for name in names}
        kept = {name: value for name, value in self.refused.items() if name not in names}
        return Kind(kept, {**self.either, **(gone if either else {})}, self.taken)

    def refusals(self) -> Kind:
        """The refused values alone, where a call that is answered takes long."""
        return Kind(self.refused)

    def plus(self, **refused: Any) -> Kind:
        return Kind({**self.refused, **refused}, self.either, self.taken)


def fault(call: Callable[[], Any], has_to: str) -> str:
    """What is wrong with what comes of a call that "refuse"s, "answer"s or does "either"; or ""."""
    try:
        with warnings.catch_warnings(), time_limit():
            warnings.simplefilter("ignore")
            call()
    except Hang as hang:
        return str(hang)
    except Exception as error:
        if has_to == "answer":
            return f"refused: {_line(error)}"
        return "" if _is_ours(error) else describe(error)
    return "" if has_to != "refuse" else "taken without a word"


def _is_ours(error: Exception) -> bool:
    """Whether a documented kind was raised by a `raise` of the package itself.

    An OSError is the system's; it then has to name the file.
    """
    if not isinstance(error, DOCUMENTED) or not str(error).strip("'\" "):
        return False
    if isinstance(error, OSError) and error.filename:
        return True
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    raised = code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and PACKAGE in Path(code.co_filename).parents


def describe(error: BaseException) -> str:
    """An error from inside, and where it came from."""
    return f"internal: {_line(error)}, {_place(error)}"


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if str(PACKAGE) in frame.filename]
    if not ours:
        return "outside of the package"
    return f"at {Path(ours[-1].filename).relative_to(PACKAGE)}:{ours[-1].lineno}"


# --- values ---

ANYTHING = {
    "None": None,
    "a string": "fire",
    "bytes": b"fire",
    "a class": dict,
    "a list": [1],
    "an empty list": [],
    "a dict": {"a": 1},
    "an int": 3,
    "nan": float("nan"),
    "an array": np.zeros(3),
    "a tensor": torch.zeros(3),
    "an object": object(),
    "a function": lambda *_: 0,
    "Atoms": Atoms("H2", [[0, 0, 0], [0, 0, 0.8]]),
}


def object_of(make: Callable[[], Any], optional: bool = False, either: tuple = ()) -> Kind:
    """A parameter that takes objects like the one made: anything else is refused, its class too."""
    refused = {**ANYTHING, "its class": type(make())}
    kind = Kind(refused).without(*either, either=True)
    return kind.without("None") if optional else kind


_NO_NUMBER = {
    "a string": "0.1",
    "None": None,
    "a list": [0.1],
    "an array": np.ones(2),
    "a class": float,
    "True": True,
    "a complex": 1j,
    "an object": object(),
    "nan": float("nan"),
    "inf": float("inf"),
    "-inf": float("-inf"),
    "a huge int": 10**400,
}


def _numpys(good: Any) -> dict[str, Any]:
    good = 1.0 if good is None else good
    return {
        "numpy": np.float64(good),
        "numpy's float32": np.float32(good),
        "an array of no dimension": np.array(good),
        "a tensor": torch.tensor(good),
    }


def _whole(good: Any) -> dict[str, Any]:
    good = 1 if good is None else good
    return {"numpy": np.int64(good), "a float": float(good), "a tensor": torch.tensor(good)}


NUMBER = Kind(_NO_NUMBER, taken=_numpys)
NOT_NEGATIVE = NUMBER.plus(**{"-1": -1.0, "-0.001": -0.001})
POSITIVE = NOT_NEGATIVE.plus(**{"0": 0, "0.0": 0.0})
_NOT_WHOLE = {**_NO_NUMBER, "2.5": 2.5}
del _NOT_WHOLE["a huge int"]
WHOLE = Kind(_NOT_WHOLE, taken=_whole)
COUNT_OR_0 = WHOLE.plus(**{"-1": -1})
COUNT = COUNT_OR_0.plus(**{"0": 0})
SIZE = COUNT.plus(**{"1e30": 1e30, "a huge int": 10**400})  # memory is made by it

FLAG = Kind({}, {"None": None, "a string": "no", "an int": 2})
TEXT = Kind({key: ANYTHING[key] for key in ANYTHING if key not in ("a string",)})
A_FILE = Kind(
    {
        **{key: ANYTHING[key] for key in ANYTHING if key not in ("a string", "bytes")},
        "no such file": "missing/nothing.xyz",
        "no name": "",
        "a folder": str(PACKAGE),
        "a NUL": "a\0b",
    },
    {"bytes": b"fire"},
)
DEVICE = Kind(
    {
        "unknown": "gpu",
        "not here": "cuda:99" if torch.cuda.is_available() else "cuda",
        "no name": "",
        "nonsense": "cpu:x",
        "a list": ["cpu"],
        "a class": dict,
        "None": None,
        "a dtype": torch.float32,
        "nan": float("nan"),
    }
)
DTYPE = Kind(
    {
        "a word": "float32",
        "whole numbers": torch.int64,
        "complex": torch.complex64,
        "Python's": float,
        "numpy's": np.float32,
        "an int": 32,
        "a device": torch.device("cpu"),
    }
)


def choice(*either: str) -> Kind:
    """A name among those that exist."""
    kept = {key: ANYTHING[key] for key in ANYTHING if key not in either}
    return Kind({**kept, "unknown": "nonsense", "no name": ""}, {k: ANYTHING[k] for k in either})


def nice(value: Any) -> str:
    """Short enough for a list of faults."""
    text = " ".join(repr(value).split()) if sys.getsizeof(value) < 1000 else type(value).__name__
    return text if len(text) < 50 else f"{text[:47]}..."
