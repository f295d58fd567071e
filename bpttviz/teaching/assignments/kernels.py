"""Kernels that start sooner.

On import jsonschema, which reading a notebook needs, compiles a grammar of internet addresses
where a package for it is installed: seconds of every grading, for a check that nothing asks for.
"""

from __future__ import annotations

import sys
from pathlib import Path

SKIP_GRAMMAR = "import sys; sys.modules['rfc3987_syntax'] = None"


def skip_grammar() -> None:
    """In this process: the package counts as missing, as jsonschema allows."""
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]


def quick_kernels(folder: Path) -> None:
    """In kernels whose ``IPYTHONDIR`` is ``folder``: the same."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True, exist_ok=True)
    (startup / "00-grammar.py").write_text(SKIP_GRAMMAR + "\n", encoding="utf-8")
