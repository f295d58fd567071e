"""Several processes under MPI: rank 0 alone speaks and touches files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def world() -> Any:
    """The communicator: GPAW's where GPAW was imported before the first call, else one process."""
    from ase.parallel import world  # chooses at first use

    return world


def on_rank_zero(do: Callable[[], Result]) -> Result:
    """Have rank 0 do something; every rank gets its result, or raises its error.

    An error of rank 0 alone would leave the others waiting for ever in the next step; and what one
    rank sees of a network's file system another may not see yet.

    Raises:
        Exception: whatever ``do`` raises, on every rank.
    """
    from ase.parallel import broadcast

    result = error = None
    if world().rank == 0:
        try:
            result = do()
        except Exception as problem:
            error = problem
    result, error = broadcast((result, error), comm=world())
    if error is not None:
        error.on_every_rank = True
        raise error
    return result


def may_be_alone(error: Exception) -> bool:
    """Whether other ranks may not have met this error, and wait for this one.

    What files do to one rank alone, they do outside of `on_rank_zero`: a calculator writes its log.
    """
    return world().size > 1 and isinstance(error, OSError) and not hasattr(error, "on_every_rank")


def log(line: str) -> None:
    """Print from rank 0, at once."""
    if world().rank == 0:
        print(line, flush=True)
