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
USUAL_MAGIC = {"config", "matplotlib", "precision", "time", "timeit"}
SECRETS = (
    "instructor_seed", "hidden_draws", "autograder", "withheld_", "_solution", "result.json",
    "/proc",
)  # fmt: skip
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
    elif isinstance(node, ast.Name):
        if node.id in FILES_AND_INSIDES or _inside(node.id):
            yield node.id
    elif isinstance(node, ast.Attribute):
        if node.attr in FILES_AND_INSIDES or _inside(node.attr):
            yield node.attr
        if isinstance(node.ctx, ast.Store | ast.Del) and _root(node) in aliases:
            yield f"changes {ast.unparse(node)}"


def _usual(module: str) -> bool:
    top = module.partition(".")[0]
    return module in OWN_MODULES if top == "bpttviz" else top in USUAL_MODULES


def _inside(name: str) -> bool:
    return name.startswith("__") and name not in ("__name__", "__init__", "__doc__")


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
