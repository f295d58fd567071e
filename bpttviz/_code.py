"""Whose code something is, and what code says: for `bpttviz.provenance`. Without torch."""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib.util
import json
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any

OURS = "bpttviz"
STABLE = {OURS, "torch", "numpy", "scipy", "ase"}  # told by name: their numbers are relied upon


def is_own(thing: Any) -> bool:
    """Whether a class or function is neither bpttviz's nor an installed library's."""
    return _is_own_name(getattr(thing, "__module__", None) or "")


def is_own_module(module: types.ModuleType) -> bool:
    """Whether a module is neither bpttviz's nor an installed library's."""
    return _is_own_name(module.__name__)


def _is_own_name(name: str) -> bool:
    if name.partition(".")[0] in STABLE | {"builtins"} | sys.stdlib_module_names - {"__main__"}:
        return name == "__main__"
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return True
    return not any(Path(file).is_relative_to(folder) for folder in _library_folders())


@functools.cache
def _library_folders() -> tuple[str, ...]:
    return tuple(sysconfig.get_path(key) for key in ("purelib", "platlib", "stdlib"))


def origin(module: str) -> dict[str, str]:
    """The version of a library that is no foundation of ours, as its code is not looked at."""
    top = module.partition(".")[0]
    version = getattr(sys.modules.get(top), "__version__", None)
    if top in STABLE or top in sys.stdlib_module_names or not isinstance(version, str):
        return {}
    return {"version": version}


def unwrapped(member: Any) -> Any:
    """The function in a property, a class method or a static one."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, functools.cached_property):
        return member.func
    return getattr(member, "__func__", member)


def content_of(cell: types.CellType) -> Any:
    """What a function has captured; None where the name is not bound yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def names_of(code: types.CodeType, *instructions: str) -> set[str]:
    """What a function, or one inside it, names in such instructions: globals, or imports."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname in instructions}
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            found |= names_of(inner, *instructions)
    return found


class NotImported:
    """A module that a function imports when it is called, and that nobody knows before."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name


def imported(name: str, package: str | None) -> Any:
    """What an import inside a function leads to: of a library its name, else the module itself.

    It is a `NotImported` where the function has never been called.
    """
    for full in (f"{package}.{name}" if package else name, name):
        if full in sys.modules:
            return sys.modules[full] if _is_own_name(full) else full
    return name if _is_library(name.partition(".")[0]) else NotImported(name)


def _is_library(top: str) -> bool:
    """Whether a package that is not loaded is an installed one."""
    if top in STABLE | sys.stdlib_module_names:
        return True
    found = importlib.util.find_spec(top) if top else None
    return found is not None and any(
        Path(found.origin or "").is_relative_to(folder) for folder in _library_folders()
    )


def code_of(code: types.CodeType) -> str:
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

    return digest(content(code))


def digest(value: Any) -> str:
    """A short hash of what JSON can hold; anything else by its repr."""
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
