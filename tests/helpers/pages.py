"""Widgets in saved pages, opened in a browser without a kernel."""

from io import BytesIO

import nbformat
import numpy as np
from ipywidgets.embed import dependency_state
from PIL import Image


class Opened:
    """An HTML file in a browser page; notes complaints and requests."""

    def __init__(self, chromium, path, **options):
        self.context = chromium.new_context(viewport={"width": 1100, "height": 760}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.errors, self.outside = [], []
        self.page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda r: self.outside.append(r.url))
        self.page.goto(path.as_uri())
        self.outside.remove(path.as_uri())

    def player(self, code):
        """Evaluates ``code`` with the player as `p`, after it has drawn what is due."""
        return self.page.evaluate(
            "async (code) => {"
            "for (let k = 0; k < 3; k++) await new Promise(requestAnimationFrame);"
            "const p = document.querySelector('.bpttviz-player').bpttvizPlayer;"
            "return new Function('p', `return ${code}`)(p); }",
            code,
        )

    def panes(self):
        """Both panes as numbers."""
        self.player("0")
        shots = [self.page.locator("canvas").nth(k).screenshot() for k in (0, 1)]
        return [np.array(Image.open(BytesIO(shot)).convert("RGB"), float) for shot in shots]


def notebook_with(shown_widgets, monkeypatch) -> nbformat.NotebookNode:
    """A notebook as JupyterLab saves it, with the state of its widgets."""
    shown = []
    monkeypatch.setattr(
        "bpttviz.widgets.static.display", lambda data, **_: shown.append(dict(data))
    )
    for widget in shown_widgets:
        widget._ipython_display_()
    cell = nbformat.v4.new_code_cell("widgets")
    cell.outputs = [nbformat.v4.new_output("display_data", data=data) for data in shown]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    state = {"version_major": 2, "version_minor": 0, "state": dependency_state(shown_widgets)}
    notebook.metadata.widgets = {"application/vnd.jupyter.widget-state+json": state}
    return notebook
