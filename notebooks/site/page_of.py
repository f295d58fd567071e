"""One executed notebook as one page: python notebooks/site/page_of.py NOTEBOOK.ipynb PAGE.html

As nbconvert makes it, but complete in itself: formulas are MathML, which browsers draw by
themselves, and nothing is asked of any other machine.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbformat import NotebookNode

# Display formulas first: theirs are the longer signs. Code is not looked into.
FORMULA = re.compile(
    r"(```.*?```|`[^`\n]*`)|\$\$(.+?)\$\$|(?<!\\)\$(?!\s)([^$\n]+?)(?<!\s)\$", re.S
)
# What asks for a script of another machine: formulas need none, and the widgets have their own.
OUTSIDE = re.compile(r'<script\b[^>]*\bsrc="(?:https?://[^"]*)?"[^>]*>\s*</script>', re.S)
MATHJAX = re.compile(r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->", re.S)


def with_mathml(markdown: str) -> str:
    """Markdown whose formulas between dollar signs have become MathML."""

    def formula(found: re.Match) -> str:
        code, display, inline = found.groups()
        if code:
            return code
        made = convert(display or inline, display="block" if display else "inline")
        return made.replace("\n", " ")

    return FORMULA.sub(formula, markdown)


def html_of(notebook: NotebookNode) -> str:
    """The page of an executed notebook."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata.pop("widgets", None)  # their stand-ins draw themselves
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_mathml(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data and "text/html" not in data:
                data["text/markdown"] = with_mathml(data["text/markdown"])
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    html, _ = exporter.from_notebook_node(notebook)
    return OUTSIDE.sub("", MATHJAX.sub("", html))


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(html_of(nbformat.read(source, 4)), encoding="utf-8")
