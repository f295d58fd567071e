"""Trainings in several real processes, as torchrun starts them."""

import multiprocessing
import os
import socket

from springs import network
from taught import objective, references

import bpttviz as bv
from bpttviz.training.ranks import data_parallel

DATA = references(9)
TRAIN, VALIDATION, LOST = DATA[:7], DATA[7:], "r4"
# An uneven last batch, an average, a validation, a draw for each structure, and one without a loss.
NUMBERS = {"epochs": 2, "learning_rate": 0.02, "batch_size": 3, "average": 0.5, "seed": 1}


class Sometimes(bv.EndpointLoss):
    """One structure never has a loss."""

    def loss(self, potential, chosen, draw=None):
        value = super().loss(potential, chosen, draw)
        return value * float("nan") if LOST in chosen.names else value


def goal():
    usual = objective(learnable=True)
    kept = bv.RehearsalLoss(network(seed=4), TRAIN.starts(), count=2)
    return Sometimes(usual.rule, usual.stop, starts=bv.JitteredStarts(0.05)) + 0.1 * kept


def train(ranks=None, out=None, **changes):
    return bv.finetune(
        network(), TRAIN, goal(), validation=VALIDATION, out=out, ranks=ranks, progress=False,
        **{**NUMBERS, **changes},
    )  # fmt: skip


def in_processes(count, function, *arguments):
    """Start ``function(ranks, *arguments)`` in each of them; (process, pipe) of each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bpttviz.training.finetune", "bpttviz.training.runs"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for rank in range(count):
        receiver, sender = context.Pipe(duplex=False)
        place = {
            "RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank,
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        process = context.Process(
            target=_one, args=(place, sender, function, arguments), daemon=True
        )
        process.start()
        sender.close()
        started.append((process, receiver))
    return started


def results(started):
    """The last that each process said; an exception's name and words, where it ended with one."""
    found = []
    for process, receiver in started:
        last = None
        try:
            while True:
                last = receiver.recv()
        except EOFError:
            found.append(last)
        process.join(60)
    return found


def _one(place, sender, function, arguments):
    os.environ |= {name: str(value) for name, value in place.items()}
    try:
        with data_parallel() as ranks:
            sender.send(function(ranks, sender, *arguments))
    except Exception as error:
        sender.send((type(error).__name__, str(error)))


def as_dictionary(run):
    """What can be sent of a run."""
    return {
        "weights": {k: v.detach().numpy() for k, v in run.potential.state_dict().items()},
        "step": float(run.rule.step_size.detach()),
        "history": run.history, "validations": run.validations, "status": run.status,
    }  # fmt: skip


def whole(ranks, sender, out):
    """Train to the end."""
    return as_dictionary(train(ranks, out))


def until_killed(ranks, sender, out):
    """Train slowly, and tell of every update."""
    from bpttviz.training import trainer

    trainer.SECONDS_BETWEEN_SAVES = 0.0
    sender.send(os.getpid())
    run = bv.finetune(
        network(), TRAIN, goal(), validation=VALIDATION, out=out, ranks=ranks, progress=False,
        on_update=lambda run: sender.send(len(run.history)), **{**NUMBERS, "epochs": 200},
    )  # fmt: skip
    return run.status


class Fails(bv.EndpointLoss):
    """An objective that the second process cannot compute."""

    def loss(self, potential, chosen, draw=None):
        if os.environ["RANK"] == "1":
            raise OSError("the disk is gone")
        return super().loss(potential, chosen, draw)


def fails_in_the_second(ranks, sender):
    """An error in one process."""
    return bv.finetune(
        network(), TRAIN, Fails(), ranks=ranks, progress=False, **NUMBERS
    ).status  # fmt: skip


def other_settings(ranks, sender):
    """Not the same in all of them."""
    return train(ranks, learning_rate=0.02 + 0.01 * ranks.rank).status


def stops(ranks, sender):
    """Only the second is told to stop."""
    train_until = (lambda: True) if ranks.rank else None
    run = bv.finetune(
        network(), TRAIN, goal(), ranks=ranks, stop_when=train_until, progress=False, **NUMBERS
    )  # fmt: skip
    return run.status
