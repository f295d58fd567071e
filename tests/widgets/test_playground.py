"""`Playground` without a browser: recipes, what is measured of them, and what cannot be."""

import time

import made_up
import pytest
import traitlets

import bpttviz as bv
from bpttviz.teaching import spring_world as world
from bpttviz.widgets import live_report
from bpttviz.widgets.recipe_form import RecipeForm


@pytest.fixture
def play():
    truth = world.true_springs()
    data = world.relaxations_of(truth, 3, 0)
    return bv.Playground(
        world.mistaken(truth), data[:2], data[2:], steps=3, step_size=0.02, max_step=None,
        learning_rate=0.01, epochs=3, every=2,
    )  # fmt: skip


def typed(form: RecipeForm, name: str, text: str) -> None:
    """What the browser sends when a number is typed."""
    form._on_message(form, {"name": name, "text": text}, [])


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_trained_is_measured_and_shown(play):
    assert play.plane.plane.layers[0].arrows[0].meaning == "unchanged"
    play.monitor.wait()
    assert play.report.potentials == ["before", "2 updates", "4 updates", "6 updates"]
    assert [path["potential"] for path in play.player.payload["paths"]] == ["before", "6 updates"]
    now = bv.evaluate(
        {"now": play.monitor.run.potential}, play._held_out,
        bv.GradientDescent(0.02, None), bv.StoppingCriterion(3), progress=False,
    )  # fmt: skip
    name = play.report.structures[0]
    assert play.report.row("6 updates", name).dq_rest == now.row("now", name).dq_rest
    assert not play.form.disabled


def test_another_recipe_begins_anew_and_the_first_is_found_as_it_was_left(play):
    play.monitor.wait()
    first, measured = play.monitor, play.report.potentials
    typed(play.form, "share", "0,5")
    assert play.share == play.form.values["share"] == 0.5
    assert play.report.potentials == ["before"]
    assert play.monitor.status == "ready"
    wait_for(lambda: play.plane.report.potentials == ["before"])
    play.share = 0
    assert play.monitor is first
    wait_for(lambda: play.plane.report.potentials == measured)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("steps", "0", 0),
        ("steps", "many", "many"),
        ("step_size", "-0.1", -0.1),
        ("share", "1.5", 1.5),
        ("learning_rate", "nan", float("nan")),
    ],
)
def test_a_number_that_cannot_be_is_refused_beside_its_field(play, name, text, value):
    kept = getattr(play, name)
    with pytest.raises(traitlets.TraitError, match=f"{name}.* must be .*got {text}|'{text}'"):
        setattr(play, name, value)
    typed(play.form, name, text)
    assert list(play.form.problems) == [name]
    assert getattr(play, name) == kept
    typed(play.form, name, str(kept))
    assert play.form.problems == {}


@pytest.mark.filterwarnings("ignore::bpttviz.relaxation.relax.DivergenceWarning")
def test_of_a_recipe_under_which_everything_diverges_the_step_size_is_blamed(play):
    play.step_size = 10.0
    wait_for(lambda: play.form.problems)
    assert "smaller η" in play.form.problems["step_size"]


def test_there_must_be_something_to_learn_from_and_to_measure(play):
    with pytest.raises(ValueError, match="held_out must hold at least one relaxation"):
        bv.Playground(play._potential, play._training, bv.RelaxationDataset([]))


def test_too_many_measurements_are_thinned_and_the_latest_stays(play, monkeypatch):
    monkeypatch.setattr(live_report, "MOST", 3)
    live = play._trial.live
    for updates in range(1, 6):
        assert live.add(play._potential, updates)
    assert not live.add(play._potential, 5)
    assert live.stages == ["1 updates", "4 updates", "5 updates"]
    assert {potential for potential, _ in live.report.relaxations} == {"before", *live.stages}


def test_what_is_stored_has_nothing_to_train():
    stored = bv.Playground.of(made_up.report(cells=1, steps=6, names=("left", "right")))
    assert "nothing can be trained" in stored.form.state
    assert stored.form.fields == []
    assert not hasattr(stored, "monitor")
    stored.plane.selected = "right"
    assert stored.player.payload["structure"] == "right"
    assert set(stored.view()["data"]["atoms"]) == {"left", "right"}
