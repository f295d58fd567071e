"""`Ranks`: the processes that share a training, started by torchrun.

Every process holds the whole model and the same random order; each takes the gradients of its share
of a batch, and the sums are added up once an update. (Torch's own DistributedDataParallel hooks
into the backward pass and supports no second derivatives, which forces are made of.)

Processes wait for each other at three kinds of place only: `Ranks.gather`, `Ranks.from_first` and
`Ranks.sum`. What goes wrong in one of them before such a place is told to the others at it, so that
nobody waits for somebody who has left.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from bpttviz._tensor_checks import device_of_rank, started_by_torchrun
from bpttviz.training.interrupts import Stopped
from bpttviz.training.updates import TrainingError

T = TypeVar("T")

# One that died is noticed at once, as its connections close; this is for machines that vanish. It
# has to be longer than a rank may compute while the others wait (a validation's metrics, say).
LONGEST_WAIT = timedelta(hours=3)
GONE = (
    "another process of this training is gone (killed, out of memory, or its machine is lost), so "
    "it ends here. What was saved stands; the same command goes on from there, on any number of "
    "processes"
)


@dataclass(eq=False)
class Ranks:
    """This process among those that train together; alone, if nothing else is said.

    Attributes:
        rank: which one it is, from 0; the first one writes, warns and talks.
        count: how many there are.
        device: of this one: with `data_parallel("cuda")` the GPU of its number on its machine.
        stopping: set when a signal has asked this process to stop.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    stopping: threading.Event = field(default_factory=threading.Event)
    _parted: bool = False  # the others know that this process has left
    _heeds: bool = False  # alone, and SIGTERM is to stop a training, not to kill it

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def gather(self, make: Callable[[], T]) -> list[T]:
        """What ``make`` gives in each process, in their order; all get the same list, or an error.

        Raises:
            Stopped: one of them was to stop.
            TrainingError: ``make`` failed in another process, or one is gone.
            BaseException: what ``make`` raised in this one.
        """
        if self.count == 1:
            return [make()]
        mine, error = None, None
        try:
            mine = make()
        except (KeyboardInterrupt, Stopped):
            self.stopping.set()
        except BaseException as found:
            error = found
        told = None if error is None else f"{type(error).__name__}: {error}"
        heard: list[Any] = [None] * self.count
        self._together(dist.all_gather_object, heard, (mine, told, self.stopping.is_set()))
        self._parted = any(failure or stopped for _, failure, stopped in heard)
        if error is not None:
            raise error
        for rank, (_, failure, _) in enumerate(heard):
            if failure is not None:
                raise TrainingError(f"process {rank} of {self.count} could not go on: {failure}")
        if any(stopped for _, _, stopped in heard):
            raise Stopped
        return [value for value, _, _ in heard]

    def from_first(self, make: Callable[[], T]) -> T:
        """What ``make`` gives in the first process, which alone calls it. Raises as `gather`."""
        return self.gather(lambda: make() if self.first else None)[0]  # type: ignore[return-value]

    def require_same(self, what: str, value: object) -> None:
        """See that all have the same.

        Raises:
            TrainingError: they do not; names ``what``.
        """
        if any(other != value for other in self.gather(lambda: value)):
            raise TrainingError(
                f"the {self.count} processes do not have the same {what}: all must be given the "
                "same potential, data and settings"
            )

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums over all processes, by one all-reduce; the tensors are of one type and place."""
        if self.count == 1:
            return list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._together(dist.all_reduce, flat)
        pieces = flat.split([tensor.numel() for tensor in tensors])
        return [piece.view_as(like) for piece, like in zip(pieces, tensors, strict=True)]

    def leave(self, error: BaseException) -> None:
        """Tell the others that an error ends training in this process, unless they know."""
        if self.count == 1 or self._parted:
            return

        def fail() -> None:
            raise error

        # Their own words about it are for them, and this process has its own error already.
        try:
            self.gather(fail)
        except BaseException:
            return

    def asked_to_stop(self, stop_when: Callable[[], bool] | None) -> Callable[[], bool] | None:
        """``stop_when``, or a signal that came; None where neither can be."""
        if self.count == 1 and not self._heeds:
            return stop_when
        return lambda: self.stopping.is_set() or (stop_when is not None and stop_when())

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """While a process that is alone trains, SIGTERM sets `stopping`; several do so all along.

        Before and after there is nothing to save, and it ends the process as usual.
        """
        with _signals_noted(self.stopping, signal.SIGTERM) if self._heeds else nullcontext():
            yield

    def _together(self, collective: Callable[..., Any], *arguments: Any) -> None:
        try:
            collective(*arguments)
        except RuntimeError as error:  # how torch's backends say that a connection was lost
            self._parted = True
            raise TrainingError(GONE) from error


def deal(work: Sequence[float], count: int) -> list[list[int]]:
    """Places of pieces of work for each of ``count`` processes, about equally much for each.

    The largest piece goes first, each to whoever has least (R. L. Graham, SIAM J. Appl. Math. 17,
    416 (1969): at most a third longer than the best division).
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for place in sorted(range(len(work)), key=lambda place: (-work[place], place)):
        least = loads.index(min(loads))
        shares[least].append(place)
        loads[least] += work[place]
    return [sorted(share) for share in shares]


@contextmanager
def data_parallel(device: str | torch.device = "cpu") -> Iterator[Ranks]:
    """Join the other processes that torchrun started; alone, without it.

    In a script that is run by ``torchrun --nproc-per-node 4 script.py``::

        with bv.data_parallel("cuda") as ranks:
            chgnet = bv.CHGNet(device=ranks.device)
            run = bv.finetune(chgnet, data, batch_size=8, out="runs/mine", ranks=ranks)

    Inside, Ctrl-C and SIGTERM (which torchrun sends where another process has died, and SLURM at
    the end of a job's time) do not raise anything: `finetune` stops in all processes between two
    steps, and the run so far is saved. Without torchrun SIGTERM does the same while `finetune`
    trains, and Ctrl-C is what it always is.

    Args:
        device: where the potential is: sums go by NCCL on CUDA, by gloo on CPUs.

    Yields:
        `Ranks`, for `finetune`.

    Raises:
        ValueError: there is no such device.
        TrainingError: the others could not be reached.
    """
    place = device_of_rank(device)
    if not started_by_torchrun():
        yield Ranks(device=place, _heeds=True)
        return
    backend = "gloo"
    if place.type == "cuda":
        torch.cuda.set_device(place)
        backend = "cpu:gloo,cuda:nccl"  # what is said goes by gloo, which notices who is gone
    try:
        dist.init_process_group(backend, timeout=LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the other processes could not be reached: {error}") from error
    ranks = Ranks(dist.get_rank(), dist.get_world_size(), place)
    try:
        with _signals_noted(ranks.stopping, signal.SIGINT, signal.SIGTERM):
            yield ranks
    finally:
        dist.destroy_process_group()


@contextmanager
def _signals_noted(asked: threading.Event, *numbers: signal.Signals) -> Iterator[None]:
    """These signals set an event, and do nothing else."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = [signal.signal(number, lambda *_: asked.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, usual, strict=True):
            signal.signal(number, handler)
