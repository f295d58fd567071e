"""Names that mean something to TeX, to HTML or to JavaScript; and arguments of the wrong kind."""

from dataclasses import replace

import made_up
import pytest
from pages import Opened

import bpttviz as bv
from bpttviz.evaluation.report import Report
from bpttviz.widgets import Canvas

NAMES = {
    "TeX": r"$\frac{ & _x^",
    "one dollar": "costs 5$",
    "markup": "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>",
    "end of script": "</script><script>window.hacked = 3</script>",
    "end of attribute": '" onmouseover="window.hacked = 4" x=\'',
    "template": "${window.hacked = 5}`;window.hacked = 6;//",
    "comment": "<!--<script>",
    "line ends": "a\r\nb\u2028c",
}


def renamed(report, name):
    """The report with everything in it called ``name`` or, where that must differ, nearly so."""
    potentials = {old: f"{name} {n}" for n, old in enumerate(report.potentials)}
    structures = {old: f"{name} {n}" for n, old in enumerate(report.structures)}
    rows = [
        replace(row, potential=potentials[row.potential], structure=structures[row.structure])
        for row in report.rows
    ]
    return Report(
        rows,
        {(potentials[p], structures[s]): r for (p, s), r in report.relaxations.items()},
        {structures[s]: r for s, r in report.references.items()},
        noise_floor=report.noise_floor,
    )


WIDGETS = {
    "ErrorPlane": lambda name: bv.ErrorPlane(renamed(made_up.errors(made_up.WAYS), name)),
    "CompareRelaxations": lambda name: bv.CompareRelaxations(
        renamed(made_up.report(cells=1, steps=2), name), viewer=Canvas()
    ),
    "Playground": lambda name: bv.Playground.of(
        renamed(made_up.report(cells=1, steps=2, names=("left", "right")), name)
    ),
    "FoggyValley": lambda name: bv.FoggyValley(
        {name: bv.landscape_examples()["two valleys"], f"{name} 2": bv.LandscapeExample(
            bv.Wells([[0.0, 0.0]], [1.0], [0.5]), (0.5, 0.5), (0.0, 0.0)
        )}
    ),
}  # fmt: skip


@pytest.mark.browser
@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("widget", WIDGETS)
def test_any_name_can_be_shown_and_none_becomes_code(chromium, tmp_path, widget, kind):
    shown = WIDGETS[widget](NAMES[kind])
    assert shown.picture().png()
    opened = Opened(chromium, shown.save_html(tmp_path / "page.html"))
    opened.page.wait_for_function(
        "document.querySelector('[class^=bpttviz-]') && !document.querySelector('main > div > img')"
    )
    for target in opened.page.locator("[role=option], canvas").all()[:2]:
        target.dispatch_event("pointerenter")
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator("[onmouseover], [onerror], img").count() == 0
    assert opened.errors == []
    assert opened.outside == []
    opened.context.close()


PLANE = lambda: bv.ErrorPlane(made_up.errors(made_up.WAYS))  # noqa: E731


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bv.ErrorPlane("report.csv"), "report must be a Report, such as bv.evaluate"),
        (lambda: bv.ErrorPlane(None), "report must be a Report"),
        (lambda: bv.CompareRelaxations([1, 2]), "report must be a Report"),
        (lambda: bv.CompareRelaxations(Report), "the class Report itself was given"),
        (
            lambda: bv.CompareRelaxations(made_up.report(cells=1, steps=1), viewer=Canvas),
            "viewer must be an object such as .*Canvas.*got the class Canvas",
        ),
        (
            lambda: bv.CompareRelaxations(made_up.report(cells=1, steps=1), viewer="canvas"),
            "viewer must be an object such as .*got str",
        ),
        (lambda: PLANE().link("compare"), "takes a CompareRelaxations, got str"),
        (lambda: bv.FoggyValley("two valleys"), "title → LandscapeExample.*got str"),
        (lambda: bv.FoggyValley(bv.MullerBrown()), "title → LandscapeExample.*got MullerBrown"),
        (lambda: bv.FoggyValley({"a": bv.MullerBrown()}), "got MullerBrown under 'a'"),
        (lambda: bv.TrainingMonitor.of(3), "takes a run .* or the folder that holds one, got int"),
        (
            lambda: bv.TrainingMonitor("chgnet", None, None, out="x"),
            "potential must be a Potential",
        ),
    ],
)
def test_the_wrong_kind_of_thing_is_refused_with_what_was_expected(call, match):
    with pytest.raises(TypeError, match=match):
        call()
