"""Several processes under MPI: rank 0 alone speaks and touches files."""

from __future__ import annotations


def world():
    """The communicator: GPAW's where GPAW was imported before the first call, else one process."""
    from ase.parallel import world  # chooses at first use

    return world


def say(line: str) -> None:
    """Print from rank 0, at once."""
    if world().rank == 0:
        print(line, flush=True)
