"""When a relaxation ends: `StoppingCriterion`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoppingCriterion:
    """When a relaxation ends: after ``max_steps``, or for each structure earlier.

    Args:
        max_steps: K, the most steps made.
        fmax: a structure whose largest force (eV/Å) is below this moves no more. None: not used.
        max_displacement: likewise for its largest displacement in a step (Å).

    Which structure stops when is never differentiated.
    """

    max_steps: int = 20
    fmax: float | None = None
    max_displacement: float | None = None

    def __post_init__(self):
        if int(self.max_steps) != self.max_steps or self.max_steps < 1:
            raise ValueError(
                f"max_steps must be a whole number of at least 1, got {self.max_steps}"
            )
        object.__setattr__(self, "max_steps", int(self.max_steps))
        for name in ("fmax", "max_displacement"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive or None, got {value}")
