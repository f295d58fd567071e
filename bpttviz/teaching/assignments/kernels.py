"""Kernels that start sooner, and that a forgotten ``exit()`` does not end.

On import jsonschema, which reading a notebook needs, compiles a grammar of internet addresses
where a package for it is installed: seconds of every grading, for a check that nothing asks for.
"""

from __future__ import annotations

import sys
from pathlib import Path

SKIP_GRAMMAR = "import sys; sys.modules['rfc3987_syntax'] = None"


# IPython's own ends the kernel a moment later, and with it every answer of the notebook.
EXIT_ENDS_A_CELL = """
def exit(*code):
    raise SystemExit(*code)
quit = exit
"""


def skip_grammar() -> None:
    """In this process: the package counts as missing, as jsonschema allows."""
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]


def quick_kernels(folder: Path) -> None:
    """In kernels whose ``IPYTHONDIR`` is ``folder``: the same, and ``exit()`` ends a cell alone."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "00-grammar.py").write_text(SKIP_GRAMMAR + EXIT_ENDS_A_CELL, encoding="utf-8")
