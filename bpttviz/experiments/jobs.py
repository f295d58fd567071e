"""Command lines as jobs of a cluster or of this machine, by submitit.

A job is a command of `bpttviz`, which resumes: one that its cluster takes away goes on later.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL = 0.5  # seconds between looks at a job on this machine


@dataclass(frozen=True)
class Cluster:
    """Where jobs run, and what each gets.

    Attributes:
        kind: "local", processes of this machine; or "slurm".
        workers: jobs at the same time.
        hours: at most, of a job.
        cpus, gpus: of a job.
        partition: of SLURM; None: its default.
    """

    kind: str = "local"
    workers: int = 1
    hours: float = 24.0
    cpus: int = 1
    gpus: int = 0
    partition: str | None = None


@dataclass(frozen=True)
class JobRecord:
    """A job that was submitted.

    Attributes:
        number: as its cluster counts.
        line: the arguments of ``bpttviz``.
        state: "done", "failed" or, under SLURM, "submitted".
        log: what it printed.
    """

    number: str
    line: list[str]
    state: str
    log: Path


def run_jobs(lines: Sequence[Sequence[str]], logs: Path, cluster: Cluster) -> list[JobRecord]:
    """Submit a job for each command line; on this machine, wait for all of them.

    Args:
        lines: arguments of ``bpttviz``.
        logs: folder for what jobs print.
        cluster: where.

    Raises:
        ImportError: submitit is not installed.
        NoCluster: there is no SLURM here.
    """
    executor = _executor(logs, cluster)
    if cluster.kind == "slurm":
        with executor.batch():
            jobs = [executor.submit(CommandLine(), list(line)) for line in lines]
        return [_record(job, line, "submitted") for job, line in zip(jobs, lines, strict=True)]
    jobs = []
    for line in lines:
        while sum(not job.done() for job in jobs) >= cluster.workers:
            time.sleep(POLL)
        jobs.append(executor.submit(CommandLine(), list(line)))
    return [_record(job, line, _ended(job)) for job, line in zip(jobs, lines, strict=True)]


class CommandLine:
    """What a job does: a command of ``bpttviz``."""

    def __call__(self, line: list[str]) -> int:
        """Run it; what is not right raises, so that the cluster knows."""
        # The program itself, in the room above, is loaded by name: a job is a new process.
        status = importlib.import_module("bpttviz.cli.main").main(line)
        if status:
            raise RuntimeError(f"bpttviz {' '.join(line)} ended with exit status {status}")
        return status

    def checkpoint(self, line: list[str]) -> Any:
        """What submitit is to do when the cluster takes a job away: send it again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, line)


class NoCluster(RuntimeError):
    """The cluster that was asked for is not here."""


def _executor(logs: Path, cluster: Cluster) -> Any:
    try:
        import submitit
    except ImportError:
        raise ImportError("jobs need submitit: pip install 'bpttviz[cluster]'") from None
    try:
        executor = submitit.AutoExecutor(logs, cluster=cluster.kind)
    except RuntimeError as error:  # of its own, where there is no srun
        raise NoCluster(
            f"{cluster.kind} cannot be reached from here ({error}): submit where its commands are, "
            "or have the processes of this machine (--cluster local)"
        ) from error
    executor.update_parameters(
        name="bpttviz",
        timeout_min=max(1, round(60 * cluster.hours)),
        cpus_per_task=cluster.cpus,
        gpus_per_node=cluster.gpus,
        slurm_array_parallelism=cluster.workers,
        **({} if cluster.partition is None else {"slurm_partition": cluster.partition}),
    )
    return executor


def _ended(job: Any) -> str:
    """How a job of this machine ended."""
    return "done" if job.exception() is None else "failed"


def _record(job: Any, line: Sequence[str], state: str) -> JobRecord:
    return JobRecord(job.job_id, list(line), state, Path(job.paths.stdout))
