"""Code that an answer has no use for: graded all the same, and shown to the instructor.

What an answer needs is known, and what somebody may try is not. So anything is named that is not
calculating: modules beside the course's, files, the interpreter's insides, changes to a library.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from IPython.core.inputtransformer2 import TransformerManager

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
USUAL_MAGIC = {"config", "matplotlib", "pinfo", "pinfo2", "precision"}
TIMED = {"time", "timeit"}  # run what they are given
SECRETS = (
    "instructor_seed", "hidden_draws", "autograder", "withheld_", "_solution", "result.json",
    "/proc",
)  # fmt: skip
_DUNDER = re.compile(r"__\w+__$")
# What gets something from a file or into one, whoever's function it is.
_FILES = re.compile(
    r"i?read(_|$)|load($|_|txt)|save($|_|txt|z)|dump$|(to|from)_?file|to_(csv|json|pickle)"
)
OWN_FILES = {"load_challenge", "load_dataset", "load_potential", "load_state_dict"}
OWN_TABLE = "A2_results.csv"
USUAL_ATTRIBUTES = {"grad", "requires_grad", "shape"}  # that an answer may set
_TIMER_OPTIONS = re.compile(r"^\s*(-[nr]\s*\d+(\s+|$)|-[tcpqo](\s+|$))*")
IPYTHON = "get_ipython()"  # as it writes itself
SHELL = {"system", "getoutput", "getoutput_split"}
MAGIC = {"run_line_magic", "run_cell_magic"}
NO_PYTHON = "a cell that is no Python"


def unusual_code(cells: Sequence[str]) -> tuple[str, ...]:
    """What the code of a notebook uses beside what answers need, each once, in order.

    Args:
        cells: the sources of its code cells.
    """
    text = "\n".join(cells)
    found = [word for word in SECRETS if word in text]
    trees = [tree for cell in cells for tree in _trees(cell, found)]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    own = {id(node.func) for node in nodes if isinstance(node, ast.Call) and _of_own_table(node)}
    found += [part for node in nodes if id(node) not in own for part in _parts(node)]
    return tuple(dict.fromkeys(found))


def _trees(cell: str, found: list[str]) -> Iterator[ast.AST]:
    """The Python in a cell, also in what is timed; magic and shell commands go to ``found``.

    IPython itself says what it makes of a cell: a "?" at a line's end, "!" behind an assignment and
    an "await" outside of functions are no Python, and run all the same.
    """
    try:
        source = TransformerManager().transform_cell(cell)
        tree = compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        found.append(NO_PYTHON)
        return
    timed = _Commands(found)
    yield timed.visit(tree)
    for code in timed.code:
        yield from _trees(code, found)


class _Commands(ast.NodeTransformer):
    """Takes IPython's commands out of a cell, and what they are given to run."""

    def __init__(self, found: list[str]) -> None:
        self.found = found
        self.code: list[str] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ""  # of IPython's own calls; anything else in the place of its shell is to be seen
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == IPYTHON:
            name = node.func.attr
        words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if name not in SHELL | MAGIC or len(words) != len(node.args) or not words:
            return self.generic_visit(node)
        command, *rest = map(str, words)
        if name in SHELL:
            self.found.append("shell commands")
        elif command in TIMED:
            self.code += [_TIMER_OPTIONS.sub("", code) for code in rest]
        elif command not in USUAL_MAGIC:
            self.found.append(f"{'%%' if name == 'run_cell_magic' else '%'}{command}")
        return ast.copy_location(ast.Constant(None), node)


def _parts(node: ast.AST) -> Iterator[str]:
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
        if isinstance(node.ctx, ast.Store | ast.Del) and not _own(node):
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
    files = bool(_FILES.match(name)) and name not in OWN_FILES
    return private or files or name in FILES_AND_INSIDES or name in BEHIND or _inside(name)


def _own(node: ast.Attribute) -> bool:
    """Whether an answer may set this: a module has more names than can be followed."""
    root: ast.expr = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    return node.attr in USUAL_ATTRIBUTES or (isinstance(root, ast.Name) and root.id == "self")


def _of_own_table(node: ast.Call) -> bool:
    """Whether a call reads the one table that comes with an assignment."""
    given = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
    return getattr(node.func, "attr", "") == "read_csv" and given == OWN_TABLE
