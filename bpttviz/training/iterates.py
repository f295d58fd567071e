"""`IterateLoss`: where the relaxation is counts after every step, and ever more."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bpttviz.relaxation.adjoints.iterates import IterateAdjoint
from bpttviz.relaxation.relax import Relaxation
from bpttviz.relaxation.rules import UpdateRule
from bpttviz.relaxation.stopping import StoppingCriterion
from bpttviz.structures import Structures
from bpttviz.training.objectives import EndpointLoss
from bpttviz.training.starts import Starts


class IterateLoss(EndpointLoss):
    """The mean of the endpoint losses of all iterates X_1 ... X_K, weighted by (t/K)^rise.

    As in D. Belanger et al., ICML 2017 (arXiv 1703.05667): the path is to get there *early*, and a
    gradient reaches every step at first hand. It costs as much as `EndpointLoss`.

    Args:
        rule, stop, starts, resolution: as of `EndpointLoss`.
        rise: 0 weighs all iterates alike; with a large one only the end counts.

    Raises:
        TypeError: an argument of another class.
        ValueError: a negative resolution or rise.
    """

    def __init__(
        self,
        rule: UpdateRule | None = None,
        stop: StoppingCriterion | None = None,
        rise: float = 1.0,
        starts: Starts | None = None,
        resolution: float = 0.0,
    ):
        super().__init__(rule, stop, IterateAdjoint(rise), starts, resolution)
        self.rise = IterateAdjoint(rise).rise

    def _along(self, relaxation: Relaxation, ends: Structures, places_matter: bool) -> Tensor:
        total = 1 + sum(weight for weight, _ in relaxation.waypoints)
        return super()._along(relaxation, ends, places_matter) / total

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        parts = super().config()
        del parts["adjoint"]
        return {"rule": parts.pop("rule"), "stop": parts.pop("stop"), "rise": self.rise, **parts}
