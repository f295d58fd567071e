"""Code that an answer has no use for: graded all the same, and shown to the instructor.

What an answer needs is known, and what somebody may try is not. So anything is named that is not
calculating: modules beside the course's, files, the interpreter's insides, changes to a library.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

# Modules that an answer may use, with what is below them; of this package what copies import.
USUAL_MODULES = {
    "__future__", "abc", "ase", "bpttviz", "cmath", "collections", "copy", "dataclasses", "decimal",
    "enum", "fractions", "functools", "itertools", "json", "math", "matplotlib", "numbers", "numpy",
    "operator", "pandas", "pprint", "random", "re", "scipy", "seaborn", "statistics", "string",
    "sympy", "textwrap", "time", "torch", "typing", "warnings",
}  # fmt: skip
OWN_MODULES = {"bpttviz", "bpttviz.teaching.assignments.challenge"}
FILES_AND_INSIDES = {
    "__import__", "breakpoint", "compile", "delattr", "eval", "exec", "get_ipython", "getattr",
    "globals", "locals", "open", "setattr", "vars",
    "f_back", "f_builtins", "f_globals", "f_locals", "gi_frame", "tb_frame",
    "ctypeslib", "fromfile", "genfromtxt", "loadtxt", "memmap",
    "read_bytes", "read_fwf", "read_table", "read_text", "teaching",
}  # fmt: skip
# Reached through a module that imports them, and ways to a name that is written as text.
BEHIND = {
    "attrgetter", "builtins", "importlib", "inspect", "methodcaller", "modules", "os", "pathlib",
    "subprocess", "sys",
}  # fmt: skip
USUAL_METHODS = {"__init__", "__call__"}  # others change what a comparison or a sum says
USUAL_MAGIC = {"config", "matplotlib", "precision", "time", "timeit"}
SECRETS = (
    "instructor_seed", "hidden_draws", "autograder", "withheld_", "_solution", "result.json",
    "/proc",
)  # fmt: skip
_DUNDER = re.compile(r"__\w+__$")
_COMMAND = re.compile(r"^\s*(!|%%?(\w+))")


def unusual_code(cells: Sequence[str]) -> tuple[str, ...]:
    """What the code of a notebook uses beside what answers need, each once, in order.

    Args:
        cells: the sources of its code cells; what is no Python is looked through for words only.
    """
    text = "\n".join(cells)
    found = [word for word in SECRETS if word in text]
    trees = []
    for cell in cells:
        lines = []
        for line in cell.splitlines():
            said = _COMMAND.match(line)
            indent = line[: len(line) - len(line.lstrip())]
            lines.append(f"{indent}pass" if said else line)
            if said and said[2] not in USUAL_MAGIC:
                found.append(said[0].strip() if said[2] else "shell commands")
        try:
            trees.append(ast.parse("\n".join(lines)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    nodes = [node for tree in trees for node in ast.walk(tree)]
    aliases = {
        alias.asname or alias.name.partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    found += [part for node in nodes for part in _parts(node, aliases)]
    return tuple(dict.fromkeys(found))


def _parts(node: ast.AST, aliases: Iterable[str]) -> Iterator[str]:
    """What is unusual about one piece of code."""
    if isinstance(node, ast.Import):
        yield from (f"import {a.name}" for a in node.names if not _usual(a.name))
    elif isinstance(node, ast.ImportFrom):
        if not _usual(node.module or ""):
            yield f"import {node.module}"
        yield from (a.name for a in node.names if _behind(a.name))
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if _inside(node.name) and node.name not in USUAL_METHODS:
            yield f"def {node.name}"
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str) and _DUNDER.match(node.value) and _inside(node.value):
            yield node.value
    elif isinstance(node, ast.MatchClass):
        yield from (name for name in node.kwd_attrs if _behind(name))
    elif isinstance(node, ast.Name):
        if node.id in FILES_AND_INSIDES or _inside(node.id):
            yield node.id
    elif isinstance(node, ast.Attribute):
        if _behind(node.attr):
            yield node.attr
        if isinstance(node.ctx, ast.Store | ast.Del) and _root(node) in aliases:
            yield f"changes {ast.unparse(node)}"


def _usual(module: str) -> bool:
    top, *below = module.split(".")
    if top == "bpttviz":
        return module in OWN_MODULES
    return top in USUAL_MODULES and not any(map(_behind, below))


def _inside(name: str) -> bool:
    return name.startswith("__") and name not in ("__name__", "__main__", "__init__", "__doc__")


def _behind(name: str) -> bool:
    """Whether what has this name in a module or an object is none of an answer's business."""
    private = name.startswith("_") and not name.startswith("__")
    return private or name in FILES_AND_INSIDES or name in BEHIND or _inside(name)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
