"""What `robustness` trains again and again: walkers in a plane, and defects in silicon."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bpttviz._checks import not_negative, positive, sequence_of, whole
from bpttviz.datasets.library import load_dataset
from bpttviz.datasets.relaxations import (
    ReferenceRelaxation,
    ReferenceTrajectory,
    RelaxationDataset,
)
from bpttviz.distances import displacements
from bpttviz.evaluation.rest import Relaxer
from bpttviz.potentials.base import Potential
from bpttviz.potentials.landscape import Landscape, Wells, Window, places, walkers
from bpttviz.potentials.small.painn import PaiNN
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT, FullBPTT
from bpttviz.relaxation.relax import relax
from bpttviz.relaxation.rules import GradientDescent, UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures
from bpttviz.training.config import TrainingConfig
from bpttviz.training.finetune import finetune
from bpttviz.training.objectives import EndpointLoss
from bpttviz.training.runs import Run
from bpttviz.training.schedule import CosineSchedule
from bpttviz.training.starts import AroundEnd, JitteredStarts, MixedStarts

PRETRAINING = 300  # updates of a landscape's model, by forces

# One training's losses, and potentials by the number of updates they have had; 0 is untrained.
Trained = tuple[list[float], dict[int, Potential]]


class Problem(ABC):
    """A potential, relaxations to train on and to judge by, and how they are drawn in a plane.

    Attributes:
        name: of the problem.
        potential: the untrained one.
        training, held_out: reference relaxations.
        relaxer: how held-out structures come to rest.
        noise_floor: resolution of ends, amu^½ Å.
        max_step: of the procedures, Å.
        axes, window: of the plane that `flatten` maps to.
        ground_shape: rows and columns of `ground`; () where there is none.
        highest: eV above the lowest, where `ground` ends.
    """

    name: str
    potential: Potential
    training: RelaxationDataset
    held_out: RelaxationDataset
    relaxer: Relaxer
    noise_floor: float
    max_step: float
    axes: tuple[str, str]
    window: tuple[tuple[float, float], tuple[float, float]]
    ground_shape: tuple[int, ...] = ()
    highest: float = 1.0

    @abstractmethod
    def train(self, rule: UpdateRule, stop: StoppingCriterion) -> Trained:
        """Fine-tune a copy through relaxations of this kind."""

    @abstractmethod
    def flatten(self, trajectory: Tensor) -> np.ndarray:
        """Paths (walkers shown, T+1, 2) in the plane, of the held-out relaxations (T+1, N, 3) Å."""

    @abstractmethod
    def goals(self) -> np.ndarray:
        """Where those paths should end (walkers shown, 2)."""

    def ground(self, potential: Potential) -> np.ndarray | None:
        """The energy over the plane (rows, columns) eV, row 0 lowest; None where it has none."""
        return None

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """JSON-able constructor arguments."""


class LandscapeProblem(Problem):
    """A landscape that cannot be the truth learns where walkers end: that of notebook 03.

    The truth is a valley with a hill on its flank, and has one minimum. The model is one valley
    without a hill, pretrained on forces.

    Args:
        training, held_out: how many walkers.
        updates: of Adam, all training walkers in each.
        learning_rate: the largest, of a cosine.
        seed: of the walkers' starts.
    """

    name = "walkers on a landscape"
    max_step = 0.5
    noise_floor = 1e-3
    axes = ("x / Å", "y / Å")
    ground_shape = (21, 24)
    shown = 6  # walkers whose paths are kept

    def __init__(
        self,
        training: int = 8,
        held_out: int = 12,
        updates: int = 40,
        learning_rate: float = 0.03,
        seed: int = 0,
    ):
        count = whole("training", training), whole("held_out", held_out)
        self.updates = whole("updates", updates)
        self.learning_rate = positive("learning_rate", learning_rate)
        self.seed = whole("seed", seed, least=0)
        self.truth = Wells([[0.5, -0.3], [0.3, 0.1]], [0.8, -0.5], [0.8, 0.35], bowl=0.4)
        walked = self._walked(sum(count))
        self.training, self.held_out = walked[: count[0]], walked[count[0] :]
        self.potential = self._pretrained()
        self.relaxer = Relaxer(fmax=1e-3)
        view = Window()
        self.window = (view.x, view.y)

    def _walked(self, count: int) -> RelaxationDataset:
        """Walkers from random starts, relaxed on the truth; eight labelled frames on each way."""
        draw = torch.Generator().manual_seed(self.seed)
        low, high = torch.tensor([[-1.3, -1.0], [1.3, 1.3]], dtype=torch.float64)
        starts = low + (high - low) * torch.rand(count, 2, generator=draw, dtype=torch.float64)
        with torch.no_grad():
            true = relax(
                self.truth,
                walkers(starts),
                GradientDescent(0.1, None),
                StoppingCriterion(300, 1e-6),
            )
        way = places(true.trajectory)
        references = []
        for i in range(count):
            atoms, frames = slice(2 * i, 2 * i + 2), slice(0, 16, 2)
            labelled = ReferenceTrajectory(
                true.trajectory[frames, atoms], true.energy[frames, i], true.forces[frames, atoms]
            )
            first, last = walkers(way[0, i]), walkers(way[-1, i])
            name = f"walker {i}"
            references.append(ReferenceRelaxation(name, name, first, last, labelled))
        return RelaxationDataset(references)

    def _pretrained(self) -> Landscape:
        """The best that one valley can be, by its forces on the training walkers' frames."""
        model = Wells([[0.2, 0.0]], [0.8], [0.7], bowl=0.3)
        frames = [r.trajectory for r in self.training if r.trajectory is not None]
        seen = torch.cat([places(t.positions) for t in frames]).reshape(-1, 2)
        right = self.truth.energy_and_force(seen)[1]
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, PRETRAINING)
        for _ in range(PRETRAINING):
            x = seen.clone().requires_grad_()
            (slope,) = torch.autograd.grad(model.surface(x).sum(), x, create_graph=True)
            loss = (-slope - right).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return model

    def train(self, rule: UpdateRule, stop: StoppingCriterion) -> Trained:
        """All training walkers at once, which on a landscape is several times as fast."""
        model, objective = copy.deepcopy(self.potential), EndpointLoss(rule, stop, FullBPTT())
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.updates)
        kept = {max(1, self.updates // 8), max(1, self.updates // 3), self.updates}
        losses, stages = [], {0: copy.deepcopy(model)}
        for update in range(1, self.updates + 1):
            loss = objective.loss(model, self.training)
            usable = loss[loss.isfinite()]
            losses.append(float(usable.detach().mean()) if len(usable) else math.nan)
            if len(usable):
                optimizer.zero_grad()
                usable.mean().backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            schedule.step()
            if update in kept:
                stages[update] = copy.deepcopy(model)
        return losses, stages

    def flatten(self, trajectory: Tensor) -> np.ndarray:
        """x and y of the first walkers."""
        return places(trajectory)[:, : self.shown].transpose(0, 1).numpy()

    def goals(self) -> np.ndarray:
        """x and y of their reference ends."""
        return places(self.held_out.ends().positions)[: self.shown].numpy()

    def ground(self, potential: Potential) -> np.ndarray:
        """The model's surface over the window."""
        assert isinstance(potential, Landscape)
        rows, columns = self.ground_shape
        (x0, x1), (y0, y1) = self.window
        x, y = np.linspace(x0, x1, columns), np.linspace(y0, y1, rows)
        points = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
        return potential.energy_and_force(points)[0].numpy().reshape(rows, columns)

    def config(self) -> dict[str, Any]:
        return {
            "training": len(self.training),
            "held_out": len(self.held_out),
            "updates": self.updates,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
        }


class DefectProblem(Problem):
    """`PaiNN`, fine-tuned on silicon defects, judged on kinds that it has not trained on.

    A relaxation of N atoms is drawn in two coordinates: how much of the way from the reference's
    start to its end it has gone, and how far off that straight way it is, in parts of its length.

    Args:
        training: names of relaxations to train on.
        held_out: names of those to judge by, of the validation part.
        epochs, learning_rate: of training.
        seed: as of `TrainingConfig`.
        noise_floor: amu^½ Å.
    """

    name = "silicon defects, PaiNN"
    max_step = 0.2
    axes = ("part of the way to the reference end", "off the straight way, in parts of it")
    window = ((-0.1, 1.5), (-0.05, 1.05))

    def __init__(
        self,
        training: tuple[str, ...] = (
            "002_split_Si", "004_divac_Si", "005_tet_Si", "006_sub_As", "007_subsub_Sn",
            "114_tet_P", "204_split_Ge", "205_sub_B", "209_subsub_P", "214_sub_Ga", "229_subsub_Sb",
            "240_tet_Ge",
        ),
        held_out: tuple[str, ...] = ("000_vac_Si", "203_subsub_Ge", "211_tet_Al", "247_tet_Al"),
        epochs: int = 2,
        learning_rate: float = 1e-3,
        seed: int = 0,
        noise_floor: float = 0.08,
    ):  # fmt: skip
        data = load_dataset("si-defects").all
        self.training = data[sequence_of("training", training, str, '["002_split_Si"]')]
        self.held_out = data[sequence_of("held_out", held_out, str, '["000_vac_Si"]')]
        self.epochs, self.seed = whole("epochs", epochs), whole("seed", seed, least=0)
        self.learning_rate = positive("learning_rate", learning_rate)
        self.noise_floor = not_negative("noise_floor", noise_floor)
        self.potential = PaiNN.pretrained()
        self.relaxer = Relaxer(fmax=0.01)

    def train(self, rule: UpdateRule, stop: StoppingCriterion) -> Trained:
        """As `Recipe` does, without rehearsal, in few updates."""
        updates = self.epochs * len(self.training)
        starts = MixedStarts({JitteredStarts(0.05): 0.5, AroundEnd(): 0.5})
        middle: dict[int, Potential] = {}

        def keep(run: Run) -> None:
            if len(run.history) == updates // 2:
                middle[updates // 2] = copy.deepcopy(run.potential)

        run = finetune(
            self.potential,
            self.training,
            EndpointLoss(rule, stop, CheckpointedBPTT(), starts, resolution=0.1),
            TrainingConfig(
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                schedule=CosineSchedule(min(3, updates // 4)),
                average=0.85,
                seed=self.seed,
            ),
            progress=False,
            on_update=keep,
        )
        losses = [math.nan if h["loss"] is None else h["loss"] for h in run.history]
        return losses, {0: self.potential, **middle, updates: run.potential}

    def flatten(self, trajectory: Tensor) -> np.ndarray:
        """Along the way, and off it."""
        starts, ends = self.held_out.starts(), self.held_out.ends()
        return np.stack([_along(starts, ends, x) for x in trajectory], axis=1)

    def goals(self) -> np.ndarray:
        """All of the way, and not off it."""
        return np.array([[1.0, 0.0]] * len(self.held_out))

    def config(self) -> dict[str, Any]:
        return {
            "training": list(self.training.names),
            "held_out": list(self.held_out.names),
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
            "noise_floor": self.noise_floor,
        }


def _along(starts: Structures, ends: Structures, positions: Tensor) -> np.ndarray:
    """Of B structures at ``positions`` (N, 3): part of the way, and how far off it (B, 2)."""
    weight = starts.masses.sqrt()[:, None]
    index, count = starts.structure_index, len(starts)
    whole_way = displacements(starts, ends) * weight
    gone = displacements(starts, starts.with_positions(positions)) * weight

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(count).index_add_(0, index, values.sum(1))

    squared = total(whole_way**2)
    part = total(gone * whole_way) / squared
    off = total((gone - part[index, None] * whole_way) ** 2).sqrt() / squared.sqrt()
    return torch.stack([part, off], 1).numpy()
