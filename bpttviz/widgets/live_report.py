"""`LiveReport`: what was measured of a training so far, a report that grows while it goes on."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from bpttviz.datasets.relaxations import RelaxationDataset
from bpttviz.evaluation.evaluate import evaluate
from bpttviz.evaluation.report import Report
from bpttviz.potentials.base import Potential
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.training.interrupts import Stopped, stoppable

BEFORE = "before"
T = TypeVar("T")
MOST = 12  # measurements that are kept; then every other one is dropped, never the latest


class GivenUp(RuntimeError):
    """Nobody wanted a measurement any more, and it ended between two steps."""


class LiveReport:
    """Evaluations of one potential, before training and after ever more updates.

    May be asked from several threads: one measures at a time, the others wait.

    Args:
        potential: before training.
        held_out: relaxations that it is measured on.
        rule, stop: the map.
        noise_floor: amu^½ Å, of the reference ends; None where it is not known.
        unwanted: asked at every step of a measurement: whether to give it up (`GivenUp`).
    """

    def __init__(
        self,
        potential: Potential,
        held_out: RelaxationDataset,
        rule: UpdateRule,
        stop: StoppingCriterion,
        noise_floor: float | None = None,
        unwanted: Callable[[], bool] = lambda: False,
    ):
        self._unwanted = unwanted
        self._held_out, self._map, self._noise_floor = held_out, (rule, stop), noise_floor
        # A copy is measured: a training watches every call of its own potential.
        self._probe = copy.deepcopy(potential)
        self._lock = threading.RLock()
        self._report: Report | None = None

    @property
    def report(self) -> Report:
        """What was measured: "before" (now, if nothing was), then "N updates"."""
        with self._lock:
            if self._report is None:
                self._report = self._measured(BEFORE)
            return self._report

    @property
    def stages(self) -> list[str]:
        """Names of the potentials after "before", by number of updates."""
        return self.report.potentials[1:]

    def add(self, potential: Potential, updates: int) -> bool:
        """Measure ``potential``; False where it was measured after so many updates already."""
        name = f"{updates} updates"
        with self._lock:
            stages = self.stages
            if name in stages:
                return False
            self._probe.load_state_dict(potential.state_dict())
            dropped = set(stages[-2::-2]) if len(stages) >= MOST else set()
            self._report = _without(self.report, dropped).merge(self._measured(name))
        return True

    def _measured(self, name: str) -> Report:
        try:
            with stoppable(self._probe, self._unwanted):
                return evaluate(
                    {name: self._probe}, self._held_out, *self._map,
                    noise_floor=self._noise_floor, progress=False,
                )  # fmt: skip
        except Stopped:
            raise GivenUp(f"measuring {name!r} was given up") from None


def _without(report: Report, dropped: set[str]) -> Report:
    """The report without some of its potentials."""

    def kept(known: Mapping[tuple[str, str], T]) -> dict[tuple[str, str], T]:
        return {key: value for key, value in known.items() if key[0] not in dropped}

    return Report(
        [row for row in report.rows if row.potential not in dropped],
        kept(report.relaxations),
        report.references,
        kept(report.rests),
        report.noise_floor,
        rest_paths=kept(report.rest_paths),
        force_errors=kept(report.force_errors),
    )
