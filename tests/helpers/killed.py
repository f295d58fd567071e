"""Processes that train until they are killed: forked from one that has everything imported."""

import multiprocessing
import threading
import time

from springs import network
from taught import SETTINGS, objective, references
from tqdm.auto import tqdm

import bpttviz as bv
from bpttviz.training import checkpoint, trainer

CALL = {**SETTINGS, "epochs": 6}


def train(out, sender):
    """Train in ``out``; what it comes to, or the words of a refusal, go through the pipe."""
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a kill would leave behind
    trainer.SECONDS_BETWEEN_SAVES = 0.0  # a save after every update: that is where kills hurt
    try:
        run = bv.finetune(
            network(), references(), objective(True), **CALL, out=out,
            on_update=lambda run: sender.send(len(run.history)),
        )  # fmt: skip
        sender.send(run.status)
    except checkpoint.RunError as error:
        sender.send(str(error))


def train_until_told(out, sender):
    """The same as a command trains: saved at the end only, unless a signal is heeded."""
    tqdm.set_lock(threading.RLock())
    with bv.data_parallel() as ranks:
        run = bv.finetune(
            network(), references(), objective(True), **CALL, out=out, ranks=ranks,
            on_update=lambda run: sender.send(len(run.history)) or time.sleep(0.05),
        )  # fmt: skip
    sender.send(run.status)


def start(out, target=train):
    """(process, the end of the pipe that hears of it)."""
    context = multiprocessing.get_context("forkserver")
    # What takes long to import. (Not this module: Python 3.11 tells the server no paths.)
    context.set_forkserver_preload(["bpttviz.training.finetune", "bpttviz.training.runs"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(out, sender), daemon=True)
    process.start()
    sender.close()
    return process, receiver


def last_words(receiver):
    """The last that a process said before its end."""
    words = None
    try:
        while True:
            words = receiver.recv()
    except EOFError:
        return words
