"""`RestPath`: the way to rest, as some of its frames; all of them would be heavy to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MOST_FRAMES = 32  # of a way, its last one not counted


@dataclass(frozen=True, eq=False)
class RestPath:
    """Frames of one structure's relaxation to rest, as they were visited; none is interpolated.

    Evenly spaced in steps, and the last one, wherever that is.

    Attributes:
        steps: (F,) counted from where the relaxation to rest began, ascending from 0.
        positions: (F, N, 3) Å.
        energy: (F,) eV.
        fmax: (F,) eV/Å, the largest force on an atom that may move.
    """

    steps: np.ndarray
    positions: np.ndarray
    energy: np.ndarray
    fmax: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)


class PathRecorder:
    """Keeps every second frame, then every fourth, and so on, as a relaxation grows longer.

    Strides are powers of two, so that the frames of a shorter path are among a longer one's.
    """

    def __init__(self) -> None:
        self.stride = 1
        self._frames: list[tuple[int, Tensor, float, float]] = []
        self._latest: tuple[int, Tensor, float, float] | None = None

    def add(self, step: int, positions: Tensor, energy: float, fmax: float) -> None:
        """One frame; ``positions`` (N, 3) must not be written to afterwards."""
        self._latest = (step, positions, energy, fmax)
        if step % self.stride:
            return
        self._frames.append(self._latest)
        if len(self._frames) > MOST_FRAMES:
            self.stride *= 2
            self._frames = [frame for frame in self._frames if frame[0] % self.stride == 0]

    def path(self) -> RestPath:
        """What was kept; empty where no frame could be evaluated."""
        frames: Sequence[tuple[int, Tensor, float, float]] = self._frames
        if self._latest is not None and (not frames or frames[-1][0] != self._latest[0]):
            frames = [*frames, self._latest]
        places = [positions.detach().to("cpu", torch.float64) for _, positions, _, _ in frames]
        return RestPath(
            steps=np.array([step for step, _, _, _ in frames], dtype=int),
            positions=torch.stack(places).numpy() if places else np.empty((0, 0, 3)),
            energy=np.array([energy for _, _, energy, _ in frames]),
            fmax=np.array([fmax for _, _, _, fmax in frames]),
        )
