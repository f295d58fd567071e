"""`RecipeForm`: the numbers of a recipe, each with a slider, a field, and what is wrong with it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import anywidget
import traitlets

from bpttviz.widgets.bundle import bundle, stylesheet

ENTRY = "recipe_form/index.js"
STYLE = "playground/index.js"  # its styles hold those of the form


@dataclass(frozen=True)
class Field:
    """One number of a recipe.

    Attributes:
        name: of the argument that it is.
        label: what stands beside it.
        hint: what it is.
        low, high: ends of its slider; the field takes what lies beyond, too.
        step: of its slider, in the logarithm to base ten where that is ``logarithmic``.
    """

    name: str
    label: str
    hint: str
    low: float
    high: float
    step: float
    logarithmic: bool = False


class RecipeForm(anywidget.AnyWidget):
    """Asks for numbers; who made it decides about them.

    Args:
        fields: the numbers. None: the form only says something (`state`).
        values: name → number.
        ask: called with a field's name and the number wanted, or the text where it is none. What it
            raises where that cannot be stands beside the field.

    Attributes:
        values: name → number (a trait, as all that follow).
        problems: name → what is wrong with what was asked for.
        disabled: whether nothing can be changed now.
        state: one sentence above the numbers.
        name: by which a page finds the form again.
    """

    _esm = bundle(ENTRY)
    _css = stylesheet(STYLE)

    title = traitlets.Unicode("Recipe").tag(sync=True)
    fields: traitlets.List = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    problems = traitlets.Dict().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)
    state = traitlets.Unicode().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        fields: Sequence[Field],
        values: dict[str, float],
        ask: Callable[[str, float | str], None],
    ):
        super().__init__(
            fields=[asdict(field) for field in fields],
            values=dict(values),
            name=f"recipe-{uuid.uuid4().hex}",
        )
        self._ask = ask
        self.on_msg(self._on_message)

    def _on_message(self, _: object, content: object, __: object) -> None:
        said = content if isinstance(content, dict) else {}
        name, text = said.get("name"), said.get("text")
        own = [field["name"] for field in self.fields]
        if not isinstance(name, str) or not isinstance(text, str) or name not in own:
            return  # no control says that
        problem: dict[str, str] = {}
        try:
            self._ask(name, _number_or_text(text))
        except Exception as error:  # nobody else would see it
            # Whoever types into a field knows that it is text.
            problem = {name: str(error).removesuffix(" (str)")}
        others = {key: words for key, words in self.problems.items() if key != name}
        self.problems = others | problem


def _number_or_text(text: str) -> float | str:
    """What was typed: "0,5" and "1e-3" are numbers; what is none is for the checks to refuse."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return text
    return int(value) if math.isfinite(value) and value.is_integer() else value
