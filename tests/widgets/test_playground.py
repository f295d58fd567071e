"""`Playground` without a browser: recipes, what is measured of them, and what cannot be."""

import copy
import gc
import re
import time
import weakref
from dataclasses import replace
from typing import ClassVar

import made_up
import pytest
import traitlets

import bpttviz as bv
from bpttviz.evaluation.report import Report
from bpttviz.teaching import spring_world as world
from bpttviz.widgets import live_report, playground, rerun
from bpttviz.widgets.recipe_form import RecipeForm


@pytest.fixture
def play():
    truth = world.true_springs()
    data = world.relaxations_of(truth, 3, 0)
    made = bv.Playground(
        world.mistaken(truth), data[:2], data[2:], steps=3, step_size=0.02, max_step=None,
        learning_rate=0.01, epochs=3, every=2,
    )  # fmt: skip
    yield made
    made.close()


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
        ("steps", "1e9", int(1e9)),
        ("step_size", "-0.1", -0.1),
        ("share", "1.5", 1.5),
        ("learning_rate", "nan", float("nan")),
        ("learning_rate", "1e300", 1e300),
    ],
)
def test_a_number_that_cannot_be_is_refused_beside_its_field(play, name, text, value):
    kept, got = getattr(play, name), "|".join(map(re.escape, (str(value), repr(text))))
    with pytest.raises(traitlets.TraitError, match=rf"{name}.* must be .*got ({got})"):
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


class Sick(bv.Potential):
    """Springs that can be broken."""

    def __init__(self, springs):
        super().__init__()
        self.springs = springs

    ill = ""

    def config(self):
        return {}

    def energy(self, structures):
        if Sick.ill == "raises":
            raise RuntimeError("out of memory")
        energy = self.springs.energy(structures)
        return energy * float("nan") if Sick.ill == "nan" else energy


@pytest.fixture
def sick(play):
    yield bv.Playground(
        Sick(play._potential), play._training, play._held_out, steps=3, step_size=0.02,
        max_step=None, learning_rate=0.01, epochs=3, every=2,
    )  # fmt: skip
    Sick.ill = ""


def test_a_potential_that_breaks_is_told_and_what_was_trained_goes_on(sick):
    def break_it(important):
        Sick.ill = "raises" if len(sick.monitor.run.history) == 3 else ""

    training = sick.monitor.training
    training.subscribe(break_it)
    with pytest.raises(RuntimeError, match="out of memory"):
        sick.monitor.wait()
    wait_for(lambda: "Not measured: out of memory" in sick.form.state)
    assert "out of memory" in sick.monitor.data["error"]
    assert sick.monitor.data["button"] == ["start", "▶ Try again"]
    training.unsubscribe(break_it)
    Sick.ill = ""
    sick.monitor.training.start()
    sick.monitor.wait()
    assert sick.report.potentials == ["before", "2 updates", "4 updates", "6 updates"]


@pytest.mark.filterwarnings("ignore:.*not finite")
def test_of_a_potential_that_gives_nothing_no_step_is_blamed(sick):
    Sick.ill = "nan"
    sick.share = 0.5
    wait_for(lambda: sick.form.problems)
    assert "No step is to blame: springs 2 was not described" in sick.form.problems["step_size"]


def test_a_recipe_that_cannot_be_trained_is_taken_back(play, monkeypatch):
    first = play.monitor

    def refuse(folder):
        raise OSError("disk full")

    monkeypatch.setattr(play, "_new_trial", refuse)
    typed(play.form, "steps", "5")
    assert play.form.problems == {"steps": "disk full"}
    assert (play.steps, play.form.values["steps"], play.monitor) == (3, 3, first)


def test_a_measurement_that_nobody_wants_any_more_ends(play):
    asked = []
    live = live_report.LiveReport(
        play._potential, play._held_out, bv.GradientDescent(0.02, None), bv.StoppingCriterion(5),
        unwanted=lambda: asked.append("step") or len(asked) == 3,
    )  # fmt: skip
    with pytest.raises(live_report.GivenUp, match="'before' was given up"):
        _ = live.report
    assert len(asked) == 3
    assert live.report.potentials == ["before"]
    play.steps = 1000
    long = play._trial.live
    play.steps = 4
    wait_for(lambda: play.form.state == playground.ANEW)
    assert long._lock.acquire(timeout=5)
    assert long._report is None
    long._lock.release()


def test_recipes_faster_than_they_can_be_measured(play):
    for number in range(20):
        typed(play.form, "steps", str(1 + number % 4))
    wait_for(lambda: play.form.state == playground.ANEW)
    assert play.steps == play.form.values["steps"] == 4
    play.monitor.wait()
    wait_for(lambda: play.plane.report is play.report and not play.form.disabled)
    assert play.report.potentials == ["before", "2 updates", "4 updates", "6 updates"]
    for trial in play._trials.values():  # else a training would go on unwatched
        assert trial.watcher in trial.training._watchers


def test_recipes_that_look_alike_do_not_meet_in_one_folder(play):
    play.learning_rate = 10**-2.75  # as a slider gives it
    play.monitor.wait()
    play.learning_rate = 0.00177828  # as it is typed
    play.monitor.wait()
    assert play.monitor.status == "finished"
    assert len({trial.monitor.run.path for trial in play._trials.values()}) == 3


def test_what_was_trained_is_found_in_its_folder_and_measured(play, tmp_path):
    given = {"steps": 3, "step_size": 0.02, "max_step": None, "epochs": 1, "out": tmp_path}
    sets = play._potential, play._training, play._held_out
    bv.Playground(*sets, **given).monitor.wait()
    again = bv.Playground(*sets, **given)
    assert (again.monitor.status, again.report.potentials) == ("finished", ["before", "2 updates"])
    kept = [weakref.ref(part) for part in (again, again.monitor, again._trial.live)]
    again.close()
    del again
    gc.collect()
    assert [part() for part in kept] == [None] * 3  # closed, it costs no memory


def test_closing_it_stops_what_goes_on_for_it(play):
    play._epochs = 100_000
    play.share = 0.25
    monitor, training = play.monitor.start(), play.monitor.training
    wait_for(lambda: monitor.run.history)
    play.close()
    play.close()
    wait_for(lambda: not training.alive)
    assert play._trial.watcher not in training._watchers
    assert training.status == "interrupted"
    assert play.player.comm is None


def test_a_cell_that_is_run_again_stops_what_it_began_before(play, monkeypatch):
    class Shell:
        parent_header: ClassVar = {"metadata": {"cellId": "one"}, "header": {"msg_id": "first"}}

    monkeypatch.setattr(rerun, "get_ipython", Shell)
    stopped = []

    class Made:
        def __init__(self, name):
            self.name = name

        def stop(self):
            stopped.append(self.name)

    made = [Made("a"), Made("b"), Made("gone")]
    for one in made:
        rerun.end_when_rerun(one.stop)
    assert stopped == []
    del one, made[2]
    Shell.parent_header = Shell.parent_header | {"header": {"msg_id": "second"}}
    made.append(Made("c"))
    rerun.end_when_rerun(made[-1].stop)
    assert stopped == ["a", "b"]


def test_a_message_that_no_control_sends_changes_nothing(play):
    for message in (
        None, "stop", {}, {"do": "rm"}, {"do": ["start"]}, {"name": "_epochs", "text": "9"},
        {"name": "__class__", "text": "1"}, {"name": "steps", "text": 5}, {"name": ["a"]},
    ):  # fmt: skip
        before = play._epochs, play.steps, play.monitor.status, play.form.problems
        play.form._on_message(play.form, message, [])
        play.monitor._on_message(play.monitor, message, [])
        assert (play._epochs, play.steps, play.monitor.status, play.form.problems) == before


def test_what_is_held_out_is_not_trained_on(play):
    with pytest.raises(ValueError, match="but 1 are in both: springs 1; .* Divide them first"):
        bv.Playground(play._potential, play._training, play._training[1:])


def test_weights_without_numbers_cannot_be_trained(play):
    with pytest.raises(ValueError, match="is on the device 'meta'.*load it on the CPU"):
        bv.Playground(copy.deepcopy(play._potential).to("meta"), play._training, play._held_out)


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


def test_of_a_table_a_structure_is_relaxed_when_its_atoms_are_asked_for(play):
    two = {"one": play._potential, "other": world.true_springs()}
    how = {"rule": bv.GradientDescent(0.02, None), "stop": bv.StoppingCriterion(3)}
    data = world.relaxations_of(two["other"], 2, 0)
    measured = bv.evaluate(two, data, **how, progress=False)
    table = Report(measured.rows)
    stored = bv.Playground.of(table, potentials=two, references=data, **how)
    assert stored.player is None
    assert stored.relax_now.button in stored._right.children[1].children
    stored.plane.selected = "springs 1"
    thread = stored.relax_now.start()
    assert stored.relax_now.start() is None  # one at a time
    thread.join(30)
    assert "ΔQ at rest" in stored.relax_now.words.value
    assert stored.player.payload["structure"] == "springs 1"
    assert stored.report.rows == table.rows
    for name in two:
        path = measured.relaxation(name, "springs 1").trajectory
        assert (stored.report.relaxation(name, "springs 1").trajectory - path).abs().max() < 1e-9
    assert list(stored.view()["data"]["atoms"]) == ["springs 1"]
    stored.plane.selected = "springs 0"
    assert stored.player not in stored._right.children
    stored.plane.selected = "springs 1"
    assert stored.player in stored._right.children


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"potentials": {}}, ValueError, "both potentials and references"),
        ({"potentials": {}, "references": True}, KeyError, "potentials has no 'pretrained'"),
        ({"report": Report([])}, ValueError, "report is empty"),
    ],
)
def test_what_cannot_be_shown_or_relaxed_is_said(play, given, error, match):
    if "references" in given:
        given = given | {"references": play._training}
    with pytest.raises(error, match=match):
        bv.Playground.of(**{"report": made_up.report(cells=1, steps=2)} | given)


def test_without_forces_there_is_no_arrow_and_neither_the_step_nor_the_report_is_blamed(play):
    data = bv.RelaxationDataset([replace(play._held_out[0], trajectory=None)])
    shown = bv.Playground(play._potential, play._training, data, steps=3, step_size=0.02)
    assert "no frames with forces" in shown.form.problems["step_size"]
    assert list(shown.view()["data"]["atoms"]) == data.names
    shown.close()


def test_another_structure_has_other_atoms():
    stored = bv.Playground.of(made_up.report(cells=1, steps=2, names=("left", "right")))
    stored.player.atom = 5
    stored.show_atoms()
    assert stored.player.atom == 5
    stored.plane.selected = "right"
    assert stored.player.atom == -1


def test_what_is_stored_has_nothing_to_train():
    stored = bv.Playground.of(made_up.report(cells=1, steps=6, names=("left", "right")))
    assert "nothing can be trained" in stored.form.state
    assert stored.form.fields == []
    assert not hasattr(stored, "monitor")
    stored.plane.selected = "right"
    assert stored.player.payload["structure"] == "right"
    assert set(stored.view()["data"]["atoms"]) == {"left", "right"}
