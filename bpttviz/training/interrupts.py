"""Stopping a training between two steps, and never in the middle of an update or a save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bpttviz.potentials.base import Potential, Prediction


class Stopped(BaseException):
    """``stop_when`` said so. Like Ctrl-C it is no `Exception`: nothing on its way may keep it."""


@contextmanager
def stoppable(potential: Potential, stop_when: Callable[[], bool] | None) -> Iterator[None]:
    """Have ``stop_when`` asked at every step of every pass, and training ended when it says so.

    A step evaluates forces, on the way forward and when it is replayed; through kept graphs
    (`FullBPTT`) and in a solver's products (`ImplicitAdjoint`) a gradient comes back to them. So
    this watches the potential: objectives, adjoints and the loop need to know nothing of it, and it
    works in whichever thread PyTorch runs the backward pass (on CUDA it is one of its own).
    """
    if stop_when is None:
        yield
        return

    def ask(*_: object) -> None:
        if stop_when():
            raise Stopped

    def watch(module: object, inputs: object, prediction: Prediction) -> None:
        if prediction.forces.requires_grad:
            prediction.forces.register_hook(ask)

    hooks = [potential.register_forward_pre_hook(ask), potential.register_forward_hook(watch)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def no_interrupt(discard: bool = False) -> Iterator[None]:
    """Hold Ctrl-C back until the block is done: an update or a save happens whole or not at all.

    Args:
        discard: forget it instead of raising it afterwards (training has already ended).

    Raises:
        KeyboardInterrupt: (afterwards) Ctrl-C was pressed meanwhile, and nobody handles it
            otherwise.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[bool] = []
    usual = signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if held and not discard:
        signal.raise_signal(signal.SIGINT)
