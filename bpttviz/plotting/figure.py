"""`AccessibleFigure`: a matplotlib figure that carries a description and shows itself with it."""

from __future__ import annotations

import base64
import html
import io
import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bpttviz.plotting.palette import GREY, TEXT

# Light becomes dark and the other way round, then hues are turned back: blue stays blue. White is
# left a little above black, as JupyterLab's background is. Paper is white: it is for screens only.
# The course's pictures in Markdown cells, whose files are numbered, go along: a notebook cannot
# style them itself, and JupyterLab tells them nothing of its theme.
DARK = (
    '<style>@media screen {[data-jp-theme-light="false"] :is(img.bpttviz-picture, '
    '.jp-RenderedMarkdown :is(img[src*="/pictures/0"], img[src*="/pictures/1"])) '
    "{filter: invert(0.93) hue-rotate(180deg)}}</style>"
)


class AccessibleFigure(Figure):
    """A figure with alternative text, made without pyplot and without any global state.

    In a notebook it displays as an image with that text; in a terminal as the text alone. A
    matplotlib `Figure` in every other respect: ``picture.savefig("error-plane.png")``.

    Attributes:
        alt_text: what the picture shows, in words.
    """

    def __init__(self, size: tuple[float, float], alt_text: str = ""):
        super().__init__(figsize=size, dpi=100, layout="constrained", facecolor="white")
        self.alt_text = alt_text

    def png(self, dpi: int = 100) -> bytes:
        """The picture as PNG."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def to_html(self) -> str:
        """An ``<img>`` element that holds the picture and its alternative text; no other file.

        Under a dark theme of JupyterLab (or of the site) it is dark, too: see `DARK`.
        """
        data = base64.b64encode(self.png()).decode()
        return (
            f'{DARK}<img class="bpttviz-picture" src="data:image/png;base64,{data}" '
            f'alt="{html.escape(self.alt_text)}" style="max-width: 100%; height: auto">'
        )

    def __repr__(self) -> str:
        return self.alt_text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.to_html(), "text/plain": self.alt_text}


def plain(text: object) -> str:
    """Text that matplotlib is to draw as it is: a ``$`` of a name begins no formula."""
    return typeset(re.sub(r"(?<!\\)\$", r"\$", str(text)))


def typeset(text: str) -> str:
    """Text as matplotlib is to draw it: the root of "amu^½" is raised."""
    return text.replace("^½", "$^{½}$")


def despine(axes: Axes) -> None:
    """Take away what an axis does not need: two of its four lines, and weight from the rest."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=TEXT, labelsize=9)
    axes.set_facecolor("white")


UNIT = "amu^½ Å"
DELTA_Q = typeset(f"ΔQ to the reference / {UNIT}")
