"""What every widget also is: a picture on a page without a kernel, a sentence in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from IPython.display import display
from ipywidgets import Widget

from bpttviz._files import write_atomic
from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.widgets.page import fragment, page

REPORT_HINT = 'bv.evaluate({"before": potential, "after": run.potential}, references, rule, stop)'


def described(bundle: tuple[dict, dict] | dict | None, widget: object) -> tuple[dict, dict]:
    """What a widget is displayed by (data, metadata), with its own words as the plain text."""
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
    return {**data, "text/plain": repr(widget)}, metadata


def close_all(widget: Widget) -> None:
    """Close a widget and all its parts: what stays open is kept for good."""
    for part in getattr(widget, "children", ()):
        close_all(part)
    widget.close()


class WithPicture:
    """Mixin for a widget that displays itself together with a static picture.

    A page without a front end shows no widget, whatever its description of the output says; so the
    picture is an output of its own, under the widget.

    Attributes:
        caption: says of which moment the picture is.
    """

    caption = "As first shown"

    def picture(self) -> AccessibleFigure:
        """What the widget shows now, as a matplotlib figure with alternative text."""
        raise TypeError(f"{type(self).__name__} defines no picture()")

    def static_html(self, picture: AccessibleFigure) -> str:
        """What a page without a kernel shows: ``picture``, unless a widget can do better."""
        return picture.to_html()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        return described(super()._repr_mimebundle_(**kwargs), self)  # type: ignore[misc]  # a mixin

    def _ipython_display_(self) -> None:
        bundle, metadata = self._repr_mimebundle_()
        display(bundle, metadata=metadata, raw=True)
        self._show_static()

    def _show_static(self, **options: Any) -> None:
        """Display what pages without a kernel show; ``options`` are those of ``display``."""
        picture = self.picture()
        fold = (
            f"<details open><summary>{self.caption}, for pages without a live kernel"
            f"</summary>{self.static_html(picture)}</details>"
        )
        display({"text/html": fold, "text/plain": picture.alt_text}, raw=True, **options)


class SelfContained(WithPicture):
    """Mixin for a widget whose view also works without a kernel: in a page of its own, and in place
    of the picture under the widget, wherever scripts run.
    """

    def heading(self) -> str:
        """Title of a page that shows the widget alone."""
        return type(self).__name__

    def view(self) -> dict:
        """What `bpttviz.widgets.page.fragment` needs: ``entry`` and ``data``.

        And ``live``: what the live widget's element has as ``data-model``.
        """
        raise TypeError(f"{type(self).__name__} defines no view()")

    def save_html(self, path: str | Path) -> Path:
        """Write what is shown as a page of its own, which needs neither kernel nor network.

        The static picture is in it too, for readers without scripts.

        Args:
            path: the file; its folder must exist.

        Returns:
            the path written.

        Raises:
            OSError: it cannot be written.
        """
        path = Path(path)
        alone = {**self.view(), "live": ""}
        body = fragment(**alone, picture=self.picture())
        write_atomic(path, page(self.heading(), body))
        return path

    def static_html(self, picture: AccessibleFigure) -> str:
        """The view for pages without a kernel; ``picture`` where scripts do not run either."""
        return fragment(**self.view(), picture=picture)
