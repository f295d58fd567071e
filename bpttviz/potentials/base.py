"""`Potential`: structures in, energy and forces out, with a gradient graph when one is wanted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bpttviz.potentials.calculator import Calculator
from bpttviz.structures import Structures


class Prediction(NamedTuple):
    """What a potential says about B structures with N atoms.

    Attributes:
        energy: (B,) eV.
        forces: (N, 3) eV/Å.
    """

    energy: Tensor
    forces: Tensor


class Potential(nn.Module):
    """Base of all potentials: define `energy`, and forces follow as its exact gradient.

    A model with forces of its own (not the gradient of an energy) overrides `forward` instead and
    says ``conservative = False``.

    Attributes:
        conservative: forces are -dE/dx.
        equivariant: forces turn with the structure.
        net_force_free: forces on a structure add up to zero.
        exchangeable: atoms of one element may trade places in the list.
    """

    conservative = True
    equivariant = True
    net_force_free = True
    exchangeable = True

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) in eV, differentiable in positions and parameters."""
        raise TypeError(f"{type(self).__name__} defines neither energy() nor forward()")

    def forward(self, structures: Structures) -> Prediction:
        """Energy (B,) eV and forces (N, 3) eV/Å, in the positions' floating-point type.

        Where gradients are enabled the forces carry a graph to the parameters and, if the positions
        carry one, to whatever produced the positions: this is what lets a relaxation be
        differentiated. Under ``torch.no_grad()`` both come back without a graph.

        Raises:
            RuntimeError: the energy carries no graph to the positions. (Whether forces reach the
                parameters shows only in a gradient; `finetune` refuses one that does not.)
        """
        wanted = torch.is_grad_enabled()
        positions = structures.positions
        with torch.enable_grad():
            if not (wanted and positions.requires_grad):
                positions = positions.detach().requires_grad_()
            energy = self.energy(structures.with_positions(positions))
            if not energy.requires_grad:
                raise RuntimeError(
                    f"{type(self).__name__}.energy() returned a value without a graph to the "
                    "positions; call the bare model, not a calculator that detaches"
                )
            # create_graph, not retain_graph: only the former keeps dF/dtheta alive.
            (slope,) = torch.autograd.grad(energy.sum(), positions, create_graph=wanted)
        if not wanted:
            return Prediction(energy.detach(), -slope)
        return Prediction(energy, -slope)

    @property
    def device(self) -> torch.device:
        """Where the parameters live (CPU for a potential without any)."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def config(self) -> dict:
        """JSON-able constructor arguments: with the weights, all that a saved run needs."""
        raise TypeError(
            f"{type(self).__name__} defines no config(), so it cannot rebuild itself from a file; "
            "pass the potential to load_run(..., potential=...)"
        )

    def calculator(self) -> Calculator:
        """An ASE calculator over this potential."""
        return Calculator(self)


def require_device(device: str | torch.device) -> torch.device:
    """The device, or a sentence about why there is none.

    Raises:
        ValueError: CUDA was asked for and this torch sees no CUDA device.
    """
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        build = "is a CPU-only build" if torch.version.cuda is None else "sees no GPU or driver"
        raise ValueError(
            f"device={str(device)!r} was asked for, but torch {torch.__version__} {build}; "
            "use device='cpu', or install a CUDA build of torch (see the README)"
        )
    return device
