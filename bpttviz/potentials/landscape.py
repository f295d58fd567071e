"""Two-dimensional landscapes to think with: a walker in a valley, seen as a structure of two atoms.

The walker's place (x, y) is its position relative to an anchor atom that never moves. So everything
made for structures, `relax`, `EndpointLoss`, `evaluate`, works here unchanged, and atoms weigh
1 amu, which makes ΔQ (amu^½ Å) the plain distance in Å between two walkers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from torch import Tensor, nn

from bpttviz._checks import instance_of, not_negative, positive, whole
from bpttviz._tensor_checks import require_tensor, to_tensor
from bpttviz.potentials.base import Potential
from bpttviz.potentials.requirements import require_sizes
from bpttviz.structures import Structures

Values = Tensor | np.ndarray | Sequence[Any]


@dataclass(frozen=True)
class Window:
    """The part of the plane that is shown: low and high x and y, Å.

    Raises:
        TypeError, ValueError: no two finite numbers, or the higher one first.
    """

    x: tuple[float, float] = (-1.6, 1.6)
    y: tuple[float, float] = (-1.2, 1.6)

    def __post_init__(self) -> None:
        for name, limits in (("x", self.x), ("y", self.y)):
            low, high = require_tensor(name, limits, (2,)).tolist()
            if not low < high:
                raise ValueError(f"{name} must go from low to high, got {low:g} to {high:g}")

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """As matplotlib's imshow takes it."""
        return (*self.x, *self.y)

    def grid(self, count: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """x (count,), y (count,) and all points (count², 2), row by row upwards, Å."""
        x, y = np.linspace(*self.x, count), np.linspace(*self.y, count)
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        return x, y, torch.from_numpy(points)


# The anchor stands this far under the plane (Å): out of the way, wherever the walker goes.
DEPTH = 5.0
PERIOD = 1000.0  # Å, see `walker`
STIFFNESS = 5.0  # eV/Å², holds the walker in the plane


class Landscape(Potential):
    """Base of all landscapes: define `surface`, the energy at points of the plane.

    A parameter-free subclass is a landscape too; one with parameters can be fine-tuned. Parameters
    and positions are float64: landscapes are small and used as exact examples.
    """

    equivariant = False  # north is not east here
    exchangeable = False  # the first atom is the anchor

    @abstractmethod
    def surface(self, points: Tensor) -> Tensor:
        """Energy (P,) in eV at ``points`` (P, 2) in Å, differentiable."""

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV. Raises `StructureError` for what is no anchor and walker."""
        explanation = "on a landscape it has two, an anchor and a walker (make it with walkers)"
        require_sizes(structures, 2, explanation)
        between = structures.positions[1::2] - structures.positions[::2]
        # The map repeats itself with its period, as the cell says (of which no gradient knows).
        between = between - PERIOD * (between / PERIOD).round() * structures.pbc
        out_of_plane = 0.5 * STIFFNESS * (between[:, 2] - DEPTH) ** 2
        return self.surface(between[:, :2]) + out_of_plane

    def energy_and_force(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (P,) eV and force (P, 2) eV/Å at ``points`` (P, 2) Å, without a graph."""
        with torch.enable_grad():
            points = points.detach().to(torch.float64).requires_grad_()
            energy = self.surface(points)
            (slope,) = torch.autograd.grad(energy.sum(), points)
        return energy.detach(), -slope


def walkers(points: Values, names: Sequence[str] | None = None) -> Structures:
    """Walkers at ``points`` (P, 2) or (2,) Å as a batch of P structures.

    Raises:
        TypeError, ValueError: no points of two numbers.
    """
    found = to_tensor("points", points, which=" of shape (any, 2)")
    found = found[None] if found.shape == (2,) else found
    batch = [walker(*point) for point in require_tensor("points", found, (None, 2)).tolist()]
    return Structures.from_ase(batch, names or [f"walker {i}" for i in range(len(batch))])


def walker(x: float, y: float) -> Atoms:
    """One walker at (x, y) Å, and its anchor.

    A map has directions, and the anchor alone would let everything turn about it: two periodic
    directions, with a period far beyond the map, say that nothing does.
    """
    atoms = Atoms("H2", positions=[[0, 0, -DEPTH], [x, y, 0]], masses=[1.0, 1.0])
    atoms.set_cell([PERIOD, PERIOD, 0.0])
    atoms.pbc = (True, True, False)
    atoms.set_constraint(FixAtoms([0]))
    return atoms


def places(positions: Tensor) -> Tensor:
    """Where walkers are: (..., 2P, 3) Å of structures or trajectories → (..., P, 2) Å."""
    return (positions[..., 1::2, :] - positions[..., ::2, :])[..., :2]


class Wells(Landscape):
    """A bowl with Gaussian wells in it: E = ½ b |u|² - Σ_i d_i exp(-|u - c_i|² / 2 w_i²).

    Args:
        centres: (W, 2) Å.
        depths: (W,) eV; a negative one is a hill.
        widths: (W,) Å, positive.
        bowl: b in eV/Å², not negative, which keeps walkers from leaving.

    All are learnable (widths as logarithms, so that they stay positive).

    Raises:
        TypeError, ValueError: no finite numbers, shapes that do not fit together, a width that is
            not positive.
    """

    def __init__(self, centres: Values, depths: Values, widths: Values, bowl: float = 0.2):
        super().__init__()
        centres = require_tensor("centres", centres, (None, 2))
        self.centres = nn.Parameter(centres)
        self.depths = nn.Parameter(require_tensor("depths", depths, (len(centres),)))
        widths = require_tensor("widths", widths, (len(centres),))
        if not bool((widths > 0).all()):
            raise ValueError(f"widths must be positive, got {widths.tolist()}")
        self.log_widths = nn.Parameter(widths.log())
        bowl = not_negative("bowl", bowl)
        self.bowl = nn.Parameter(torch.tensor(bowl, dtype=torch.float64))

    @property
    def widths(self) -> Tensor:
        """(W,) Å."""
        return self.log_widths.exp()

    def config(self) -> dict[str, Any]:
        return {
            "centres": self.centres.tolist(),
            "depths": self.depths.tolist(),
            "widths": self.widths.tolist(),
            "bowl": self.bowl.item(),
        }

    def surface(self, points: Tensor) -> Tensor:
        """Energy (P,) eV at ``points`` (P, 2) Å."""
        squared = ((points[:, None] - self.centres) ** 2).sum(2)  # (P, W)
        wells = self.depths * torch.exp(-0.5 * squared / self.widths**2)
        return 0.5 * self.bowl * (points**2).sum(1) - wells.sum(1)


class MullerBrown(Landscape):
    """The surface of K. Müller and L. D. Brown, Theor. Chim. Acta 53, 75 (1979): three minima.

    E = s Σ_i A_i exp(a_i (x-x_i)² + b_i (x-x_i)(y-y_i) + c_i (y-y_i)²), with the published
    constants; the amplitudes A_i are learnable.

    Args:
        scale: s in eV. The published amplitudes are in the hundreds; with 0.005 the barriers are
            tenths of an eV.

    Raises:
        TypeError, ValueError: a scale that is no positive, finite number.
    """

    centres: Tensor
    xx: Tensor
    xy: Tensor
    yy: Tensor

    def __init__(self, scale: float = 0.005):
        super().__init__()
        self.scale = positive("scale", scale)

        def constants(*values: Any) -> Tensor:
            return torch.tensor(values, dtype=torch.float64)

        self.amplitudes = nn.Parameter(constants(-200.0, -100.0, -170.0, 15.0))
        self.register_buffer("centres", constants((1, 0), (0, 0.5), (-0.5, 1.5), (-1, 1)))
        self.register_buffer("xx", constants(-1.0, -1.0, -6.5, 0.7))
        self.register_buffer("xy", constants(0.0, 0.0, 11.0, 0.6))
        self.register_buffer("yy", constants(-10.0, -10.0, -6.5, 0.7))

    def config(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def surface(self, points: Tensor) -> Tensor:
        """Energy (P,) eV at ``points`` (P, 2) Å."""
        x, y = (points[:, None] - self.centres).unbind(2)  # (P, 4) each
        terms = self.amplitudes * torch.exp(self.xx * x**2 + self.xy * x * y + self.yy * y**2)
        return self.scale * terms.sum(1)


class NeuralLandscape(Landscape):
    """A small neural network for a surface: the landscape that a machine has learned.

    A bowl holds walkers where the network knows nothing.

    Args:
        width: neurons in each of the two hidden layers.
        bowl: eV/Å², not negative.
        seed: of the initial weights.

    Raises:
        TypeError, ValueError: a number out of range.
    """

    def __init__(self, width: int = 32, bowl: float = 0.2, seed: int = 0):
        super().__init__()
        width = self.width = whole("width", width, most=4096)
        self.bowl = not_negative("bowl", bowl)
        self.seed = whole("seed", seed, least=0, most=2**63 - 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            # tanh, not relu: forces must themselves be differentiable
            self.network = nn.Sequential(
                nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                nn.Linear(width, 1),
            ).double()  # fmt: skip

    def config(self) -> dict[str, Any]:
        return {"width": self.width, "bowl": self.bowl, "seed": self.seed}

    def surface(self, points: Tensor) -> Tensor:
        """Energy (P,) eV at ``points`` (P, 2) Å."""
        return self.network(points).squeeze(1) + 0.5 * self.bowl * (points**2).sum(1)

    def fit(self, target: Landscape, points: Values, steps: int = 500) -> float:
        """Learn another landscape's energies and forces at ``points`` (P, 2) Å, with Adam.

        Returns:
            Root mean square force component error, eV/Å.

        Raises:
            TypeError, ValueError: no landscape, no points, no positive number of steps.
        """
        instance_of("target", target, Landscape, "bv.MullerBrown()")
        points, steps = require_tensor("points", points, (None, 2)), whole("steps", steps)
        energy, force = target.energy_and_force(points)
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            leaf = points.clone().requires_grad_()
            predicted = self.surface(leaf)
            (slope,) = torch.autograd.grad(predicted.sum(), leaf, create_graph=True)
            error = ((slope + force) ** 2).mean()
            loss = error + ((predicted - energy) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return float(error.detach().sqrt())
