"""`WeightAverage`: the exponential average of what is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from bpttviz.training.checkpoint import RunError, all_finite
from bpttviz.training.interrupts import no_interrupt


class WeightAverage:
    """a ← β a + (1 - β) w after every update w, from the initial weights on.

    B. T. Polyak and A. B. Juditsky, SIAM J. Control Optim. 30, 838 (1992), with forgetting. Single
    updates of few structures are noisy; their average is less so, and lags by 1/(1 - β) updates.

    Args:
        decay: β.
        modules: role → module; their parameters that are trained are averaged.

    Attributes:
        values: role/parameter → average.
    """

    def __init__(self, decay: float, modules: Mapping[str, nn.Module]):
        self.decay = decay
        self._parameters = {
            f"{role}/{name}": parameter
            for role, module in modules.items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        self.values = {name: p.detach().clone() for name, p in self._parameters.items()}

    def update(self) -> None:
        """Take in the present weights."""
        for name, parameter in self._parameters.items():
            self.values[name].lerp_(parameter.detach(), 1 - self.decay)

    def restore(self, saved: Mapping[str, Tensor], path: Path) -> None:
        """Take an average from a file. Raises RunError for one of other weights."""
        require_fitting(saved, self._parameters, path)
        with torch.no_grad():
            for name, value in self.values.items():
                value.copy_(saved[name])

    def put_in(self) -> None:
        """Give the modules the average for good."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(self.values[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The modules have the average inside, and the present weights again afterwards."""
        before = {name: p.detach().clone() for name, p in self._parameters.items()}
        try:
            with no_interrupt():
                self.put_in()
            yield
        finally:
            with no_interrupt(), torch.no_grad():
                for name, parameter in self._parameters.items():
                    parameter.copy_(before[name])


def load_average(module: nn.Module, saved: Mapping[str, Tensor], path: Path) -> None:
    """Give a module the averages of a file, parameter → value; none leave it as it is.

    Raises:
        RunError: averages of other weights.
    """
    parameters = dict(module.named_parameters())
    require_fitting(saved, {name: p for name, p in parameters.items() if name in saved}, path)
    with torch.no_grad():
        for name, value in saved.items():
            parameters[name].copy_(value)


def require_fitting(
    saved: Mapping[str, Tensor], parameters: Mapping[str, Tensor], path: Path
) -> None:
    """Refuse averages that are not those of the parameters. Raises RunError."""
    for name in sorted(saved.keys() | parameters.keys()):
        value, parameter = saved.get(name), parameters.get(name)
        if (
            value is None
            or parameter is None
            or value.shape != parameter.shape
            or not value.is_floating_point()
            or not all_finite([value])
        ):
            raise RunError(f"{path} holds an average of weights that does not fit ({name})")
