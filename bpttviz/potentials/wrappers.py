"""Bring your own: a PyTorch module or function that gives energies or forces, as a `Potential`."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from bpttviz._checks import flag, instance_of
from bpttviz.potentials.base import Potential, Prediction
from bpttviz.structures import Structures

Function = Callable[[Structures, Tensor], Tensor]


class _Function(Potential):
    """What the two wrappers share: the function, the weights behind it, and its number type."""

    def __init__(self, function: Function, module: nn.Module | None):
        super().__init__()
        _require_function(function, type(self).__name__)
        if module is not None:
            instance_of("module", module, nn.Module, "the torch.nn.Module that the function calls")
        self.function = function  # registered, and its weights trained, if it is a module
        if module is not None:
            self.module = module

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A copy whose function calls the copied module: fine-tuning trains a copy.

        Python copies no functions, so that a copy would go on calling the original weights.
        """
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        function: object = self.function
        if "module" in self._modules:
            copied.function = _calling_instead(function, {id(self.module): copied.module})
        return copied

    def _claim(self, **claims: object) -> None:
        """Note what the user says of the function, each True or False."""
        for name, value in claims.items():
            setattr(self, name, flag(name, value))

    def _call(self, structures: Structures) -> object:
        instance_of("structures", structures, Structures, "bv.Structures.from_ase(atoms)")
        positions = structures.positions
        kinds = (p.dtype for p in self.parameters() if p.is_floating_point())
        dtype = next(kinds, positions.dtype)
        return self.function(structures.to(dtype=dtype), positions.to(dtype))

    def _require(self, value: object, shape: tuple[int, ...], what: str) -> Tensor:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"the function of this {type(self).__name__} returned a {type(value).__name__} "
                f"where a tensor of {what} was expected"
            )
        if tuple(value.shape) != shape:
            raise ValueError(
                f"the function of this {type(self).__name__} returned {what} of shape "
                f"{tuple(value.shape)}; expected {shape}"
            )
        return value


def _calling_instead(function: object, instead: dict[int, object]) -> Any:
    """A function, or a part of one (`functools.partial`), with other objects in some places."""
    if isinstance(function, functools.partial):
        given = [instead.get(id(value), value) for value in function.args]
        named = {key: instead.get(id(value), value) for key, value in function.keywords.items()}
        return functools.partial(_calling_instead(function.func, instead), *given, **named)
    return _calling(function, instead) if isinstance(function, FunctionType) else function


def _calling(function: FunctionType, instead: dict[int, object]) -> FunctionType:
    """The same function with other objects in the places of some.

    Args:
        function: may know an object as a variable around it, as a global name or as a default, and
            through functions of its own file that it knows in the same ways.
        instead: id of an object → what stands for it; functions made on the way are added.
    """

    replaced = []

    def other(value: object) -> object:
        ours = isinstance(value, FunctionType) and value.__module__ == function.__module__
        if ours and id(value) not in instead:
            instead[id(value)] = value  # one that knows itself is met again
            instead[id(value)] = _calling(cast(FunctionType, value), instead)
        stands_for_it = instead.get(id(value), value)
        if stands_for_it is not value:
            replaced.append(value)
        return stands_for_it

    def renewed(cell: CellType) -> CellType:
        try:
            return CellType(other(cell.cell_contents))
        except ValueError:  # nothing is in it yet
            return cell

    around = tuple(map(renewed, function.__closure__ or ()))
    defaults = tuple(map(other, function.__defaults__ or ()))
    by_name = {key: other(value) for key, value in (function.__kwdefaults__ or {}).items()}
    scope = function.__globals__
    names = {n: other(scope[n]) for n in function.__code__.co_names if n in scope}
    if not replaced:
        return function
    scope = {**scope, **names}
    made = FunctionType(function.__code__, scope, function.__name__, defaults, around)
    made.__kwdefaults__, made.__dict__ = by_name, dict(function.__dict__)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made


class EnergyFunction(_Function):
    """A potential from a function that gives energies; forces follow as the exact gradient.

    Args:
        function: called as ``function(structures, positions)`` with `Structures` and their
            positions (N, 3) Å, which carry the gradient; returns energies (B,) eV. Both arguments
            come in the floating-point type of the weights (where there are any). Distances must be
            built in torch from ``positions``; ``structures.structure_index`` (N,) says which
            structure an atom belongs to, `bpttviz.potentials.neighbors.neighbours` who its
            neighbours are. What it cannot describe it refuses by raising
            ``StructureError(reason, index)``, which lets a relaxation give up that structure alone.
        module: the weights to train, where ``function`` is not a module itself but calls one.
        equivariant, net_force_free, exchangeable, partial_pbc: what the function claims; see
            `Potential`.

    Raises:
        TypeError: what was given cannot be called, or is a class or a potential itself.
        TypeError, ValueError: (when called) something else than (B,) energies came back.

    Example::

        net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.SiLU(), torch.nn.Linear(16, 1))

        def energy(structures, positions):
            graph = neighbours(structures, 4.0)
            distance = graph.vectors(positions).norm(dim=1, keepdim=True)  # (E, 1) Å
            pair = 0.5 * (net(distance) * (1 - distance / 4.0) ** 3).squeeze(1)  # (E,) eV
            return segment_sum(pair, structures.structure_index[graph.first], len(structures))

        potential = bv.EnergyFunction(energy, net)
        bv.check_potential(potential)
    """

    def __init__(
        self,
        function: Function,
        module: nn.Module | None = None,
        *,
        equivariant: bool = True,
        net_force_free: bool = True,
        exchangeable: bool = True,
        partial_pbc: bool = True,
    ):
        super().__init__(function, module)
        self._claim(
            equivariant=equivariant,
            net_force_free=net_force_free,
            exchangeable=exchangeable,
            partial_pbc=partial_pbc,
        )

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        energy = self._call(structures)
        return self._require(energy, (len(structures),), "energies").to(structures.dtype)


class ForceFunction(_Function):
    """A potential from a function that gives forces of its own, which no energy stands behind.

    Energies are reported as zero: such a model has none. Anything that compares energies (symmetry-
    equivalent minima, energy plots) says nothing about it.

    Args:
        function: called as ``function(structures, positions)`` like that of `EnergyFunction`;
            returns forces (N, 3) eV/Å that depend on ``positions`` and the weights by a graph.
        module: the weights to train, where ``function`` is not a module itself but calls one.
        conservative, equivariant, net_force_free, exchangeable, partial_pbc: what the function
            claims; a direct force model usually claims none of the first three unless it is built
            that way.

    Raises:
        TypeError: what was given cannot be called, or is a class or a potential itself.
        TypeError, ValueError: (when called) something else than (N, 3) forces came back.
        RuntimeError: (when called) forces without a graph, where one is wanted.
    """

    def __init__(
        self,
        function: Function,
        module: nn.Module | None = None,
        *,
        conservative: bool = False,
        equivariant: bool = False,
        net_force_free: bool = False,
        exchangeable: bool = True,
        partial_pbc: bool = True,
    ):
        super().__init__(function, module)
        self._claim(
            conservative=conservative,
            equivariant=equivariant,
            net_force_free=net_force_free,
            exchangeable=exchangeable,
            partial_pbc=partial_pbc,
        )

    def forward(self, structures: Structures) -> Prediction:
        """No energy: zeros (B,) eV; forces (N, 3) eV/Å."""
        positions = structures.positions
        forces = self._call(structures)
        forces = self._require(forces, tuple(positions.shape), "forces").to(structures.dtype)
        if torch.is_grad_enabled() and positions.requires_grad and not forces.requires_grad:
            raise RuntimeError(
                "the function of this ForceFunction returned forces without a graph to the "
                "positions; compute them in torch, without detach(), no_grad() or numpy"
            )
        return Prediction(positions.new_zeros(len(structures)), forces)


def _require_function(function: object, wrapper: str) -> None:
    if isinstance(function, Potential):
        raise TypeError(f"a {type(function).__name__} is a potential already: use it as it is")
    if isinstance(function, type) and issubclass(function, nn.Module):
        raise TypeError(
            f"the class {function.__name__} itself was given; make a module of it: "
            f"{wrapper}({function.__name__}(...))"
        )
    if not callable(function):
        raise TypeError(
            f"{wrapper} needs a function or module, called as function(structures, positions); "
            f"got a {type(function).__name__}"
        )
