"""What every widget also is: a picture on a page without a kernel, a sentence in a terminal."""

from __future__ import annotations

from IPython.display import display

from bpttviz.picture import Picture


class WithPicture:
    """Mixin for a widget that displays itself together with a static picture.

    A page without a front end shows no widget, whatever its description of the output says; so the
    picture is an output of its own, under the widget.
    """

    def picture(self) -> Picture:
        """What the widget shows now, as a matplotlib figure with alternative text."""
        raise TypeError(f"{type(self).__name__} defines no picture()")

    def static_html(self, picture: Picture) -> str:
        """What a page without a kernel shows: ``picture``, unless a widget can do better."""
        return picture.to_html()

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, "text/plain": repr(self)}, metadata

    def _ipython_display_(self):
        bundle, metadata = self._repr_mimebundle_()
        display(bundle, metadata=metadata, raw=True)
        picture = self.picture()
        fold = (
            "<details open><summary>As first shown, for pages without a live kernel"
            f"</summary>{self.static_html(picture)}</details>"
        )
        display({"text/html": fold, "text/plain": picture.alt_text}, raw=True)
