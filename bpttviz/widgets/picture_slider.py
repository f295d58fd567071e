"""A slider that turns pictures computed beforehand, and works in a page without a kernel."""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping

from bpttviz._checks import mapping_of, text
from bpttviz.plotting.figure import AccessibleFigure

# An attribute, not a script: a page that is saved, copied or shown by another program keeps it.
_TURN = (
    "const w=this.parentElement.parentElement;"
    "w.querySelectorAll('.bpttviz-turned').forEach((p,i)=>p.hidden=i!=this.value);"
    "const l=w.querySelector('output');"
    "l.textContent=w.querySelectorAll('.bpttviz-turned')[this.value].dataset.label;"
    "this.setAttribute('aria-valuetext',l.textContent)"
)


class PictureSlider:
    """What `picture_slider` returns; it displays itself.

    Attributes:
        pictures: label → picture.
        description: what the slider is for.
        first: index of the picture shown first.
    """

    def __init__(self, pictures: dict[str, AccessibleFigure], description: str, first: int):
        self.pictures, self.description, self.first = pictures, description, first

    def to_html(self) -> str:
        """A slider and the pictures, of which one is seen; where no script runs, the first one."""
        # Arrow keys are the slider's: JupyterLab's shortcuts are to leave them alone.
        name = f"bpttviz-{secrets.token_hex(6)}"
        labels = list(self.pictures)
        pages = "".join(
            f'<div class="bpttviz-turned" data-label="{html.escape(label)}"'
            f"{'' if place == self.first else ' hidden'}>{picture.to_html()}</div>"
            for place, (label, picture) in enumerate(self.pictures.items())
        )
        return (
            '<div><div style="display: flex; gap: 10px; align-items: center; padding: 4px 0">'
            f'<label for="{name}">{html.escape(self.description)}</label>'
            f'<input id="{name}" data-lm-suppress-shortcuts="true" type="range" step="1" '
            f'min="0" max="{len(labels) - 1}" '
            f'value="{self.first}" style="width: min(50%, 480px)" autocomplete="off" '
            f'aria-valuetext="{html.escape(labels[self.first])}" oninput="{_TURN}">'
            f'<output for="{name}">{html.escape(labels[self.first])}</output></div>{pages}</div>'
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.to_html(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        labels = list(self.pictures)
        return (
            f"{self.description}: {labels[0]} to {labels[-1]}. "
            f"At {labels[self.first]}: {self.pictures[labels[self.first]].alt_text}"
        )


def picture_slider(
    pictures: Mapping[str, AccessibleFigure], description: str, first: str | None = None
) -> PictureSlider:
    """Pictures with a slider above that turns them.

    Args:
        pictures: label → picture, in the slider's order.
        description: what the slider changes.
        first: label of the picture that is seen at first, and where there is no script; the first
            one if not given.

    Raises:
        KeyError: no picture with that label.
        TypeError, ValueError: no pictures, or a label that is no string.
    """
    given = mapping_of("pictures", pictures, AccessibleFigure, '{"η = 0.1": picture}')
    if not given:
        raise ValueError("there are no pictures to turn")
    labels = [str(label) for label in given]
    if first is not None and text("first", first) not in labels:
        raise KeyError(f"no picture {first!r}; there are {', '.join(labels)}")
    place = 0 if first is None else labels.index(first)
    return PictureSlider(
        dict(zip(labels, given.values(), strict=True)), text("description", description), place
    )
