"""Fine-tuning in a thread of its own: started, stopped and waited for from any other."""

from __future__ import annotations

import asyncio
import atexit
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

from bpttviz.training.arguments import Metrics, check_metrics
from bpttviz.training.runs import Run, check_settings
from bpttviz.training.trainer import Trainer


class BackgroundTraining:
    """A fine-tuning in the background; get it from `get_or_create_training`.

    All methods may be called from any thread.

    Attributes:
        trainer: what trains; a new one after each stop.
        error: what ended training, if an exception did.
        steps: how many steps, forward, replayed and back, the update in the making has taken.
        steps_before: how many the update before took; 0 if there was none.
    """

    def __init__(self, make: Callable[[], Trainer], trainer: Trainer, metrics: Metrics):
        self.make, self.trainer, self.metrics = make, trainer, metrics
        self.error: BaseException | None = None
        self.steps = self.steps_before = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._running = False
        self._spent = False  # a trainer trains once
        self._watchers: list[Callable[[bool], None]] = []
        self._starting, self._watching = threading.Lock(), threading.Lock()

    @property
    def run(self) -> Run:
        """The run so far; while training, its potential has the current weights."""
        return self.trainer.run

    @property
    def alive(self) -> bool:
        """Whether it is training now."""
        return self._running

    @property
    def status(self) -> str:
        """ "ready", "running", "stopping", "interrupted", "failed", "stopped early", "finished"."""
        if self.alive:
            return "stopping" if self._stop.is_set() else "running"
        if self.error is not None:
            return "failed"
        run = self.run
        if not run.history and not run.validations:
            return "ready" if not self._spent else run.status
        # What a process that was killed left behind says "running", and longer runs are to go on.
        ended = run.status == "stopped early" or (
            self.trainer.progress.epoch >= self.trainer.config.epochs
        )
        return run.status if ended else "interrupted"

    def subscribe(self, watcher: Callable[[bool], None]) -> None:
        """Have ``watcher`` called at every step, in the thread that made it.

        It is told whether something happened that must not be missed: an update, a start, an end.
        """
        with self._watching:
            self._watchers.append(watcher)

    def unsubscribe(self, watcher: Callable[[bool], None]) -> None:
        """Call it no more."""
        with self._watching:
            self._watchers = [w for w in self._watchers if w != watcher]

    def start(self) -> None:
        """Train, or go on where a stop left off; nothing happens while it is training.

        Raises:
            RunError: the folder now holds something else.
        """
        with self._starting:
            if self.alive and not self._stop.is_set():
                return
            if self._thread is not None:
                self._thread.join()
            if self._spent:
                self.trainer = self.make()
            self._spent, self.error, self.steps = True, None, 0
            self._stop.clear()
            self._running = True
            # A daemon: the end of the process stops it (see `_stop_all`) instead of waiting for it.
            self._thread = threading.Thread(
                target=self._train, args=(self.trainer,), name="bpttviz training", daemon=True
            )
            self._thread.start()
        self._tell(True)

    def stop(self) -> None:
        """End it between two steps; the run is saved, and `start` goes on with it."""
        if self.alive:
            self._stop.set()
            self._tell(True)

    def wait(self) -> Run:
        """Wait until training has ended, and return the run. Starts it, if nobody has.

        Ctrl-C (a notebook's ■) stops training as `stop` does.

        Raises:
            BaseException: whatever ended training.
        """
        if not self._spent:
            self.start()
        try:
            self._join()
        except KeyboardInterrupt:
            self.stop()
            self._join()
        if self.error is not None:
            raise self.error
        return self.run

    async def ended(self) -> Run:
        """`wait`, for a caller whose event loop has other things to do meanwhile."""
        if not self._spent:
            self.start()
        try:
            while self.alive:
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:  # what Ctrl-C does to a coroutine
            self.stop()
        return self.wait()

    def _join(self, seconds: float | None = None) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def _train(self, trainer: Trainer) -> None:
        try:
            trainer.fit(
                progress=False,
                on_update=self._updated,
                stop_when=self._step,
                metrics=self.metrics,
            )
        except BaseException as error:
            self.error = error
        finally:
            # Whoever is told now must find it ended: so it is not the thread that is asked.
            self._running = False
            self._tell(True)

    def _step(self) -> bool:
        self.steps += 1
        self._tell(False)
        return self._stop.is_set()

    def _updated(self, _: Run) -> None:
        self.steps, self.steps_before = 0, self.steps
        self._tell(True)

    def _tell(self, important: bool) -> None:
        for watcher in tuple(self._watchers):
            try:
                watcher(important)
            except Exception as error:  # a view that is gone is no reason to lose a training
                self.unsubscribe(watcher)
                warnings.warn(f"training goes on unwatched: {error!r}", stacklevel=2)


_known: weakref.WeakValueDictionary[Path, BackgroundTraining] = weakref.WeakValueDictionary()
_known_lock = threading.Lock()


def get_or_create_training(
    make: Callable[[], Trainer], metrics: Metrics | None = None
) -> BackgroundTraining:
    """The training in a folder: the one that this process knows, or a new one.

    So a cell that is run again finds the training that it has started. One that goes on takes over
    the number of epochs and the patience asked for now.

    Args:
        make: makes the `Trainer`; its run has a path.
        metrics: as in `finetune`.

    Raises:
        ValueError: the trainer has no folder, or a metric has the name of a column.
        RunError: the folder holds, or a training goes on in it with, other settings.
    """
    metrics = check_metrics(metrics)
    with _known_lock:
        trainer = make()
        if trainer.run.path is None:
            raise ValueError("a training in the background needs a folder: out=...")
        path = trainer.run.path.resolve()
        training = _known.get(path)
        if training is None:
            training = BackgroundTraining(make, trainer, metrics)
            _known[path] = training
            return training
        with training._starting:
            if training.alive:
                check_settings(training.run.settings, trainer.run.settings, path)
                training.trainer.config = trainer.config
            else:
                training.trainer, training.error, training._spent = trainer, None, False
            training.make, training.metrics = make, metrics
    training._tell(True)
    return training


@atexit.register
def _stop_all() -> None:
    """A process that ends leaves runs that can be resumed."""
    running = [training for training in list(_known.values()) if training.alive]
    for training in running:
        training.stop()
    for training in running:
        training._join(10)
