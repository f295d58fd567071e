"""Widgets in pages without a kernel: their own JavaScript and data, in place of a picture.

A widget's JavaScript is written as several files for readers; browsers get it as one text: no
library, no request. It exports ``mount(el, data)``.
"""

from __future__ import annotations

import html
import json
import secrets

from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.widgets.bundle import bundle, stylesheet


def page(title: str, body: str) -> str:
    """An HTML page, complete in itself.

    Args:
        title: plain text.
        body: HTML, such as `fragment` returns.
    """
    title = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n"
        "<style>body { margin: 16px; font: 16px system-ui, sans-serif; }\n"
        "h1 { font-size: 1.2em; }\n"
        "@media (prefers-color-scheme: dark) "
        "{ body { color: #e6e6e6; background: #151515; } }</style>\n"
        f"</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def fragment(entry: str, data: dict, picture: AccessibleFigure, live: str = "") -> str:
    """HTML that turns into a view wherever scripts run, and is a picture where they do not.

    Args:
        entry: a file below ``widgets/frontend`` that exports ``mount(el, data)``; its styles are in
            the ``style.css`` beside it.
        data: JSON.
        picture: the picture.
        live: name of the widget whose stand-in this is (its element's ``data-model``); where that
            one is in the page, the picture stays, folded away.
    """
    place = f"bpttviz-{secrets.token_hex(6)}"
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f"<style>{stylesheet(entry)}</style>\n"
        f'<div id="{place}">{picture.to_html()}</div>\n'
        f'<script type="module">\n{bundle(entry, "shared/mount_unless_live.js")}\n'
        f'mountUnlessLive(document.getElementById("{place}"), {json.dumps(live)}, '
        f"(el) => mount(el, {text}));\n</script>"
    )
