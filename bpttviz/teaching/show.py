"""How a lesson shows itself: a coloured line in a notebook, text in a terminal."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from IPython import get_ipython
from IPython.display import display


def in_notebook() -> bool:
    """Whether a kernel runs this: widgets have someone to talk to."""
    return hasattr(get_ipython(), "kernel")


class Shown:
    """Something that was shown, and can be replaced where it stands.

    In a terminal, what replaces it is printed below.
    """

    def __init__(self, markup: str, text: str):
        self._handle: Any = None
        if get_ipython() is None:
            print(text)
        else:
            self._handle = display(_bundle(markup, text), raw=True, display_id=True)

    def replace(self, markup: str, text: str) -> None:
        """Show this instead."""
        if self._handle is not None:
            self._handle.update(_bundle(markup, text), raw=True)
        elif get_ipython() is None:
            print(text)


def show(markup: str, text: str) -> None:
    """HTML where it can be rendered, text elsewhere."""
    if get_ipython() is None:
        print(text)
    else:
        display(_bundle(markup, text), raw=True)


def line(colour: str, markup: str, role: str = "note") -> str:
    """A paragraph with a coloured edge; its words say what the colour says, in any theme."""
    return (
        f'<div role="{role}" style="border-left: 4px solid {colour}; padding: 2px 10px; '
        f'margin: 2px 0">{markup}</div>'
    )


def folded(summary: str, markup: str) -> str:
    """Markup that is opened by a click, in a page without a kernel too; both are HTML."""
    return f'<details><summary style="cursor: pointer">{summary}</summary>{markup}</details>'


def safe(text: str) -> str:
    """Plain text as HTML."""
    return html.escape(text, quote=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: Markdown in a notebook (formulas work), the same text in a terminal.

    Args:
        columns: headings.
        rows: a cell a column; numbers are to be formatted already.

    Raises:
        ValueError: a row with another number of cells.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells, the table {len(columns)} columns")
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (columns, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    lines.insert(1, "|---" * len(columns) + "|")
    text = "\n".join(lines)
    if get_ipython() is None:
        print(text)
    else:
        # "_" of a name begins no emphasis, but belongs to a formula between $ signs
        parts = text.split("$")
        marked = "$".join(p if n % 2 else p.replace("_", r"\_") for n, p in enumerate(parts))
        display({"text/markdown": marked, "text/plain": text}, raw=True)


def bullets(sentences: Iterable[str]) -> None:
    """A list, a sentence a line; long ones are broken between words."""
    said = list(sentences)
    markup = "".join(f"<li>{safe(sentence)}</li>" for sentence in said)
    show(f"<ul>{markup}</ul>", "\n".join(f"• {sentence}" for sentence in said))


def _bundle(markup: str, text: str) -> dict[str, str]:
    return {"text/html": markup, "text/plain": text}
