"""Notebooks with their exercises solved, for instructors."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

HELP = "write copies of notebooks with their exercises solved, for instructors"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    parser.add_argument(
        "--solutions", type=Path, metavar="FOLDER",
        help="with a NOTEBOOK.md for each; solutions/ beside the notebook if not given",
    )  # fmt: skip


def run(choices: argparse.Namespace) -> int:
    """Writes a notebook of the same name for each into --out.

    One that is there already, and differs, may have been worked on: it is refused.
    """
    from bpttviz._files import write_atomic
    from bpttviz.teaching.solutions import read_solutions, solved

    out = Path(choices.out)
    made: dict[Path, str] = {}
    for path in choices.notebooks:
        if (out / path.name).resolve() == path.resolve():
            raise ValueError(f"--out {out}: it holds the notebook itself, which would be replaced")
        try:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            cells = notebook["cells"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no notebook") from error
        if not isinstance(cells, list):
            raise ValueError(f"{path} is no notebook")
        folder = choices.solutions or path.parent / "solutions"
        found = solved(notebook, read_solutions(folder / f"{path.stem}.md"))
        copy, text = out / path.name, json.dumps(found, ensure_ascii=False, indent=1) + "\n"
        if copy in made:
            raise ValueError(f"two of the notebooks are called {path.name}")
        if copy.is_file() and copy.read_bytes() != text.encode():
            raise ValueError(
                f"{copy} is there already, and differs from what would be written: delete it, or "
                "choose another folder"
            )
        made[copy] = text
    out.mkdir(parents=True, exist_ok=True)
    for copy, text in made.items():
        write_atomic(copy, text)
        print(copy)
    return 0
