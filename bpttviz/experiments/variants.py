"""Variants of `bpttviz.Recipe`: what each of its ingredients buys is seen where it is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bpttviz.provenance import specification
from bpttviz.relaxation.adjoints.unrolled import DetachedBPTT
from bpttviz.training.recipe import Recipe
from bpttviz.training.schedule import ConstantSchedule
from bpttviz.training.starts import AroundEnd, JitteredStarts, ReferenceStarts

PAPERS_RATE = 5e-4  # of Adam, as `PaperRecipe` has it


@dataclass(frozen=True)
class Variant:
    """The recipe with one thing changed (or, the paper's way, with all of them).

    Attributes:
        name: on a command line, and of a folder.
        title: in tables.
        change: makes it from the whole recipe.
        replay: the recipe it is made from replays the potential's own minima.
    """

    name: str
    title: str
    change: Callable[[Recipe], Recipe]
    replay: bool = False

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe changed.

        Raises:
            ValueError: nothing changes, as where nothing is rehearsed anyway.
        """
        changed = self.change(recipe)
        if changed is not recipe and specification(changed) == specification(recipe):
            raise ValueError(
                f"the variant {self.name!r} ({self.title}) is the recipe itself here: what it "
                "changes is not there, as unlabelled structures of a data set that has none"
            )
        return changed


def _papers(recipe: Recipe) -> Recipe:
    """Starts, a constant rate and the last weights; nothing is kept."""
    return replace(
        _last_weights(recipe), unlabelled=None, minima=None, pressure=0.0, starts=ReferenceStarts(),
        resolution=0.0, learning_rate=PAPERS_RATE,
    )  # fmt: skip


def _last_weights(recipe: Recipe) -> Recipe:
    return replace(recipe, schedule=ConstantSchedule(), average=None)


def _detached(recipe: Recipe) -> Recipe:
    return replace(recipe, adjoint=DetachedBPTT())


PRESSURE = 0.5  # amu^½ Å per GPa; 1 GPa is half a percent of silicon's lattice constant


def _detached_with_pressure(recipe: Recipe) -> Recipe:
    return replace(_detached(recipe), pressure=PRESSURE)


WHOLE = Variant("recipe", "the recipe", lambda recipe: recipe)
REPLAYED = Variant("replay", "own minima replayed too", lambda recipe: recipe, replay=True)
PAPER = Variant("paper", "the paper's way", _papers)
VARIANTS = (
    WHOLE,
    REPLAYED,
    Variant("pressure", "own pressure kept too",
            lambda recipe: replace(recipe, pressure=PRESSURE)),
    PAPER,
    Variant("starts-alone", "no starts around the end",
            lambda recipe: replace(recipe, starts=JitteredStarts())),
    Variant("ends-alone", "no starts but around the end",
            lambda recipe: replace(recipe, starts=AroundEnd())),
    Variant("not-through-time", "no gradient through time", _detached),
    Variant("pressure-not-through-time", "own pressure kept too, no gradient through time",
            _detached_with_pressure),
    Variant("twice-as-long", "pressure kept, not through time, twice as long",
            lambda recipe: replace(_detached_with_pressure(recipe), epochs=2 * recipe.epochs)),
    Variant("paper-not-through-time", "the paper's way, no gradient through time",
            lambda recipe: _detached(_papers(recipe))),
    Variant("paper-rehearsed", "the paper's way, forces rehearsed",
            lambda recipe: replace(_papers(recipe), unlabelled=recipe.unlabelled)),
    Variant("last-weights", "no cosine and no average", _last_weights),
    Variant("no-resolution", "no resolution: pushed however near",
            lambda recipe: replace(recipe, resolution=0.0)),
    Variant("no-rehearsal", "no forces rehearsed",
            lambda recipe: replace(recipe, unlabelled=None, pressure=0.0)),
)  # fmt: skip


def variant(name: str) -> Variant:
    """The variant of that name.

    Raises:
        ValueError: there is none; says which there are.
    """
    for one in VARIANTS:
        if one.name == name:
            return one
    raise ValueError(
        f"there is no variant {name!r}; there are {', '.join(v.name for v in VARIANTS)}"
    )
