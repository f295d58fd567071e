"""Bring your own: a PyTorch module or function that gives energies or forces, as a `Potential`."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from types import CellType, FunctionType, MethodType
from typing import Any, Self

import torch
from torch import Tensor, nn

from bpttviz._checks import flag, instance_of
from bpttviz._code import is_own, names_of
from bpttviz.potentials.base import Potential, Prediction, require_shape
from bpttviz.structures import Structures

Function = Callable[[Structures, Tensor], Tensor]
HOLDING = (MethodType, functools.partial, list, tuple, dict)


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
        self.eval()

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A copy whose function calls the copied module: fine-tuning trains a copy.

        Python copies no functions, so that a copy would go on calling the original weights.

        Raises:
            TypeError: the function reaches its module by a way that cannot be followed.
        """
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        function: object = self.function
        # Anything else, a module or an object with a method, has been copied with all it holds.
        if "module" in self._modules and isinstance(function, (FunctionType, functools.partial)):
            # What holds functions has been copied without these, and is made anew.
            made = {k: one for k, one in memo.items() if not isinstance(one, HOLDING)}
            copied.function = _calling_instead(function, made, _home(function))
            if copied.function is function:
                raise TypeError(
                    f"the function of this {type(self).__name__} cannot be copied with its module, "
                    "as it does not name it; let it know the module itself (as a variable around "
                    "it, an argument or a global name), or give a module as the function"
                )
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
        return require_shape(value, shape, f"the function of this {type(self).__name__}", what)


def _home(function: Any) -> str:
    """The module that a function, or the one in a part of one, was written in."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__module__", None) or ""


def _calling_instead(value: object, instead: dict[int, object], home: str) -> Any:
    """A function, or what holds one, with other objects in some places; itself if it has none.

    Args:
        value: a function, a part of one (`functools.partial`), a method, or a list, tuple or
            dictionary of these and of the objects themselves; anything else stays as it is.
        instead: id of an object → what stands for it; what is made on the way is added.
        home: functions of this module are looked into, and of libraries no others.
    """
    if id(value) in instead:
        return instead[id(value)]
    instead[id(value)] = value  # one that knows itself is met again
    if isinstance(value, FunctionType) and (value.__module__ == home or is_own(value)):
        instead[id(value)] = _calling(value, instead, home)
    elif isinstance(value, HOLDING):
        instead[id(value)] = _holding(value, instead, home)
    return instead[id(value)]


def _holding(value: Any, instead: dict[int, object], home: str) -> Any:
    """A part of a function, a method or a collection with other members; itself if with none."""
    held: list
    if isinstance(value, functools.partial):
        held = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, MethodType):
        held = [value.__func__, value.__self__]
    else:
        held = list(value.values() if isinstance(value, dict) else value)
    others = [_calling_instead(member, instead, home) for member in held]
    if all(one is other for one, other in zip(held, others, strict=True)):
        return value
    if isinstance(value, functools.partial):
        count = 1 + len(value.args)
        named = dict(zip(value.keywords, others[count:], strict=True))
        called, *given = others[:count]
        return functools.partial(called, *given, **named)
    if isinstance(value, MethodType):
        function, owner = others
        return MethodType(function, owner)
    if isinstance(value, dict):
        copied = copy.copy(value)  # of its own class
        copied.update(zip(value, others, strict=True))
        return copied
    kind: Any = type(value)
    return getattr(kind, "_make", kind)(others)  # of named tuples


def _calling(function: FunctionType, instead: dict[int, object], home: str) -> FunctionType:
    """The same function with other objects in the places of some (see `_calling_instead`).

    It may know an object as a variable around it, as a global name or as a default, and through
    functions and collections that it knows in the same ways.
    """

    replaced = []

    def other(value: object) -> Any:
        stands_for_it = _calling_instead(value, instead, home)
        if stands_for_it is not value:
            replaced.append(value)
        return stands_for_it

    def renewed(cell: CellType) -> CellType:
        try:
            content = cell.cell_contents
        except ValueError:  # nothing is in it yet
            return cell
        return CellType(other(content))

    around = tuple(map(renewed, function.__closure__ or ()))
    # None where there are none: a copy is described like the original (`bpttviz.provenance`).
    defaults = function.__defaults__ and tuple(map(other, function.__defaults__))
    by_name = {key: other(value) for key, value in (function.__kwdefaults__ or {}).items()}
    scope = function.__globals__
    looked_up = names_of(function.__code__, "LOAD_GLOBAL", "LOAD_NAME")
    names = {n: other(scope[n]) for n in sorted(looked_up) if n in scope}
    if not replaced:
        return function
    scope = {**scope, **names}
    made = FunctionType(function.__code__, scope, function.__name__, defaults, around)
    made.__kwdefaults__, made.__dict__ = by_name or None, dict(function.__dict__)
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made


class EnergyFunction(_Function):
    """A potential from a function that gives energies; forces follow as the exact gradient.

    The module that it holds is put into ``eval()`` mode: through dropout, which draws other forces
    at every step, a relaxation has no end to come to, and training goes through relaxations.

    Args:
        function: called as ``function(structures, positions)`` with `Structures` and their
            positions (N, 3) Å, which carry the gradient; returns energies (B,) eV. Both arguments
            come in the floating-point type of the weights (where there are any). Distances must be
            built in torch from ``positions``; ``structures.structure_index`` (N,) says which
            structure an atom belongs to, `bpttviz.potentials.neighbors.neighbours` who its
            neighbours are. What it cannot describe it refuses by raising
            ``StructureError(reason, index)``, which lets a relaxation give up that structure alone.
        module: the weights to train, where ``function`` is not a module itself but calls one. It
            has to name it (as a variable around it, an argument or a global name, in a list or
            dictionary too), or be a method of it: only so a copy, which training makes, can call a
            copy of it.
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

    The module that it holds is put into ``eval()`` mode, as by `EnergyFunction`.

    Energies are reported as zero: such a model has none. Anything that compares energies (symmetry-
    equivalent minima, energy plots) says nothing about it.

    Args:
        function: called as ``function(structures, positions)`` like that of `EnergyFunction`;
            returns forces (N, 3) eV/Å that depend on ``positions`` and the weights by a graph.
        module: the weights to train, where ``function`` is not a module itself but calls one; it
            has to name it, see `EnergyFunction`.
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
