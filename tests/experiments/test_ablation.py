"""Variants of the recipe: what is changed, what is measured, and how it is told."""

import json
import shutil
from dataclasses import fields, replace

import pytest
from springs import network, starts
from test_trial import RECIPE as LONG
from test_trial import data

import bpttviz as bv
from bpttviz.cli import trial as command
from bpttviz.cli.main import main
from bpttviz.evaluation.words import minima_that_changed
from bpttviz.experiments import ablation_tables
from bpttviz.experiments import trial as trials
from bpttviz.experiments.ablation import ENDS, FORCES, Ablation, stored_ablations
from bpttviz.experiments.ablation_tables import write_tables
from bpttviz.experiments.points import LAST, Point
from bpttviz.experiments.protocol import PaperRecipe
from bpttviz.experiments.trial import Trial, parts_of
from bpttviz.experiments.variants import VARIANTS, variant
from bpttviz.plotting.ablation import plot_dose
from bpttviz.plotting.front import plot_front, unbeaten
from bpttviz.training.shipped import card_of, shelf

RECIPE = replace(LONG, epochs=3)


def changed(name):
    """The recipe's numbers that a variant changes."""
    whole = bv.Recipe(starts(2))
    one = variant(name).change(whole)
    return {
        f.name for f in fields(whole) if repr(getattr(whole, f.name)) != repr(getattr(one, f.name))
    }


def test_each_variant_leaves_one_thing_out():
    assert changed("recipe") == changed("replay") == set()
    assert changed("starts-alone") == changed("ends-alone") == {"starts"}
    assert changed("not-through-time") == {"adjoint"}
    assert changed("last-weights") == {"schedule", "average"}
    assert changed("no-resolution") == {"resolution"}
    assert changed("pressure") == {"pressure"}
    assert changed("pressure-not-through-time") == {"pressure", "adjoint"}
    assert changed("twice-as-long") == {"pressure", "adjoint", "epochs"}
    assert changed("paper-not-through-time") == changed("paper") | {"adjoint"}
    assert changed("paper-rehearsed") == changed("paper") - {"unlabelled"}
    assert changed("no-rehearsal") == {"unlabelled"}
    with pytest.raises(ValueError, match="no variant 'no'; there are recipe"):
        variant("no")
    assert all(one.name in command.EXAMPLES for one in VARIANTS)


@pytest.mark.parametrize("name", [one.name for one in VARIANTS])
def test_each_variant_can_be_tried(name, tmp_path):
    cells = bv.load_dataset("si-defects").unlabelled[[0, 4]]
    recipe = variant(name).change(bv.Recipe(cells))
    Trial(bv.PaiNN.pretrained(), data(), recipe, tmp_path / name, folds=2, shared=tmp_path)
    assert (tmp_path / name / "settings.json").exists()


def test_what_is_shared_is_of_one_map_and_one_set(tmp_path):
    trial(tmp_path, "recipe")
    with pytest.raises(ValueError, match="other settings .*folds"):
        trial(tmp_path, "paper", folds=3)
    other = replace(variant("paper").change(RECIPE), steps=14)
    with pytest.raises(ValueError, match="other settings .*stop"):
        Trial(network(), data(), other, tmp_path / "paper", folds=2, shared=tmp_path)


def test_a_variant_that_changes_nothing_is_refused():
    with pytest.raises(ValueError, match="'no-rehearsal' .* is the recipe itself here"):
        variant("no-rehearsal").applied(bv.Recipe())
    assert variant("recipe").applied(bv.Recipe()).unlabelled is None


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--variant", "paper", "--replay"], "--variant replay"),
        (["--variant", "paper", "--parts", "test"], "compared on folds"),
        (["--variant", "nothing"], "no variant 'nothing'"),
        (["--alphas", "0.5"], "--alphas is for a --variant"),
        (["--variant", "paper", "--alphas", "1.5"], "an alpha must be"),
    ],
)
def test_a_line_that_makes_no_sense_is_a_sentence(tmp_path, capsys, more, match):
    assert main(["trial", "--potential", "painn", "--out", str(tmp_path / "o"), *more]) == 1
    assert match in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_the_papers_way_is_that_of_the_protocol():
    config = variant("paper").change(bv.Recipe(epochs=3)).config(5)
    assert config == PaperRecipe().config
    objective = variant("paper").change(bv.Recipe()).objective(network())
    plain = bv.EndpointLoss(PaperRecipe().rule, PaperRecipe().stop, starts=bv.ReferenceStarts())
    assert repr(objective) == repr(plain)


def trial(place, name="recipe", **changes):
    settings = {"folds": 2, "progress": False, "curve": True, "shared": place, **changes}
    return Trial(network(), data(), variant(name).change(RECIPE), place / name, **settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two variants with curves; of the second, two seeds."""
    place = tmp_path_factory.mktemp("ablation")
    for name, seeds in (("recipe", (0,)), ("paper", (0, 1))):
        one = trial(place, name)
        assert one.run(["fold-0", "fold-1"], seeds)
        write_tables(one, name, "network", "springs", f"bpttviz trial --variant {name}")
    return place


def test_variants_are_told_side_by_side(made):
    found = Ablation.read(made)
    recipe, paper = found.measured
    assert (recipe.name, paper.name) == ("recipe", "paper")
    assert list(paper.reports) == [0, 1]
    assert recipe.updates == RECIPE.epochs * 4
    assert [one.updates for one in found.curves["paper"]] == [4, 8, 12]
    assert sorted(recipe.structures) == sorted(data().all.names)

    report = trial(made).report(["fold-0", "fold-1"])
    alone = report.compare("dq_rest")
    assert found.compare(recipe, ENDS).ratio == pytest.approx(alone.ratio, rel=1e-5)
    assert found.compare(recipe, ENDS).interval == pytest.approx(alone.interval, rel=1e-4)

    both = found.compare(paper, ENDS).ratio
    beside = found.compare(paper, ENDS, recipe).ratio
    assert beside == pytest.approx(both / alone.ratio, rel=1e-3)
    frame = found.frame()
    assert list(frame["seeds"]) == ["1", "2"]
    assert frame["at rest, beside the recipe"][0] == ""
    assert "%" in frame["at rest, beside the recipe"][1]
    assert found.compare(recipe, FORCES) is None  # springs have no frames with forces
    assert list(frame["force error"]) == ["—", "—"]
    told = str(found)
    assert "bpttviz trial --variant paper --parts fold-0 fold-1 --seeds 1" in told
    rows = found.curve()
    assert [row["updates"] for row in rows] == [4, 8, 12] * 2
    assert rows[2]["dq_rest"] == pytest.approx((alone.ratio, *alone.interval), rel=1e-4)
    assert "after 12 updates" in plot_dose(rows).alt_text
    assert "slope" not in plot_dose(rows).alt_text  # springs have no frames with forces
    known = [{**row, "slope": (0.7, 1.1), "force_mae": (1.2, 1.1, 1.3)} for row in rows]
    assert "slope of forces, the paper's way: 0.70 to 1.10" in plot_dose(known).alt_text
    assert len(plot_dose(known).axes) == 3
    for wrong in ([], [{"updates": 3}]):
        with pytest.raises(ValueError, match="Ablation|--curve"):
            plot_dose(wrong)


def test_a_curve_ends_where_a_training_without_one_does(made, tmp_path):
    plain = trial(tmp_path, curve=False)
    plain.run(["fold-0"])
    ends = [t.report(["fold-0"]).column("dq_rest", "fine-tuned") for t in (plain, trial(made))]
    assert (ends[0] == ends[1]).all()
    with pytest.raises(
        ValueError, match="has made 12 updates, and what it was after 4 is not kept"
    ):
        trial(tmp_path).run(["fold-0"])


def test_seeds_are_averaged_as_ratios_are(made):
    paper = Ablation.read(made).measured[1]
    name = paper.structures[0]
    each = [r.row("fine-tuned", name).dq_rest for r in paper.reports.values()]
    assert paper.values("dq_rest")[name] == pytest.approx((each[0] * each[1]) ** 0.5)


def test_minima_are_counted_as_in_reports(made):
    paper = Ablation.read(made).measured[1]
    for what, names in paper.minima().items():
        each = [minima_that_changed(r, "pretrained", "fine-tuned")[what] for r in
                paper.reports.values()]  # fmt: skip
        expected = {name: sum(name in one for one in each) for one in each for name in one}
        assert names == [f"{name} ({count} of 2)" for name, count in expected.items()]


def test_seeds_and_curves_of_other_folds_are_told_of_what_they_share(tmp_path):
    one = trial(tmp_path, curve=False)
    one.run(["fold-0", "fold-1"], [0])
    one.run(["fold-1"], [1])
    write_tables(one, "recipe", "network", "springs", "bpttviz trial")
    (whole,) = Ablation.read(tmp_path).measured
    assert list(whole.reports) == [0, 1]
    assert whole.structures == one.parts["fold-1"].held_out.names
    assert not Ablation.read(tmp_path).curves

    paper = trial(tmp_path, "paper")
    paper.run(["fold-0"])
    trial(tmp_path, "paper", curve=False).run(["fold-1"])
    write_tables(paper, "paper", "network", "springs", "bpttviz trial")
    found = Ablation.read(tmp_path)
    assert len(found.measured[1].structures) == 8
    shared = [point.structures for point in found.curves["paper"]]
    assert shared == [paper.parts["fold-0"].held_out.names] * 3


def test_blends_are_measured_and_told_with_the_front(tmp_path):
    one = trial(tmp_path, curve=False, alphas=[0.25, 0.5])
    assert one.run(["fold-0"])
    write_tables(one, "recipe", "network", "springs", "bpttviz trial --alphas 0.25 0.5")
    paper = trial(tmp_path, "paper", curve=False)
    paper.run(["fold-0"])
    write_tables(paper, "paper", "network", "springs", "bpttviz trial")
    part = one.parts["fold-0"]
    assert one.points(part) == [LAST, Point(alpha=0.25), Point(alpha=0.5)]

    found = Ablation.read(tmp_path)
    (line,) = found.blends["recipe"]
    assert [m.point.alpha for m in line] == [0.25, 0.5, None]
    tuned = bv.load_run(one.folder("fold-0", 0), network()).potential
    half = bv.blend(network(), tuned, 0.5)
    by_hand = bv.evaluate({"half": half}, part.held_out, RECIPE.rule, RECIPE.stop, progress=False)
    name = part.held_out.names[0]
    assert line[1].values(ENDS)[name] == pytest.approx(by_hand.row("half", name).dq_rest, rel=1e-6)
    assert "α" in str(found)
    assert "--alphas 0.25 0.5" in found.origins()[0].command
    assert len(set(map(str, found.origins()))) == len(found.origins())

    rows = found.front()
    assert [(row["alpha"], row["n"]) for row in rows] == [(0.25, 4), (0.5, 4), (1.0, 4), (1.0, 4)]
    with pytest.raises(ValueError, match="no structures of which all have measured"):
        plot_front(rows)  # springs have no frames with forces
    known = [{**row, FORCES: (1.2, 1.1, 1.3)} for row in rows]
    picture = plot_front(known)
    assert "the recipe, α = 0.25: ends" in picture.alt_text
    assert "the paper's way: ends" in picture.alt_text
    assert {"0.25", "0.5"} <= {text.get_text() for text in picture.axes[0].texts}
    with pytest.raises(ValueError, match="an alpha must be"):
        trial(tmp_path / "other", alphas=[1.5])


def test_a_finished_training_is_not_begun_again_for_its_blends(tmp_path, monkeypatch):
    one = trial(tmp_path, curve=False)
    one.run(["fold-0"])
    monkeypatch.setattr(trials, "finetune", lambda *_, **__: pytest.fail("trained again"))
    again = trial(tmp_path, curve=False, alphas=[0.5])
    assert again.run(["fold-0"])
    blended = again.report(["fold-0"], point=Point(alpha=0.5)).column("dq_rest", "fine-tuned")
    assert (blended != one.report(["fold-0"]).column("dq_rest", "fine-tuned")).all()


def test_the_front_is_what_nothing_beats():
    points = [(0, 0), (-5, -40), (30, -41), (-5, -30), (10, -40), (-7, -3)]
    assert unbeaten(points) == [(-7, -3), (-5, -40), (30, -41)]
    assert unbeaten([(1, 1), (1, 1)]) == [(1, 1)]


def test_blends_of_seeds_are_those_that_all_have(tmp_path):
    for seed, alphas in ((0, [0.25, 0.5]), (1, [0.5])):
        one = trial(tmp_path, curve=False, alphas=alphas)
        one.run(["fold-0"], [seed])
        write_tables(one, "recipe", "network", "springs", "bpttviz trial")
    ((line,),) = Ablation.read(tmp_path).blends.values()
    assert [m.point.alpha for m in line] == [0.5, None]
    assert list(line[0].reports) == [0, 1]


def test_blends_on_more_structures_have_a_line_of_their_own(tmp_path):
    one = trial(tmp_path, curve=False, alphas=[0.25, 0.5])
    one.run(["fold-0"])
    both = trial(tmp_path, curve=False, alphas=[0.5])
    both.run(["fold-1"])
    write_tables(one, "recipe", "network", "springs", "bpttviz trial")
    paper = trial(tmp_path, "paper", curve=False)
    paper.run(["fold-0"])
    write_tables(paper, "paper", "network", "springs", "bpttviz trial")
    found = Ablation.read(tmp_path)
    told = [[(m.point.alpha, len(m.structures)) for m in line] for line in found.blends["recipe"]]
    assert told == [[(0.25, 4), (0.5, 4), (None, 4)], [(0.5, 8), (None, 8)]]
    assert found.blend_frame()["n"].tolist() == ["4", "4", "4", "8", "8"]
    shown = [(row["variant"], row["alpha"], row["n"]) for row in found.front(widest=True)]
    assert shown == [("the recipe", 0.5, 8), ("the recipe", 1.0, 8)]
    assert len(found.front()) == 4


def test_where_no_training_is_finished_it_is_said(made, tmp_path):
    (tmp_path / "tables").mkdir()
    for name in ("paper-0-epoch-1.csv", "provenance.json"):
        shutil.copy(made / "tables" / name, tmp_path / "tables")
    with pytest.raises(FileNotFoundError, match="no training of a variant in .* is finished"):
        Ablation.read(tmp_path)


def test_a_table_keeps_the_note_of_where_it_was_made(made, monkeypatch):
    before = (made / "tables" / "provenance.json").read_text()
    monkeypatch.setattr(ablation_tables, "commit_here", lambda: "another")
    write_tables(trial(made), "recipe", "network", "springs", "another command")
    assert (made / "tables" / "provenance.json").read_text() == before


def test_what_is_no_folder_of_variants_is_named(made, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no variant"):
        Ablation.read(tmp_path / "nothing")
    tables = shutil.copytree(made / "tables", tmp_path / "tables")
    notes = tables / "provenance.json"
    whole = json.loads(notes.read_text())

    def refused(match, **changes):
        told = {**whole, "paper-1.csv": {**whole["paper-1.csv"], **changes}}
        notes.write_text(json.dumps(told))
        with pytest.raises(ValueError, match=match):
            Ablation.read(tmp_path)

    refused("of one potential on one data set.*network on others", dataset="others")
    refused("in 3 folds", folds=3)
    for damaged in ({}, [], {"paper-1.csv": {}}):
        notes.write_text(json.dumps(damaged))
        with pytest.raises(ValueError, match=r"are not what `bpttviz trial --variant` leaves"):
            Ablation.read(tmp_path)
    notes.write_text(json.dumps(whole))
    lines = (tables / "paper-1.csv").read_text().splitlines()
    for some in (lines[:1], lines[:-1]):
        (tables / "paper-1.csv").write_text("\n".join(some) + "\n")
        with pytest.raises(ValueError, match=r"paper-1\.csv"):
            Ablation.read(tmp_path)
    (tables / "mine.csv").write_text("x")
    with pytest.raises(ValueError, match=r"mine\.csv is not named"):
        Ablation.read(tmp_path)


def test_what_is_committed_says_where_it_is_from(capsys):
    found = bv.stored_ablation()
    assert (found.potential, found.data) == ("chgnet", "si-defects")
    assert {"recipe", "replay", "paper"} <= {one.name for one in found.measured}
    parts = parts_of(bv.load_dataset("si-defects"))
    folds = {name for part in parts.values() for name in part.held_out.names}
    known = stored_ablations()
    assert len({one.potential for one in known.values()}) == len(known) > 1
    assert set(known) == {file.name for file in ablation_tables.STORED.iterdir()}
    for folder, stored in known.items():
        assert folder == stored.potential.replace(":", "-")
        assert stored.data == "si-defects"
        assert bv.stored_ablation(stored.potential).measured[0].structures
        assert all(origin.command and origin.commit for origin in stored.origins())
        for one in stored.measured:
            assert set(one.structures) <= folds
    with pytest.raises(ValueError, match="no variants of 'mace' come with bpttviz; there are chg"):
        bv.stored_ablation("mace")
    card = card_of(shelf() / "si-defects" / "chgnet")
    for line in found.frame().to_dict("records"):
        told = [line[name] for name in ("ΔQ at rest", "after K steps", "force error")]
        cells = [line["variant"], line["n"], *told, line["slope of forces"]]
        assert f"| {' | '.join(cells)} |" in card
    assert main(["ablation", "--widest"]) == 1
    assert "--widest is for --front" in capsys.readouterr().err
    assert main(["ablation"]) == 0
    told = capsys.readouterr().out
    assert all(f"Variants of the recipe, {one.potential}" in told for one in known.values())
