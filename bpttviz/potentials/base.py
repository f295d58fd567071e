"""`Potential`: structures in, energy and forces out, with a gradient graph when one is wanted."""

from __future__ import annotations

from abc import ABC
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from bpttviz._checks import instance_of
from bpttviz._tensor_checks import require_device, require_dtype_named
from bpttviz.structures import Structures

if TYPE_CHECKING:
    from bpttviz.potentials.calculator import Calculator


class Prediction(NamedTuple):
    """What a potential says about B structures with N atoms.

    Attributes:
        energy: (B,) eV.
        forces: (N, 3) eV/Å.
    """

    energy: Tensor
    forces: Tensor


class Potential(nn.Module, ABC):
    """Base of all potentials: define `energy`, and forces follow as its exact gradient.

    ``energy(self, structures)`` takes `Structures`, B of them, and returns (B,) eV by way of
    ``structures.positions`` (N, 3) Å, in torch.

    A model with forces of its own (not the gradient of an energy) overrides `forward` instead and
    says ``conservative = False``. A class that defines neither cannot be made.

    Attributes:
        conservative: forces are -dE/dx.
        equivariant: forces turn with the structure.
        net_force_free: forces on a structure add up to zero.
        exchangeable: atoms of one element may trade places in the list.
        partial_pbc: structures that are periodic in some directions only, or in none, are described
            too: slabs, chains, molecules.

    Raises:
        TypeError: (when made) the class defines neither `energy` nor `forward`.
    """

    conservative: bool = True
    equivariant: bool = True
    net_force_free: bool = True
    exchangeable: bool = True
    partial_pbc: bool = True

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        if missing := ", ".join(f"{name}()" for name in sorted(cls.__abstractmethods__)):
            raise TypeError(f"{cls.__name__} is a base: make a class of it that defines {missing}")
        if cls.energy is Potential.energy and cls.forward is Potential.forward:
            raise TypeError(
                f"{cls.__name__} defines neither energy() nor forward(); define "
                "energy(structures), which returns (B,) eV, and forces follow as its gradient"
            )
        return super().__new__(cls)

    def __call__(self, structures: Structures) -> Prediction:
        """What `forward` says, once it is sure that it is asked about `Structures`.

        Raises:
            TypeError: something else was given, or came back.
            ValueError: energy or forces of another shape came back.
        """
        prediction = super().__call__(_require_structures(structures))
        source = f"{type(self).__name__}.forward()"
        if not isinstance(prediction, tuple) or len(prediction) != 2:
            raise TypeError(
                f"{source} returned a {type(prediction).__name__}; return a Prediction(energy, "
                "forces), or define energy() alone and let the base class take the forces"
            )
        energy, forces = prediction
        require_shape(energy, (len(structures),), source, "energies")
        require_shape(forces, tuple(structures.positions.shape), source, "forces")
        return Prediction(energy, forces)

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) in eV, differentiable in positions and parameters.

        Raises:
            TypeError: this potential has forces but no energy.
            StructureError: structures that it cannot describe.
        """
        raise TypeError(
            f"{type(self).__name__} predicts forces without an energy; call it for its forces"
        )

    def forward(self, structures: Structures) -> Prediction:
        """Energy (B,) eV and forces (N, 3) eV/Å, in the positions' floating-point type.

        Where gradients are enabled the forces carry a graph to the parameters and, if the positions
        carry one, to whatever produced the positions: this is what lets a relaxation be
        differentiated. Under ``torch.no_grad()`` and ``torch.inference_mode()`` both come back
        without a graph.

        Raises:
            TypeError, ValueError: `energy` returned something else than (B,) energies.
            RuntimeError: the energy carries no graph to the positions. (Whether forces reach the
                parameters shows only in a gradient; `finetune` refuses one that does not.)
            StructureError: structures that it cannot describe.
        """
        structures = _require_structures(structures)
        wanted = torch.is_grad_enabled()
        # Forces are a derivative, also where the caller wants none: inference mode, in which
        # nothing can be differentiated, is left for a moment.
        with torch.inference_mode(False), torch.enable_grad():
            structures = _outside_inference(structures)
            positions = structures.positions
            if not (wanted and positions.requires_grad):
                positions = positions.detach().requires_grad_()
            energy = self.energy(structures.with_positions(positions))
            source = f"{type(self).__name__}.energy()"
            energy = require_shape(energy, (len(structures),), source, "energies")
            if not energy.requires_grad:
                raise RuntimeError(
                    f"{type(self).__name__}.energy() returned a value without a graph to the "
                    "positions; call the bare model, not a calculator that detaches"
                )
            # create_graph, not retain_graph: only the former keeps dF/dtheta alive.
            (slope,) = torch.autograd.grad(
                energy.sum(), positions, create_graph=wanted, allow_unused=True
            )
            if slope is None:
                raise RuntimeError(
                    f"{type(self).__name__}.energy() returned a value that does not depend on the "
                    "positions by a graph; build distances in torch from the positions given"
                )
        energy = energy.to(structures.dtype)
        if not wanted:
            return Prediction(energy.detach(), -slope)
        return Prediction(energy, -slope)

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in (float64 for a potential without floating parameters)."""
        kinds = (p.dtype for p in self.parameters() if p.is_floating_point())
        return next(kinds, torch.float64)

    @property
    def device(self) -> torch.device:
        """Where the parameters live (CPU for a potential without any)."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def known_elements(self) -> tuple[int, ...] | None:
        """Atomic numbers of the elements that can be described; None: any."""
        return None

    @property
    def places_matter(self) -> bool:
        """Whether it knows absolute places, so that no rigid motion is free: a landscape, a field.

        An energy with a net force does. Forces without an energy may have one by mistake.
        """
        return self.conservative and not self.net_force_free

    def config(self) -> dict[str, Any]:
        """JSON-able constructor arguments: with the weights, all that a saved run needs.

        Raises:
            TypeError: this class cannot say.
        """
        raise TypeError(
            f"{type(self).__name__} defines no config(), so it cannot rebuild itself from a file; "
            "pass the potential to load_run(..., potential=...)"
        )

    @classmethod
    def from_config(cls, config: dict[str, Any], device: str | torch.device = "cpu") -> Self:
        """A potential from what `config` gave; its weights are yet to be loaded.

        Raises:
            TypeError, ValueError: the arguments are not those of this class.
        """
        arguments = dict(config)
        if "dtype" in arguments:
            arguments["dtype"] = require_dtype_named(arguments["dtype"])
        return cls(**arguments).to(require_device(device))

    def calculator(self) -> Calculator:
        """An ASE calculator over this potential: the door out."""
        from bpttviz.potentials.calculator import Calculator

        return Calculator(self)


@runtime_checkable
class Exportable(Protocol):
    """A potential that can write the file that its own package reads."""

    def export(self, path: str | Path) -> None:
        """Write the fine-tuned model in its package's own format.

        Raises:
            OSError: the file cannot be written.
        """
        ...


def require_shape(value: object, shape: tuple[int, ...], source: str, what: str) -> Tensor:
    """A tensor of this shape, as a model returned it.

    Args:
        value: what came back.
        shape: expected.
        source: where it came from, for the message.
        what: it is, in the plural.

    Raises:
        TypeError: no tensor.
        ValueError: another shape.
    """
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{source} returned a {type(value).__name__} where a tensor of {what} was expected"
        )
    if tuple(value.shape) != shape:
        raise ValueError(
            f"{source} returned {what} of shape {tuple(value.shape)}; expected {shape} (energies: "
            "one a structure; forces: three an atom); sum atoms by structures.structure_index, and "
            "do not keep a last axis of length one"
        )
    return value


def _require_structures(value: object) -> Structures:
    return instance_of("structures", value, Structures, "bv.Structures.from_ase(atoms)")


def _outside_inference(structures: Structures) -> Structures:
    """The same structures; tensors made in inference mode are copied, as no graph can hold them."""
    kept: dict[str, Any] = {
        name: value.clone()
        for name, value in vars(structures).items()
        if isinstance(value, Tensor) and value.is_inference()
    }
    return replace(structures, **kept) if kept else structures
