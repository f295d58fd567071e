"""When a relaxation ends: `StoppingCriterion`."""

from __future__ import annotations

from dataclasses import dataclass

from bpttviz._checks import positive_or_none, whole


@dataclass(frozen=True)
class StoppingCriterion:
    """When a relaxation ends: after ``max_steps``, or for each structure earlier.

    Args:
        max_steps: K, the most steps made.
        fmax: a structure whose largest force (eV/Å) is below this moves no more. None: not used.
        max_displacement: likewise for its largest displacement in a step (Å).

    Which structure stops when is never differentiated.

    Raises:
        ValueError: a number out of its range; NumPy's numbers become Python's.
    """

    max_steps: int = 20
    fmax: float | None = None
    max_displacement: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_steps", whole("max_steps", self.max_steps))
        for name in ("fmax", "max_displacement"):
            object.__setattr__(self, name, positive_or_none(name, getattr(self, name)))
