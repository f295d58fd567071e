"""A saved page of every widget, made in seconds, for tests and for pictures of them."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path

import made_up

import bpttviz as bv
from bpttviz.teaching.examples import finetune_landscape, landscape_examples
from bpttviz.widgets import Canvas
from bpttviz.widgets.bundle import bundle, stylesheet
from bpttviz.widgets.page import fragment, page
from bpttviz.widgets.prediction import ENTRY
from bpttviz.widgets.recipe_form import Field


def error_plane():
    """Two layers, one of them with stages; a structure is selected."""
    ways = {"force-matched": "forces", "BPTT": ("epoch 1", "epoch 2")}
    plane = bv.ErrorPlane(made_up.errors(made_up.WAYS, noise_floor=0.1), after=ways)
    plane.selected = "s1"
    return plane


def relaxations(**made):
    compare = bv.CompareRelaxations(made_up.report(**made), viewer=Canvas())
    compare.arrows, compare.exaggeration = True, 3
    return compare


@cache
def a_run():
    """The run of forty updates of a landscape."""
    valley = landscape_examples()["two valleys"]
    rule, stop = bv.GradientDescent(0.1), bv.StoppingCriterion(max_steps=12)
    return finetune_landscape(valley.landscape, valley.start, valley.target, rule, stop, 40)


def valley():
    return bv.FoggyValley({"two valleys": landscape_examples()["two valleys"]})


def robustness():
    return bv.RobustnessMap(bv.stored_robustness("landscape")).select("FIRE", 0.4, 8)


def linked(path: Path) -> Path:
    """The error plane above the comparison that it is linked with, as a notebook shows them."""
    report = made_up.report(cells=1, steps=6, names=("left", "right"))
    compare = bv.CompareRelaxations(report, viewer=Canvas())
    shown = (bv.ErrorPlane(report).link(compare), compare)
    body = "\n".join(fragment(**w.view() | {"live": ""}, picture=w.picture()) for w in shown)
    path.write_text(page("Linked", body))
    return path


def training_running(path: Path) -> Path:
    """The monitor as it looks while it trains: no saved page has its button, so it is put there."""
    view = bv.TrainingMonitor.of(a_run())
    data = view.view()["data"] | {
        "status": "running", "button": ["stop", "■ Stop"], "pulse": [3, 7], "error": "E: failed"
    }  # fmt: skip
    body = fragment("training_monitor/index.js", data, view.picture())
    path.write_text(page("Training", body))
    return path


def prediction(path: Path) -> Path:
    """A form for a choice and one for a number, with a model that only remembers."""
    forms = [
        {"question": "Where does it end?", "unit": "", "choices": ["here", "there"]},
        {"question": "How far is it?", "unit": "Å", "choices": []},
    ]
    state = {"answer": "", "skipped": False, "status": "no answer yet"}
    calls = "\n".join(
        f"render({{ model: new OfflineModel({json.dumps(form | state)}), el }});" for form in forms
    )
    module = bundle(ENTRY, "shared/model.js")
    style = f"<style>{stylesheet(ENTRY)}</style>"
    script = f'{module}\nconst el = document.querySelector("main");\n{calls}'
    path.write_text(page("Prediction", f'{style}<script type="module">{script}</script>'))
    return path


def playground():
    """Errors and atoms of two structures, without a potential to train."""
    return bv.Playground.of(made_up.report(cells=1, steps=6, names=("left", "right")))


def recipe(path: Path) -> Path:
    """The playground's form, with a number that was refused; no saved page has it."""
    state = {
        "title": "Recipe", "values": {"steps": 4, "rate": 0.01}, "disabled": False, "name": "form",
        "problems": {"steps": "steps (K) must be a whole number of at least 1, got 0"},
        "state": "Another recipe begins anew.", "fields": [
            asdict(Field("steps", "K", "steps of the map", 1, 40, 1)),
            asdict(Field("rate", "learning rate", "of Adam", 0.001, 0.1, 0.25, logarithmic=True)),
        ],
    }  # fmt: skip
    entry = "recipe_form/index.js"
    script = (
        f'{bundle(entry, "shared/model.js")}\nconst el = document.createElement("div");\n'
        f'document.querySelector("main").append(el);\n'
        f"render({{ model: new OfflineModel({json.dumps(state)}), el }});"
    )
    style = f"<style>{stylesheet(entry)}</style>"
    path.write_text(page("Recipe", f'{style}<script type="module">{script}</script>'))
    return path


def saved(make: Callable) -> Callable[[Path], Path]:
    return lambda path: make().save_html(path)


# What a reader can open. Names are those of the tests that look at them.
PAGES: dict[str, Callable[[Path], Path]] = {
    "ErrorPlane": saved(error_plane),
    "CompareRelaxations": saved(relaxations),
    "CompareRelaxations, diverged": saved(lambda: relaxations(lost=20)),
    "BackwardFlow": saved(lambda: bv.BackwardFlow(bv.stored_gradient("005_tet_Si"))),
    "FoggyValley": saved(valley),
    "TrainingMonitor": saved(lambda: bv.TrainingMonitor.of(a_run())),
    "TrainingMonitor, running": training_running,
    "RobustnessMap": saved(robustness),
    "linked": linked,
    "prediction": prediction,
    "Playground": saved(playground),
    "Playground, of a table": saved(
        lambda: bv.Playground.of(bv.shipped_report("si-defects/chgnet-fold-0"))
    ),
    "RecipeForm": recipe,
}
