"""What an input is and what a computation is: all that a saved result may be filed under.

`fingerprint_structures` says what structures are, `fingerprint` what weights are, `specification`
what a computation is made of. Nothing is rounded. A part that cannot be described is said to be so
(``{"undescribed": ...}``), and `bpttviz._files.refusal` never takes it for the same as before.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import json
import math
import numbers
import os
import sys
import sysconfig
import types
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bpttviz._files import UNDESCRIBED

OURS = "bpttviz"
STABLE = {OURS, "torch", "numpy", "scipy", "ase"}  # told by name: their numbers are relied upon
_MODULE_INTERNALS = frozenset(vars(nn.Module()))


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
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(_bytes(value) if isinstance(value, Tensor) else _digest(value).encode())
    return digest.hexdigest()[:16]


def _bytes(tensor: Tensor) -> bytes:
    """The memory of a tensor; NumPy, which lacks some of torch's types, sees bytes only."""
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
            return {str(key): self.describe(value) for key, value in part.items()}
        if isinstance(part, Set):
            return sorted((self.describe(member) for member in part), key=_digest)
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
        if isinstance(part, types.ModuleType):
            return {"module": part.__name__}
        if isinstance(part, (types.BuiltinFunctionType, types.MethodDescriptorType, np.ufunc)):
            return {"function": getattr(part, "__qualname__", part.__name__)}
        return self._object(part)

    def _object(self, part: object) -> Any:
        cls = type(part)
        result: dict[str, Any] = {"class": cls.__name__}
        config = _config(part)
        own = _is_own(cls)
        if config is not None:
            result["config"] = self.describe(config)
        if config is None and dataclasses.is_dataclass(part):
            config = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
            result["config"] = self.describe(config)
        elif config is None or (own and "config" not in vars(cls)):
            attributes = _attributes(part)
            if attributes is None:
                return {UNDESCRIBED: f"a {cls.__name__}"}
            result["attributes"] = self.describe(attributes)
        if isinstance(part, nn.Module) and len(self.open) > 1 and part.state_dict():
            result["weights"] = fingerprint(part)
        if own:
            result["code"] = _digest(self._class(cls))
        elif cls.__module__.partition(".")[0] not in STABLE:
            result |= _origin(cls.__module__)
        return result

    def _class(self, cls: type) -> Any:
        if not _is_own(cls):
            return {"class": f"{cls.__module__}.{cls.__qualname__}", **_origin(cls.__module__)}
        members: dict[str, Any] = {}
        for base in (base for base in cls.__mro__ if _is_own(base)):
            for name, member in vars(base).items():
                if callable(_unwrapped(member)) or not name.startswith(("__", "_abc_")):
                    members.setdefault(name, self.describe(_unwrapped(member)))
        return {"class": cls.__qualname__, "members": members}

    def _function(self, function: types.FunctionType) -> Any:
        if not _is_own(function):
            return {
                "function": f"{function.__module__}.{function.__qualname__}",
                **_origin(function.__module__),
            }
        code = function.__code__
        used = dict(zip(code.co_freevars, map(_content, function.__closure__ or ()), strict=True))
        for name in sorted(_global_names(code)):
            if name in function.__globals__:
                used[name] = function.__globals__[name]
        result = {
            "function": function.__qualname__,
            "code": _code(code),
            "defaults": self.describe([function.__defaults__, function.__kwdefaults__]),
            "uses": self.describe(used),
        }
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
    if isinstance(part, np.ndarray):
        if part.dtype == object:
            return [specification(member) for member in part.reshape(-1)]
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


def _is_own(thing: Any) -> bool:
    """Whether a class or function is neither bpttviz's nor an installed library's."""
    name = getattr(thing, "__module__", None) or ""
    if name.partition(".")[0] in STABLE | {"builtins"} | sys.stdlib_module_names - {"__main__"}:
        return name == "__main__"
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return True
    return not any(Path(file).is_relative_to(folder) for folder in _library_folders())


@functools.cache
def _library_folders() -> tuple[str, ...]:
    return tuple(sysconfig.get_path(key) for key in ("purelib", "platlib", "stdlib"))


def _origin(module: str) -> dict[str, str]:
    """The version of a library that is no foundation of ours, as its code is not looked at."""
    top = module.partition(".")[0]
    version = getattr(sys.modules.get(top), "__version__", None)
    if top in STABLE or top in sys.stdlib_module_names or not isinstance(version, str):
        return {}
    return {"version": version}


def _unwrapped(member: Any) -> Any:
    """The function in a property, a class method or a static one."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, functools.cached_property):
        return member.func
    return getattr(member, "__func__", member)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _global_names(code: types.CodeType) -> set[str]:
    """Globals that a function, or one inside it, refers to."""
    found = {
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            found |= _global_names(inner)
    return found


def _code(code: types.CodeType) -> str:
    """A hash of compiled code without its whereabouts: neither file nor line numbers."""

    def constant(value: Any) -> Any:
        if isinstance(value, types.CodeType):
            return content(value)
        if isinstance(value, frozenset):  # comes in another order in each process
            return sorted(map(repr, value))
        return repr(value)

    def content(one: types.CodeType) -> list:
        names = [one.co_names, one.co_varnames, one.co_freevars]
        return [one.co_code.hex(), [constant(c) for c in one.co_consts], names]

    return _digest(content(code))


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
