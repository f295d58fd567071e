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
LINK = re.compile(r"\[(?P<words>[^\]]*)\]\((?!https?:)(?P<name>[\w./-]+)\.ipynb(?:#[^)]*)?\)")


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
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]  # this checkout's package
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
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


def for_a_page(copy: Path, page: Path, known: set[str]) -> None:
    """Write what a page without a kernel can show of an executed copy.

    Widgets of ipywidgets are left out: what they draw stands beside them, as a view that needs no
    kernel or as a picture. Links to notebooks that are no pages here become plain text.

    Args:
        copy: as `executed` returns it.
        page: the file to write.
        known: names of the notebooks that are pages.
    """
    notebook = nbformat.read(copy, 4)
    how = notebook.metadata.pop("bpttviz", {})
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", ()))
        if cell.cell_type == "code":
            cell.outputs = [kept for each in cell.outputs if (kept := _still(each))]
            if cell.metadata.get("jupyter", {}).get("source_hidden"):
                tags.add("hide-input")
            if "injected-parameters" in tags:
                tags.add("remove-cell")
            cell.metadata = {"tags": sorted(tags)}
        else:
            cell.metadata = {}
            cell.source = LINK.sub(
                lambda m: m[0] if m["name"] in known else m["words"], cell.source
            )
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(_origin(copy.stem[:-13], how)))
    nbformat.write(notebook, page)


def _still(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """An output without what needs a kernel; None if nothing is left."""
    if output.output_type == "stream":
        return None if output.name == "stderr" else output
    if "data" not in output:
        return output
    if any(kind in output.data for kind in LIVE):
        return None
    if "text/html" in output.data:  # one form of it is enough
        output.data = {"text/html": output.data["text/html"]}
    return output


def _origin(name: str, how: dict) -> str:
    """Where the figures of a page come from."""
    parameters = how.get("parameters") or {}
    with_these = ", ".join(f"`{key} = {value}`" for key, value in parameters.items())
    what = f"smaller parameters than its own ({with_these})" if parameters else "its own parameters"
    return (
        f"*Executed with {what} in {how.get('seconds', 0)} s, at commit "
        f"{how.get('commit') or 'unknown'}. Nothing here needs a kernel; to change things, open "
        f"`notebooks/{name}.ipynb`.*"
    )
