"""The course's words: each with a sentence or two and its unit, one source for hover and page.

In a notebook's text a word is hovered with what `hover` returns, pasted into the Markdown; a test
keeps the two alike. In a cell `define` shows it. The site's glossary is built from `GLOSSARY`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bpttviz._checks import text

# <abbr title="...">word</abbr>, as `hover` writes it
HOVERED = re.compile(r'<abbr title="(?P<title>[^"]*)">(?P<word>[^<]*)</abbr>')


@dataclass(frozen=True)
class Term:
    """A word of the course.

    Attributes:
        name: as it stands in a sentence.
        definition: one or two plain sentences.
        unit: what it is measured in; "" where there is nothing to measure, or it has none.
        also: other words for it, by which it is found too.
    """

    name: str
    definition: str
    unit: str = ""
    also: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The definition, with the unit."""
        return self.definition + (f" Unit: {self.unit}." if self.unit else "")


GLOSSARY = (
    Term(
        "adjoint",
        "How a gradient comes back from the end of a relaxation to the weights: through every "
        "step, through a few of them, or from the resting place alone.",
    ),
    Term(
        "amu^½ Å",
        "The unit of ΔQ: each atom's distance counts by the square root of its mass. One silicon "
        "atom moved by 0.19 Å gives 1 amu^½ Å.",
    ),
    Term(
        "at rest",
        "Where a potential's forces have vanished, up to a stated limit, however many steps that "
        "takes. The place after K steps may be elsewhere.",
        also=("resting place", "X_rest"),
    ),
    Term(
        "basin",
        "All starts from which relaxations come to rest in the same minimum. Which one a walk ends "
        "in can also depend on its step size.",
        also=("basin of attraction", "valley"),
    ),
    Term(
        "BPTT",
        "Backpropagation through time: the chain rule applied to every step of an iterated map, "
        "from the last one back to the first.",
        also=("backpropagation through time",),
    ),
    Term(
        "checkpointing",
        "Keeping only the positions on the way, and recomputing each step when the gradient comes "
        "back. The same gradient for a small part of the memory, and more time.",
    ),
    Term(
        "DFT",
        "Density-functional theory: the quantum-mechanical method whose relaxations are the "
        "references here. It takes minutes where a learned potential takes a fraction of a second.",
    ),
    Term(
        "endpoint error",
        "How far from the reference end a potential brings the atoms, as ΔQ: after K steps, or at "
        "rest. The tables say which.",
        "amu^½ Å",
    ),
    Term(
        "family",
        "What was done to the crystal: an atom missing (vac), two missing (divac), one replaced "
        "(sub), or one too many (tet, hex, split).",
    ),
    Term(
        "fine-tuning",
        "Training a potential that has been trained already a little further, on few data of "
        "one's own.",
    ),
    Term(
        "force error",
        "The mean absolute error of the components of a potential's forces, on the structures "
        "along a reference relaxation.",
        "eV/Å",
        ("force MAE",),
    ),
    Term(
        "force matching",
        "Training on the forces themselves, structure by structure. Where a relaxation ends is "
        "not asked.",
    ),
    Term(
        "group",
        "The relaxations that a split never divides: one kind of defect, or all that end in the "
        "same minimum. Intervals count groups, as relaxations of one group resemble each other.",
    ),
    Term(
        "Hessian",
        "The matrix of second derivatives of the energy by the positions: how forces change when "
        "atoms move. Its eigenvalues are curvatures.",
        "eV/Å²",
    ),
    Term(
        "implicit gradient",
        "The gradient of the resting place by the weights, from one linear system with the Hessian "
        "there. It knows nothing of the way, nor of the start.",
    ),
    Term(
        "iterated map",
        "One rule applied over and over to its own result. A relaxation is one: forces move the "
        "atoms, and the moved atoms have new forces.",
    ),
    Term(
        "K",
        "The number of steps of a relaxation that a training looks at, and that its gradient goes "
        "back through.",
    ),
    Term(
        "k-points",
        "The places in reciprocal space at which DFT samples a crystal's electrons. Too few give "
        "wrong forces, most of all beside a missing atom.",
    ),
    Term(
        "kind",
        "Family and species of a defect together: vac:Si, sub:P. Held-out defects are of kinds "
        "that training never saw.",
    ),
    Term(
        "MLIP",
        "Machine-learned interatomic potential: a model, often a neural network, that gives the "
        "energy of atoms from their positions and species; forces are its slope.",
        also=("potential",),
    ),
    Term(
        "mode",
        "A pattern in which atoms move together, with one curvature λ: an eigenvector of the "
        "Hessian. Soft modes have a small λ and come to rest last.",
        also=("soft mode",),
    ),
    Term(
        "noise floor",
        "How far the reference ends themselves are from rest. Differences below it mean nothing.",
        "amu^½ Å",
    ),
    Term(
        "paradox",
        "Better ends from worse forces: the endpoint error falls and the force error rises.",
    ),
    Term(
        "reference end",
        "Where the reference method, here DFT, brought the atoms to rest. It is what a relaxation "
        "is compared with.",
    ),
    Term(
        "reference relaxation",
        "A start and a reference end, often with the labelled structures between them.",
    ),
    Term(
        "relaxation",
        "Moving atoms along their forces until these vanish.",
    ),
    Term(
        "sensitivity",
        "How much the loss at the end feels a nudge of the atoms at a step on the way: the norm "
        "of dL/dX_t.",
    ),
    Term(
        "softness",
        "What many pretrained potentials show: curvatures, and so forces away from rest, come out "
        "too small.",
    ),
    Term(
        "spectral radius",
        "The largest factor by which one step multiplies a small displacement, |1 - ηλ| for plain "
        "descent. Below 1 the walk settles and its gradient vanishes; above 1 both grow.",
    ),
    Term(
        "split/tet/hex",
        "Where an additional atom sits in silicon's lattice: sharing the place of another (split), "
        "between four atoms (tet), or in a ring of six (hex).",
        also=("split", "tet", "hex", "interstitial"),
    ),
    Term(
        "step size",
        "By how much a force moves its atom in one step, η. Above 2/λ of the stiffest mode a "
        "relaxation overshoots and does not settle.",
        "Å²/eV",
        ("η",),
    ),
    Term(
        "truncation",
        "Letting the gradient back through the last few steps only. It is biased: soft modes are "
        "seen too little.",
    ),
    Term(
        "unrolling",
        "Writing a loop out as the chain of its steps, so that a gradient can go back through it.",
        also=("unrolled",),
    ),
    Term(
        "vacancy",
        "A place in the crystal whose atom is missing.",
        also=("vac",),
    ),
    Term(
        "ΔQ",
        "The distance between two structures, each atom's part weighted by its mass, with nearest "
        "images and without drift: the root of the sum of m·|ΔX|².",
        "amu^½ Å",
        ("delta Q", "mass-weighted distance"),
    ),
)  # fmt: skip

_BY_WORD = {word.lower(): term for term in GLOSSARY for word in (term.name, *term.also)}


def find_term(word: str) -> Term:
    """The term that a word stands for; upper and lower case are alike, and so are other names.

    Raises:
        TypeError: ``word`` is no text.
        KeyError: the glossary has no such word; those that look like it are named.
    """
    wanted = text("word", word).strip().lower()
    if wanted in _BY_WORD:
        return _BY_WORD[wanted]
    like = [term.name for name, term in _BY_WORD.items() if wanted and wanted in name]
    hint = f"; did you mean {' or '.join(dict.fromkeys(like))}?" if like else ""
    known = "" if like else "; it has " + ", ".join(term.name for term in GLOSSARY)
    raise KeyError(f"the glossary has no {word!r}{hint}{known}")


def hover(word: str, shown: str = "") -> str:
    """HTML that shows a word, and its definition when it is pointed at.

    Args:
        word: the term.
        shown: what stands in the sentence; by default the word itself.

    Raises:
        TypeError, KeyError: as `find_term`.
    """
    term = find_term(word)
    inside = html.escape(shown or word, quote=False)
    return f'<abbr title="{html.escape(term.sentence)}">{inside}</abbr>'


class Definitions:
    """What `define` returns: a list of terms, in a notebook as well as in a terminal.

    Attributes:
        terms: in the order in which they were asked for.
    """

    def __init__(self, terms: Sequence[Term]):
        self.terms = tuple(terms)

    def __repr__(self) -> str:
        return "\n".join(f"{term.name}: {term.sentence}" for term in self.terms)

    def _repr_html_(self) -> str:
        rows = (
            f"<dt><b>{html.escape(term.name)}</b></dt><dd>{html.escape(term.sentence)}</dd>"
            for term in self.terms
        )
        return f"<dl>{''.join(rows)}</dl>"


def define(*words: str) -> Definitions:
    """What words of the course mean: ``bv.define("adjoint", "basin")``.

    Args:
        *words: terms, or other names of theirs; without any, the whole glossary.

    Raises:
        TypeError: something that is no text.
        KeyError: the glossary has no such word; those that look like it are named.
    """
    return Definitions([find_term(word) for word in words] if words else GLOSSARY)
