"""Executed copies of the notebooks, made once and kept, and what of them a saved page can show."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).resolve().parents[1]
ROOT = NOTEBOOKS.parent
TESTS = ROOT / "tests" / "notebooks" / "test_notebooks.py"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
LIVE = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")
LINK = re.compile(r"\]\((?!https?:)([\w./-]+)\.ipynb((?:#[^)]*)?)\)")


def small_parameters() -> dict[str, dict]:
    """Those that the tests execute the notebooks with: name → parameters."""
    for node in ast.parse(TESTS.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SMALL":
            return ast.literal_eval(node.value)
    raise ValueError(f"{TESTS} no longer defines SMALL, the notebooks' small parameters")


def executed(path: Path, kept: Path, parameters: dict, fresh: bool = False) -> Path:
    """The executed copy of a notebook; made now unless one of the same text is there.

    The copy is kept under what it was made of, the notebook and its parameters. A change of the
    package alone makes no new one: ask for it with ``fresh``.

    Args:
        path: the notebook.
        kept: folder of the copies.
        parameters: those that differ from its own.
        fresh: execute again in any case.

    Raises:
        papermill.PapermillExecutionError: a cell failed, its check cell included.
    """
    import papermill

    made_of = path.read_text(encoding="utf-8") + json.dumps(parameters, sort_keys=True)
    mark = hashlib.sha256(made_of.encode()).hexdigest()[:12]
    copy = kept / f"{path.stem}-{mark}.ipynb"
    if copy.exists() and not fresh:
        return copy
    print(f"executing {path.name} ...", flush=True)
    began = time.monotonic()
    os.environ.update(dict.fromkeys(THREADS, "1"))
    kept.mkdir(parents=True, exist_ok=True)
    out = kept / path.stem
    out.mkdir(exist_ok=True)
    notebook = papermill.execute_notebook(
        path,
        None,
        parameters={**parameters, "out": str(out)},
        kernel_name="python3",
        progress_bar=False,
        cwd=str(path.parent),
    )
    notebook.metadata["bpttviz"] = {
        "parameters": parameters,
        "seconds": round(time.monotonic() - began),
        "commit": commit(),
    }
    nbformat.write(notebook, copy)
    print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return copy


def commit() -> str:
    """Short hash of the repository's HEAD, or "" outside of a repository."""
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return asked.stdout.strip()
