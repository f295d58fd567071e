"""The glossary: whole, without doubles, and what notebooks quote from it is what it says."""

import html
from pathlib import Path

import nbformat
import pytest

import bpttviz as bv
from bpttviz.teaching.glossary import GLOSSARY, HOVERED, find_term, hover

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
WANTED = (
    "adjoint", "spectral radius", "Hessian", "mode", "k-points", "noise floor", "basin", "kind",
    "family", "group", "split", "tet", "hex", "amu^½ Å", "reference end", "ΔQ", "at rest",
    "force error", "BPTT", "iterated map", "unrolling", "implicit gradient", "step size", "MLIP",
    "fine-tuning",
)  # fmt: skip


def quoted(source):
    """Words that a cell's text hovers, and what it says of them."""
    return [(m["word"], html.unescape(m["title"])) for m in HOVERED.finditer(source)]


@pytest.mark.parametrize("word", WANTED)
def test_the_course_needs_these(word):
    assert find_term(word)


def test_every_word_leads_to_one_term():
    words = [word.lower() for term in GLOSSARY for word in (term.name, *term.also)]
    assert len(words) == len(set(words))
    assert [term.name for term in GLOSSARY] == sorted(
        (term.name for term in GLOSSARY), key=str.lower
    )


def test_definitions_are_sentences():
    for term in GLOSSARY:
        assert term.definition.endswith("."), term
        assert len(term.definition.split()) <= 45, term
        assert term.definition[0].isupper(), term


def test_hover_can_be_read_back():
    assert quoted(f"a {hover('soft mode', 'soft')} one") == [("soft", find_term("mode").sentence)]


def test_definitions_in_a_terminal_and_in_a_notebook():
    found = bv.define("η", "noise floor")
    assert repr(found).startswith("step size: By how much")
    assert found._repr_html_().count("<dt>") == 2
    assert len(bv.define().terms) == len(GLOSSARY)


def test_an_unknown_word_is_named_with_those_like_it():
    with pytest.raises(KeyError, match="no 'radius'; did you mean spectral radius"):
        bv.define("radius")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_notebooks_quote_is_what_the_glossary_says(path):
    sentences = {term.sentence for term in GLOSSARY}
    for cell in nbformat.read(path, 4).cells:
        for word, title in quoted(cell.source):
            assert title in sentences, f"{path.name} says of {word}: {title}"


def test_something_else_than_a_word_is_refused():
    with pytest.raises(TypeError, match="word"):
        bv.define(3)
