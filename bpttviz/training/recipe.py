"""`Recipe`: an objective and a training's numbers that belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bpttviz._checks import instance_of, not_negative, positive, whole
from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.adjoints.base import Adjoint
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.relaxation.rules import GradientDescent, HeavyBall
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures
from bpttviz.training.config import TrainingConfig
from bpttviz.training.objectives import EndpointLoss, Objective
from bpttviz.training.pressure import PressureRehearsal
from bpttviz.training.rehearsal import RehearsalLoss
from bpttviz.training.replay import Replay
from bpttviz.training.schedule import CosineSchedule, Schedule
from bpttviz.training.starts import AroundEnd, JitteredStarts, MixedStarts, Starts

LONGEST_WARM_UP = 8  # updates
MEMORIES = 4  # of the average, that a training is long at least
# Of a replayed relaxation: it comes back around its end, which may move by so much, amu^½ Å.
MOMENTUM, STEPS_BACK, FREE_TO_MOVE = 0.8, 12, 1.0


@dataclass(frozen=True, eq=False)
class Recipe:
    """How we would fine-tune a pretrained potential through relaxations, and `finetune` does.

    Half of the relaxations start from the reference's start, jittered, and half from around its
    end, to which they must come back: the first teach the way, the second that it ends there. The
    learning rate goes down along the first half of a cosine, and an average of the weights is kept.
    Forces are rehearsed on structures without labels, or they get worse while ends get better. The
    numbers are from trials with CHGNet on silicon defects, and so are those that
    `bpttviz.load_run("si-defects/chgnet").card` has for each ingredient.

    Args:
        unlabelled: structures on which the potential's own forces are kept (see `RehearsalLoss` and
            `unlabelled_frames`), or None. Without, forces got 21 % worse on held-out defects where
            they get 8 % better with them, at the same ends; and minima of kinds that nobody trained
            on can be lost.
        rehearsal: weight of keeping them, amu^½ Å per eV/Å.
        pressure: weight of keeping the potential's own pressure on them (`PressureRehearsal`),
            amu^½ Å per GPa: 0.5 is what was tried. 0 leaves it, and with it the lattice constant,
            to chance.
        minima: the potential's own relaxations of such structures (`own_relaxations`), whose ends
            are to stay minima (`Replay`); or None. It takes half as long again, and keeps what
            rehearsed forces alone do not: shallow minima.
        replay: weight of keeping these.
        step_size: Å²/eV, of `GradientDescent`.
        max_step: Å, likewise; None for no limit.
        steps: K.
        starts: where the relaxations start from in training.
        resolution: q0 of the reference's ends, amu^½ Å, as of `EndpointLoss`.
        adjoint: how the gradient goes back.
        schedule: how the learning rate goes; None: up shortly, then half way down a cosine.
        average: as of `TrainingConfig`, at most 1 - 4 / updates: it begins with the pretrained
            weights, of which 0.98 would leave 90 % after five updates. So it remembers a quarter of
            a training at most, and e⁻⁴ of the pretrained weights are in it; from 200 updates on
            0.98 stays as it is. With four updates or fewer there is none: the last weights count.
        epochs, learning_rate, clip, batch_size, seed: as of `TrainingConfig`.

    Raises:
        TypeError, ValueError: an argument of another kind, or a number out of range.
    """

    unlabelled: Structures | None = None
    rehearsal: float = 3.0
    pressure: float = 0.0
    minima: RelaxationDataset | None = None
    replay: float = 1.0
    step_size: float = 0.06
    max_step: float | None = 0.2
    steps: int = 20
    starts: Starts = field(
        default_factory=lambda: MixedStarts({JitteredStarts(0.05): 0.5, AroundEnd(): 0.5})
    )
    resolution: float = 0.1
    adjoint: Adjoint = field(default_factory=CheckpointedBPTT)
    epochs: int = 5
    learning_rate: float = 1e-3
    schedule: Schedule | None = None
    average: float | None = 0.98
    clip: float | None = 1.0
    batch_size: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.unlabelled is not None:
            instance_of("unlabelled", self.unlabelled, Structures, "bv.Structures.from_ase(atoms)")
        if self.minima is not None:
            advice = "bv.own_relaxations(potential, starts)"
            instance_of("minima", self.minima, RelaxationDataset, advice)
        positive("rehearsal", self.rehearsal)
        not_negative("pressure", self.pressure)
        if self.pressure > 0 and self.unlabelled is None:
            raise ValueError("pressure is kept on unlabelled structures, and there are none")
        positive("replay", self.replay)
        whole("steps", self.steps)
        GradientDescent(self.step_size, self.max_step)
        instance_of("starts", self.starts, Starts, "bv.AroundEnd()")
        not_negative("resolution", self.resolution)
        instance_of("adjoint", self.adjoint, Adjoint, "bv.CheckpointedBPTT()")
        if self.schedule is not None:
            instance_of("schedule", self.schedule, Schedule, "bv.ConstantSchedule()")
        self.config(1)

    @property
    def rule(self) -> GradientDescent:
        """The map that is unrolled."""
        return GradientDescent(self.step_size, self.max_step)

    @property
    def stop(self) -> StoppingCriterion:
        """When it ends."""
        return StoppingCriterion(self.steps)

    def objective(self, potential: Potential) -> Objective:
        """What is minimised.

        Args:
            potential: before fine-tuning; its forces on the unlabelled structures are computed.
        """
        endpoint = EndpointLoss(self.rule, self.stop, self.adjoint, self.starts, self.resolution)
        objective: Objective = endpoint
        if self.unlabelled is not None:
            objective = objective + self.rehearsal * RehearsalLoss(potential, self.unlabelled)
            if self.pressure > 0:
                kept = PressureRehearsal(potential, self.unlabelled)
                objective = objective + self.pressure * kept
        if self.minima is not None:
            back = EndpointLoss(
                HeavyBall(self.step_size, MOMENTUM),
                StoppingCriterion(STEPS_BACK),
                CheckpointedBPTT(),
                AroundEnd(),
                FREE_TO_MOVE,
            )
            objective = objective + self.replay * Replay(back, self.minima)
        return objective

    def config(self, structures: int) -> TrainingConfig:
        """The training's numbers for so many structures to train on."""
        batch = whole("batch_size", self.batch_size)
        updates = whole("epochs", self.epochs) * math.ceil(whole("structures", structures) / batch)
        schedule = self.schedule
        if schedule is None:  # left half way down: near its end little would be learned any more
            schedule = CosineSchedule(min(LONGEST_WARM_UP, updates // 8), 2 * updates)
        config = TrainingConfig(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            clip=self.clip,
            batch_size=self.batch_size,
            seed=self.seed,
            schedule=schedule,
            average=self.average,
        )
        if config.average is None or updates <= MEMORIES:
            return replace(config, average=None)
        return replace(config, average=min(config.average, 1 - MEMORIES / updates))

    def __repr__(self) -> str:
        shown: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        if self.minima is not None:
            shown["minima"] = f"{len(self.minima)} relaxations"
        if self.unlabelled is not None:
            shown["unlabelled"] = f"{len(self.unlabelled)} structures"
        return f"Recipe({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
