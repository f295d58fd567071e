"""Two-dimensional landscapes to think with: a walker in a valley, seen as a structure of two atoms.

The walker's place (x, y) is its position relative to an anchor atom that never moves. So everything
made for structures, `relax`, `EndpointLoss`, `evaluate`, works here unchanged, and both atoms weigh
2 amu, which makes ΔQ (amu^½ Å) the plain distance in Å between two walkers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from torch import Tensor, nn

from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError, Structures


@dataclass(frozen=True)
class Window:
    """The part of the plane that is shown: low and high x and y, Å."""

    x: tuple[float, float] = (-1.6, 1.6)
    y: tuple[float, float] = (-1.2, 1.6)

    def __post_init__(self):
        for name, (low, high) in (("x", self.x), ("y", self.y)):
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
STIFFNESS = 5.0  # eV/Å², holds the walker in the plane


class Landscape(Potential):
    """Base of all landscapes: define `surface`, the energy at points of the plane.

    A parameter-free subclass is a landscape too; one with parameters can be fine-tuned. Parameters
    and positions are float64: landscapes are small and used as exact examples.
    """

    equivariant = False  # north is not east here
    exchangeable = False  # the first atom is the anchor

    def surface(self, points: Tensor) -> Tensor:
        """Energy (P,) in eV at ``points`` (P, 2) in Å."""
        raise TypeError(f"{type(self).__name__} defines no surface()")

    def energy(self, structures: Structures) -> Tensor:
        for index, count in enumerate(structures.counts):
            if count != 2:
                raise StructureError(
                    f"has {count} atoms; on a landscape it has two, an anchor and a walker "
                    "(make it with landscape.walkers)",
                    index,
                    structures.names[index],
                )
        between = structures.positions[1::2] - structures.positions[::2]
        out_of_plane = 0.5 * STIFFNESS * (between[:, 2] - DEPTH) ** 2
        return self.surface(between[:, :2]) + out_of_plane

    def energy_and_force(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (P,) eV and force (P, 2) eV/Å at ``points`` (P, 2) Å, without a graph."""
        with torch.enable_grad():
            points = points.detach().to(torch.float64).requires_grad_()
            energy = self.surface(points)
            (slope,) = torch.autograd.grad(energy.sum(), points)
        return energy.detach(), -slope


def walkers(points, names=None) -> Structures:
    """Walkers at ``points`` (P, 2) Å as a batch of P structures."""
    points = torch.as_tensor(points, dtype=torch.float64).reshape(-1, 2)
    batch = [walker(*point) for point in points.tolist()]
    return Structures.from_ase(batch, names or [f"walker {i}" for i in range(len(batch))])


def walker(x: float, y: float) -> Atoms:
    """One walker at (x, y) Å, and its anchor."""
    atoms = Atoms("H2", positions=[[0, 0, -DEPTH], [x, y, 0]], masses=[2.0, 2.0])
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
        bowl: b in eV/Å², which keeps walkers from leaving.

    All are learnable (widths as logarithms, so that they stay positive).
    """

    def __init__(self, centres, depths, widths, bowl: float = 0.2):
        super().__init__()
        centres, depths, widths = (
            torch.as_tensor(x, dtype=torch.float64).clone() for x in (centres, depths, widths)
        )
        if centres.ndim != 2 or centres.shape[1] != 2 or not len(centres):
            raise ValueError(f"centres must be (W, 2), got {tuple(centres.shape)}")
        if depths.shape != centres.shape[:1] or widths.shape != centres.shape[:1]:
            raise ValueError(
                f"{len(centres)} wells need as many depths and widths, got {tuple(depths.shape)} "
                f"and {tuple(widths.shape)}"
            )
        if not (widths > 0).all() or not bowl > 0:
            raise ValueError("widths and bowl must be positive")
        self.centres, self.depths = nn.Parameter(centres), nn.Parameter(depths)
        self.log_widths = nn.Parameter(widths.log())
        self.bowl = nn.Parameter(torch.tensor(float(bowl), dtype=torch.float64))

    @property
    def widths(self) -> Tensor:
        """(W,) Å."""
        return self.log_widths.exp()

    def config(self) -> dict:
        return {
            "centres": self.centres.tolist(),
            "depths": self.depths.tolist(),
            "widths": self.widths.tolist(),
            "bowl": self.bowl.item(),
        }

    def surface(self, points: Tensor) -> Tensor:
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
    """

    def __init__(self, scale: float = 0.005):
        super().__init__()
        self.scale = scale

        def constants(*values):
            return torch.tensor(values, dtype=torch.float64)

        self.amplitudes = nn.Parameter(constants(-200.0, -100.0, -170.0, 15.0))
        self.register_buffer("centres", constants((1, 0), (0, 0.5), (-0.5, 1.5), (-1, 1)))
        self.register_buffer("xx", constants(-1.0, -1.0, -6.5, 0.7))
        self.register_buffer("xy", constants(0.0, 0.0, 11.0, 0.6))
        self.register_buffer("yy", constants(-10.0, -10.0, -6.5, 0.7))

    def config(self) -> dict:
        return {"scale": self.scale}

    def surface(self, points: Tensor) -> Tensor:
        x, y = (points[:, None] - self.centres).unbind(2)  # (P, 4) each
        terms = self.amplitudes * torch.exp(self.xx * x**2 + self.xy * x * y + self.yy * y**2)
        return self.scale * terms.sum(1)


class NeuralLandscape(Landscape):
    """A small neural network for a surface: the landscape that a machine has learned.

    A bowl holds walkers where the network knows nothing.

    Args:
        width: neurons in each of the two hidden layers.
        bowl: eV/Å².
        seed: of the initial weights.
    """

    def __init__(self, width: int = 32, bowl: float = 0.2, seed: int = 0):
        super().__init__()
        self.width, self.bowl, self.seed = width, bowl, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # tanh, not relu: forces must themselves be differentiable
            self.network = nn.Sequential(
                nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                nn.Linear(width, 1),
            ).double()  # fmt: skip

    def config(self) -> dict:
        return {"width": self.width, "bowl": self.bowl, "seed": self.seed}

    def surface(self, points: Tensor) -> Tensor:
        return self.network(points).squeeze(1) + 0.5 * self.bowl * (points**2).sum(1)

    def fit(self, target: Landscape, points: Tensor, steps: int = 500) -> float:
        """Learn another landscape's energies and forces at ``points`` (P, 2) Å, with Adam.

        Returns:
            Root mean square force component error, eV/Å.
        """
        energy, force = target.energy_and_force(points)
        points = points.detach().to(torch.float64)
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            leaf = points.clone().requires_grad_()
            guess = self.surface(leaf)
            (slope,) = torch.autograd.grad(guess.sum(), leaf, create_graph=True)
            error = ((slope + force) ** 2).mean()
            loss = error + ((guess - energy) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return float(error.detach().sqrt())
