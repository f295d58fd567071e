"""What an input is and what a computation is: all that a saved result may be filed under.

`fingerprint_structures` says what structures are, `fingerprint` what weights are, `specification`
what a computation is made of. Nothing is rounded. A part that cannot be described is said to be so
(``{"undescribed": ...}``), and `bpttviz._files.refusal` never takes it for the same as before.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import numbers
import os
import types
from collections.abc import Mapping, Set
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bpttviz._code import (
    STABLE,
    NotImported,
    code_of,
    content_of,
    digest,
    imported,
    is_own,
    is_own_module,
    names_of,
    origin,
    unwrapped,
)
from bpttviz._files import UNDESCRIBED

_MODULE_INTERNALS = frozenset(vars(nn.Module()))
_HOOKS = tuple(sorted(name for name in _MODULE_INTERNALS if name.endswith("_hooks")))


class _Structures(Protocol):
    """What of `bpttviz.Structures` is looked at (this module stands below it)."""

    @property
    def positions(self) -> Tensor: ...

    @property
    def numbers(self) -> Tensor: ...

    @property
    def masses(self) -> Tensor: ...

    @property
    def cell(self) -> Tensor: ...

    @property
    def pbc(self) -> Tensor: ...

    @property
    def structure_index(self) -> Tensor: ...

    @property
    def fixed(self) -> Tensor: ...


def fingerprint_structures(structures: _Structures) -> str:
    """A short hash of elements, positions, masses, cells, pbc and held atoms, to the last bit.

    Names, device and number type do not enter (a float32 is the float64 of the same value).
    """
    floating = (structures.positions, structures.masses, structures.cell)
    whole = (structures.numbers, structures.structure_index, structures.pbc, structures.fixed)
    return fingerprint_tensors(*(x.double() for x in floating), *(x.long() for x in whole))


def fingerprint_tensors(*tensors: Tensor) -> str:
    """A short hash of tensors: their types, shapes and bytes. Zero has one sign."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor + 0 if tensor.is_floating_point() else tensor))
    return digest.hexdigest()[:16]


def fingerprint(module: nn.Module) -> str:
    """A short hash of all weights: two modules of one kind with the same one compute the same."""
    hashed = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        hashed.update(name.encode())
        hashed.update(_bytes(value) if isinstance(value, Tensor) else digest(value).encode())
    return hashed.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    """The memory of a tensor; NumPy, which lacks some of torch's types, sees bytes only."""
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def specification(part: object) -> Any:
    """What a part of a computation is, as JSON can hold it, with every number exact.

    - A part with a ``provenance_name`` (a string) is that name; the user answers for it.
    - An object: ``{"class": ..., "config": ...}`` with its constructor arguments, from ``config()``
      where it has one (whose values are described in turn, parts among them), from its fields
      where it is a dataclass, and otherwise from all its attributes.
    - A class that is neither bpttviz's nor a library's adds ``"code"``, a hash of its compiled
      methods and of what they use; where its ``config()`` is inherited, its attributes as well:
      the base class cannot know them.
    - A function: name, hash of its compiled code, defaults, and the values that it captured from
      around it (closure, globals). So an own formula is told apart from one with another number,
      while comments are free. Another minor version of Python compiles otherwise and is another.
    - The weights of ``part`` itself do not enter, as they are what changes (see `fingerprint`);
      those of modules inside it do.

    What has none of this (an open file, a compiled extension's object) becomes
    ``{"undescribed": "a Thing"}``: with it a result is written but not resumed.
    """
    return _Describer().describe(part)


class _Describer:
    """One description; remembers what it is in the middle of, as things may refer to each other."""

    def __init__(self) -> None:
        self.open: dict[int, int] = {}  # id -> how many were open before it
        self.kept: list[object] = []  # what is made on the way must not lend its id to another

    def describe(self, part: object) -> Any:
        if part is None or isinstance(part, (str, bool)):
            return part
        simple = _number(part)
        if simple is not None:
            return simple
        if isinstance(part, (torch.dtype, torch.device, torch.Size, os.PathLike)):
            return str(part)
        if isinstance(part, (bytes, np.ndarray, Tensor)):
            return _array(part)
        if id(part) in self.open:
            return {"again": self.open[id(part)]}
        self.open[id(part)] = len(self.open)
        self.kept.append(part)
        try:
            return self._compound(part)
        finally:
            del self.open[id(part)]

    def _compound(self, part: object) -> Any:
        name = vars(part).get("provenance_name") if hasattr(part, "__dict__") else None
        name = getattr(type(part), "provenance_name", None) if name is None else name
        if isinstance(name, str):
            return {"class": type(part).__name__, "name": name}
        if isinstance(part, Mapping):
            if all(isinstance(key, str) for key in part):
                return {key: self.describe(value) for key, value in part.items()}
            pairs = [[self.describe(key), self.describe(value)] for key, value in part.items()]
            return {"mapping": pairs}
        if isinstance(part, Set):
            return sorted((self.describe(member) for member in part), key=digest)
        if isinstance(part, (list, tuple)):
            return [self.describe(member) for member in part]
        if isinstance(part, type):
            return self._class(part)
        if isinstance(part, functools.partial):
            return {"partial": self.describe([part.func, part.args, part.keywords])}
        if isinstance(part, types.MethodType):
            return {"method": part.__name__, "of": self.describe(part.__self__)}
        if isinstance(part, types.FunctionType):
            return self._function(part)
        if isinstance(part, functools._lru_cache_wrapper):  # its memory is no part of it
            return {"cached": self.describe(part.__wrapped__)}
        if isinstance(part, types.ModuleType):
            return self._module(part)
        if isinstance(part, NotImported):
            return {UNDESCRIBED: f"a function that imports {part.name}, which is not loaded yet,"}
        if isinstance(part, (types.BuiltinFunctionType, types.MethodDescriptorType, np.ufunc)):
            return {"function": getattr(part, "__qualname__", part.__name__)}
        return self._object(part)

    def _object(self, part: object) -> Any:
        cls = type(part)
        result: dict[str, Any] = {"class": cls.__name__}
        config = _config(part)
        own = is_own(cls)
        if config is not None:
            result["config"] = self.describe(config)
        if config is None and dataclasses.is_dataclass(part):
            config = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
            result["config"] = self.describe(config)
            # What was set on it beside its fields, if anything, was set for a reason.
            named = set(config)
            more = {
                name: value
                for name, value in getattr(part, "__dict__", {}).items()
                if name not in named and not isinstance(getattr(cls, name, None), cached_property)
            }
            if own and more:
                result["attributes"] = self.describe(more)
        elif config is None or (own and "config" not in vars(cls)):
            attributes = _attributes(part)
            if attributes is None:
                return {UNDESCRIBED: f"a {cls.__name__}"}
            result["attributes"] = self.describe(attributes)
        if isinstance(part, nn.Module):
            hooks = {n: [*vars(part)[n].values()] for n in _HOOKS if vars(part).get(n)}
            if hooks:
                result["hooks"] = self.describe(hooks)
            if len(self.open) > 1 and part.state_dict():
                result["weights"] = fingerprint(part)
        if own:
            result["code"] = digest(self._class(cls))
        elif cls.__module__.partition(".")[0] not in STABLE:
            result |= origin(cls.__module__)
        return result

    def _class(self, cls: type) -> Any:
        if not is_own(cls):
            return {"class": f"{cls.__module__}.{cls.__qualname__}", **origin(cls.__module__)}
        members: dict[str, Any] = {}
        for base in (base for base in cls.__mro__ if is_own(base)):
            for name, member in vars(base).items():
                if callable(unwrapped(member)) or not name.startswith(("__", "_abc_")):
                    members.setdefault(name, self.describe(unwrapped(member)))
        result = {"class": cls.__qualname__, "members": members}
        return result | {"made by": self.describe(type(cls))} if is_own(type(cls)) else result

    def _module(self, module: types.ModuleType, used: Set[str] | None = None) -> Any:
        """A module of the user's with what of it is used; of a library its name and version.

        Args:
            used: names that a function looks up in it, or None: all that it holds may be.
        """
        if not is_own_module(module):
            return {"module": module.__name__, **origin(module.__name__)}
        content = {
            name: self._used(value, used)
            for name, value in sorted(vars(module).items())
            if (name in used if used is not None else not name.startswith("__"))
        }
        return {"module": module.__name__, "content": content}

    def _used(self, value: object, used: Set[str] | None) -> Any:
        """What a function that looks up the names ``used`` sees in something."""
        if not isinstance(value, types.ModuleType) or id(value) in self.open:
            return self.describe(value)
        self.open[id(value)] = len(self.open)
        try:
            return self._module(value, used)
        finally:
            del self.open[id(value)]

    def _function(self, function: types.FunctionType) -> Any:
        if not is_own(function):
            return {
                "function": f"{function.__module__}.{function.__qualname__}",
                **origin(function.__module__),
            }
        code = function.__code__
        looked_up = names_of(code, "LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM")
        used = dict(zip(code.co_freevars, map(content_of, function.__closure__ or ()), strict=True))
        for name in sorted(names_of(code, "LOAD_GLOBAL", "LOAD_NAME")):
            if name in function.__globals__:
                used[name] = function.__globals__[name]
        for name in sorted(names_of(code, "IMPORT_NAME")):
            used[f"import {name}"] = imported(name, function.__globals__.get("__package__"))
        result = {
            "function": function.__qualname__,
            "code": code_of(code),
            "defaults": self.describe([function.__defaults__, function.__kwdefaults__]),
            "uses": {name: self._used(value, looked_up) for name, value in used.items()},
        }
        attributes = {k: v for k, v in vars(function).items() if k != "__wrapped__"}
        if attributes:
            result["attributes"] = self.describe(attributes)
        wrapped = getattr(function, "__wrapped__", None)
        return result if wrapped is None else result | {"wraps": self.describe(wrapped)}


def _number(part: object) -> Any:
    """Numbers, NumPy's too, as Python's; None for anything else. JSON writes floats exactly."""
    if isinstance(part, np.generic):
        part = part.item()
    if isinstance(part, (bool, str)):
        return part
    if isinstance(part, numbers.Integral):
        return int(part)
    if isinstance(part, numbers.Real):
        value = float(part)
        return value if math.isfinite(value) else {"float": str(value)}
    return {"complex": str(part)} if isinstance(part, numbers.Complex) else None


def _array(part: Any) -> Any:
    if isinstance(part, bytes):
        return {"bytes": hashlib.sha256(part).hexdigest()[:16]}
    if isinstance(part, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(part)
        return {"masked": _array(hidden), "values": _array(np.where(hidden, 0, part.data))}
    if isinstance(part, np.ndarray):
        if part.dtype == object:
            members = [specification(member) for member in part.reshape(-1)]
            return {"shape": list(part.shape), "members": members}
        kind, content = str(part.dtype), np.ascontiguousarray(part).tobytes()
    else:
        kind, content = str(part.dtype).removeprefix("torch."), _bytes(part)
    if part.ndim == 0 and not isinstance(part, np.ndarray) and not part.is_complex():
        return {"tensor": kind, "value": _number(part.item())}
    digest = hashlib.sha256(content).hexdigest()[:16]
    return {"tensor": kind, "shape": list(part.shape), "values": digest}


def _config(part: object) -> Any:
    """What ``config()`` says; None where there is none, or a base class that knows of none."""
    try:
        return part.config()  # type: ignore[attr-defined]  # asked by trying
    except (AttributeError, TypeError, NotImplementedError):
        return None


def _attributes(part: object) -> Any:
    """What makes up an object without a config; None where it does not tell (see ``pickle``)."""
    if isinstance(part, nn.Module):
        kept = {k: v for k, v in vars(part).items() if k not in _MODULE_INTERNALS}
        # Weights are the fingerprint's; a buffer that is not saved with them is not.
        saved = part.state_dict()
        kept |= {k: v for k, v in part.named_buffers(recurse=False) if k not in saved}
        return kept | dict(part.named_children())
    try:
        reduced = part.__reduce_ex__(2)
    except Exception:  # whatever a class raises that is not to be copied: open files, locks
        return None
    if isinstance(reduced, str):
        return reduced
    _, arguments, *rest = reduced
    state, members, items = (*rest, None, None, None)[:3]
    arguments = arguments[1:] if arguments[:1] == (type(part),) else arguments
    content = {"state": state, "arguments": arguments}
    content |= {"members": members and list(members), "items": items and [list(i) for i in items]}
    if isinstance(state, dict) and not arguments and not members and not items:
        return state
    return {key: value for key, value in content.items() if value}
