"""When a relaxation ends: `Stop`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """When a relaxation ends: after ``steps``, or for each structure earlier.

    Args:
        steps: K, the most steps made.
        fmax: a structure whose largest force (eV/Å) is below this moves no more. None: not used.
        step_tolerance: likewise for its largest displacement in a step (Å).

    Which structure stops when is never differentiated.
    """

    steps: int = 20
    fmax: float | None = None
    step_tolerance: float | None = None

    def __post_init__(self):
        if int(self.steps) != self.steps or self.steps < 1:
            raise ValueError(f"steps must be a whole number of at least 1, got {self.steps}")
        object.__setattr__(self, "steps", int(self.steps))
        for name in ("fmax", "step_tolerance"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive or None, got {value}")
