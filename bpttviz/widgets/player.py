"""Our own player of two relaxations: as a widget, alone in a page, or under a widget that may fail.

One ES module, no library, no request: what it shows is what nglview shows, on a 2-D canvas. It is
written as several files for readers, and joined here for browsers, which get it as one text.
"""

from __future__ import annotations

import html
import json
import re
import secrets
from pathlib import Path

import anywidget
import traitlets

from bpttviz.picture import Picture
from bpttviz.widgets.clip import as_json

HERE = Path(__file__).parent
FILES = ("clip.js", "clock.js", "curves.js", "canvas.js", "nglstage.js", "player.js")


def source() -> str:
    """The player as one ES module: its files in order, what they import from one another left out.

    No bundler is needed as long as no two files define the same name.
    """
    texts = [(HERE / name).read_text(encoding="utf-8") for name in FILES]
    return re.sub(r'^import .* from "\./.*";\n', "", "\n".join(texts), flags=re.MULTILINE)


class Player(anywidget.AnyWidget):
    """Two relaxations on one clock, their controls, curves and legend.

    Attributes:
        payload: what `bpttviz.widgets.clip.clip` returns (a trait, as all that follow).
        step: the step shown.
        arrows: whether arrows go from every atom to its place in the reference end.
        images: whether atoms are repeated beyond the cell's faces.
        views: model ids of nglview's widgets, which then show the atoms in place of the canvas.
        missing: True once the browser found that it cannot show those; the canvas took over.
        name: by which a page finds the player again.
    """

    _esm = source()
    _css = (HERE / "player.css").read_text(encoding="utf-8")

    payload = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    arrows = traitlets.Bool(False).tag(sync=True)
    images = traitlets.Bool(False).tag(sync=True)
    views = traitlets.List(traitlets.Unicode()).tag(sync=True)
    missing = traitlets.Bool(False).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)


class Canvas:
    """How a `CompareRelaxations` shows atoms: with the player's own canvas.

    Attributes:
        views: other widgets that show the atoms; none, the player draws them itself.
        panes: what holds them, to stand above the player.
    """

    views = ()
    panes = ()

    def load(self, paths, limit: float) -> None:
        """Nothing to prepare: all that the canvas needs is in the player's payload."""


def page(payload: dict, picture: Picture) -> str:
    """An HTML page with the player, complete in itself.

    Args:
        payload: what `bpttviz.widgets.clip.clip` returns.
        picture: shown in its place where scripts do not run.
    """
    title = html.escape(payload["structure"])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}: two relaxations</title>\n"
        "<style>body { margin: 16px; font: 16px system-ui, sans-serif; }\n"
        "h1 { font-size: 1.2em; }\n"
        "@media (prefers-color-scheme: dark) "
        "{ body { color: #e6e6e6; background: #151515; } }</style>\n"
        f"</head>\n<body>\n<h1>{title}</h1>\n{fragment(payload, picture)}\n</body>\n</html>\n"
    )


def fragment(payload: dict, picture: Picture, live: str = "") -> str:
    """HTML that turns into the player wherever scripts run, and is a picture where they do not.

    Args:
        payload: what `bpttviz.widgets.clip.clip` returns.
        picture: the picture.
        live: name of the widget whose stand-in this is; where that one is in the page, the picture
            stays, folded away.
    """
    place = f"bpttviz-{secrets.token_hex(6)}"
    data = json.dumps(as_json(payload), separators=(",", ":")).replace("<", "\\u003c")
    return (
        f"<style>{Player._css}</style>\n"
        f'<div id="{place}">{picture.to_html()}</div>\n'
        f'<script type="module">\n{source()}\n'
        f'standIn(document.getElementById("{place}"), {json.dumps(live)}, {data});\n</script>'
    )
