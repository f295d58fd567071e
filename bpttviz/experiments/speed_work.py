"""Work that is timed side by side: as we do it, and as its nearest relative does the same."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.evaluation.rest import Relaxer
from bpttviz.experiments.cost import RULE, gradient
from bpttviz.potentials.pretrained.chgnet import CHGNet
from bpttviz.potentials.pretrained.mace import MACE
from bpttviz.profiling import time_spent
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import FIRE
from bpttviz.relaxation.stopping import StoppingCriterion

ATOMS = 64


class Pair(NamedTuple):
    """Two ways to do one piece of work.

    Attributes:
        ours, theirs: do it once; what they return is compared by ``apart``.
        apart: how far two results are from each other, Å or a ratio; None: there are none.
        times: theirs is a part of the work, which is counted as often.
    """

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    apart: Callable[[Any, Any], float] | None = None
    times: float = 1.0


class Work(ABC):
    """A row of the table.

    Attributes:
        name: of the row.
        against: what we are compared with.
        target: how many times as fast we want to be.
        needs: packages beside our own.
    """

    name: str
    against: str
    target: float
    needs: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """Why it cannot be timed here, in words; None where it can."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"{', '.join(absent)} is not installed" if absent else None

    def seconds(self, job: Callable[[], Any]) -> float:
        """What counts of one repetition: the processor's time, as another program may be about."""
        spent = time_spent(job)
        return spent["user"] + spent["system"]

    @abstractmethod
    def prepare(self) -> Pair:
        """All that comes before the first second counts."""


@dataclass(frozen=True)
class ToRest(Work):
    """Silicon defects to rest with CHGNet: our pool of structures against its own optimiser.

    Args:
        count: how many defects of 64 atoms.
        fmax: eV/Å.
        steps: at most so many for each.
    """

    count: int = 32
    fmax: float = 0.05
    steps: int = 500
    name = "structures to rest, CHGNet"
    against = "chgnet's StructOptimizer, one by one"
    target = 2.5

    def prepare(self) -> Pair:
        from chgnet.model.dynamics import StructOptimizer

        potential = CHGNet()
        starts = _defects(self.count).starts()
        single = StructOptimizer(potential.network, optimizer_class="FIRE", use_device="cpu")

        def ours() -> Tensor:
            return Relaxer(self.fmax, self.steps).run(potential, starts).structures.positions

        def theirs() -> Tensor:
            ends = []
            for atoms in starts.to_ase():
                single.relax(
                    atoms, fmax=self.fmax, steps=self.steps, relax_cell=False, verbose=False,
                    assign_magmoms=False,
                )  # fmt: skip
                ends.append(torch.as_tensor(atoms.positions))
            return torch.cat(ends)

        return Pair(ours, theirs, lambda a, b: float((a - b).norm(dim=1).max()))


@dataclass(frozen=True)
class FixedSteps(Work):
    """So many FIRE steps of several structures with one MACE, against torch-sim.

    Args:
        count: how many defects of 64 atoms, in one batch.
        steps: of FIRE.
        file: a checkpoint of MACE's that is trusted; None: a network as large as the small
            foundation model with weights drawn at random, which a step's time does not depend on.
        device: where it runs.
    """

    count: int = 6
    steps: int = 100
    file: Path | None = None
    device: str = "cpu"
    name = "FIRE steps, MACE"
    against = "torch-sim"
    target = 1.2
    needs = ("mace", "torch_sim")

    def prepare(self) -> Pair:
        import torch_sim
        from torch_sim.models.mace import MaceModel

        potential = MACE(
            _random_mace() if self.file is None else self.file, self.device, trusted=True
        )
        starts = _defects(self.count).starts().to(self.device)
        place, dtype = torch.device(self.device), potential.dtype
        model = MaceModel(
            potential.network, device=place, dtype=dtype, compute_forces=True, compute_stress=False
        )
        begin, step = torch_sim.optimizers.fire(model)  # as in its versions before 0.4
        crystals = starts.to_ase()

        def ours() -> Tensor:
            with torch.no_grad():
                end = relax(potential, starts, FIRE(), StoppingCriterion(self.steps)).final
            return end.positions.cpu()

        def theirs() -> Tensor:
            state = begin(torch_sim.io.atoms_to_state(crystals, place, dtype))
            for _ in range(self.steps):
                state = step(state)
            return state.positions.detach().cpu().to(torch.float64)

        return Pair(ours, theirs, lambda a, b: float((a - b).norm(dim=1).max()))


@dataclass(frozen=True)
class Ranks(Work):
    """Updates of CHGNet on several structures: two processes under torchrun against one.

    Args:
        count: structures in an update.
        steps: K.
        processes: how many.
    """

    count: int = 8
    steps: int = 4
    processes: int = 2
    name = "an update on two processes"
    against = "the same on one"
    target = 1.8

    def prepare(self) -> Pair:
        def on(processes: int) -> Callable[[], list[float]]:
            command = [
                sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes),
                "-m", __name__, str(self.count), str(self.steps),
            ]  # fmt: skip

            def job() -> list[float]:
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
                return json.loads(done.stdout.splitlines()[-1])

            return job

        def losses_apart(a: list[float], b: list[float]) -> float:
            return max(abs(x - y) / abs(y) for x, y in zip(a[1:], b[1:], strict=True))

        return Pair(on(self.processes), on(1), losses_apart)

    def seconds(self, job: Callable[[], Any]) -> float:
        """On the clock, without what processes need to begin."""
        return job()[0]


@dataclass(frozen=True)
class OnDevice(Work):
    """One gradient through K steps of many structures on a GPU, against this machine's CPUs.

    The CPUs take a few of them, and are counted as often as there are more: one goes after another.

    Args:
        device: the GPU.
        count: structures of 64 atoms.
        steps: K.
        on_cpu: structures that the CPUs take.
    """

    device: str = "cuda"
    count: int = 64
    steps: int = 40
    on_cpu: int = 1
    name = "a gradient on a GPU"
    against = "the CPUs, structures counted"
    target = 100.0

    def missing(self) -> str | None:
        return None if torch.cuda.is_available() else "no CUDA device here"

    def prepare(self) -> Pair:
        def on(device: str, count: int) -> Callable[[], Tensor]:
            potential = CHGNet(device=device)
            defects = _defects(count)
            start, end = defects.starts().to(device), defects.ends().to(device)

            def job() -> Tensor:
                _, found = gradient(potential, start, end, CheckpointedBPTT(), self.steps)
                return torch.cat([g.reshape(-1) for g in found if g is not None]).cpu()

            return job

        ours, theirs = on(self.device, self.count), on("cpu", self.on_cpu)
        return Pair(ours, theirs, times=self.count / self.on_cpu)

    def seconds(self, job: Callable[[], Any]) -> float:
        """On the clock, when the GPU has done it all."""
        return time_spent(job, self.device)["seconds"]


def _defects(count: int) -> RelaxationDataset:
    """The first so many of the shipped silicon defects with 64 atoms, again and again."""
    data = load_dataset("si-defects").all
    of_64 = [r for r in data if len(r.start.numbers) == ATOMS]
    rounds = (divmod(place, len(of_64)) for place in range(count))
    return RelaxationDataset(
        [replace(of_64[place], name=f"{of_64[place].name}-{again}") for again, place in rounds]
    )


def _random_mace() -> nn.Module:
    """A MACE as large as the small MACE-MP-0 (its published settings), its forces gentle."""
    from e3nn import o3
    from mace import modules

    torch.manual_seed(0)
    elements = sorted({int(n) for r in load_dataset("si-defects").all for n in r.start.numbers})
    return modules.ScaleShiftMACE(
        r_max=6.0,
        num_bessel=10,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        num_interactions=2,
        num_elements=len(elements),
        hidden_irreps=o3.Irreps("128x0e"),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=torch.zeros(len(elements)).numpy(),
        avg_num_neighbors=60.0,
        atomic_numbers=elements,
        correlation=3,
        gate=nn.functional.silu,
        atomic_inter_scale=0.1,
        atomic_inter_shift=0.0,
    )


def _one_update(count: str, steps: str) -> list[float] | None:
    """Seconds of the second update, and its loss; of several processes the first one says it."""
    from bpttviz.training.finetune import finetune
    from bpttviz.training.objectives import EndpointLoss
    from bpttviz.training.ranks import data_parallel

    with data_parallel() as ranks:
        torch.set_num_threads(1)
        run = finetune(
            CHGNet(),
            _defects(int(count)),
            EndpointLoss(RULE, StoppingCriterion(int(steps))),
            epochs=2,
            batch_size=int(count),
            progress=False,
            ranks=ranks,
        )
        if not ranks.first:
            return None
    return [run.history[1]["seconds"], run.history[1]["loss"]]


if __name__ == "__main__":  # one of the processes of `Ranks`
    if (found := _one_update(*sys.argv[1:])) is not None:
        print(json.dumps(found))
