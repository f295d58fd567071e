"""A recipe's trial: every structure held out once, resumed, shared, exported."""

from dataclasses import replace

import pytest
from springs import network
from taught import references

import bpttviz as bv
from bpttviz.experiments.claims.evidence import ENDS, read_rows
from bpttviz.experiments.claims.trials import write_trial
from bpttviz.experiments.protocol import Question
from bpttviz.experiments.trial import FINE_TUNED, Trial, parts_of

RECIPE = bv.Recipe(
    step_size=0.1,
    max_step=None,
    steps=15,
    resolution=0.0,
    epochs=6,
    learning_rate=0.02,
    starts=bv.MixedStarts({bv.ReferenceStarts(): 0.5, bv.AroundEnd(): 0.5}),
)


def data():
    """Eight relaxations of one network; two starts lead to each end."""
    pairs = enumerate(references(8))
    return bv.DatasetSplits(
        bv.RelaxationDataset([replace(r, group=f"end {n // 2}") for n, r in pairs])
    )


def trial(out, **changes):
    settings = {"recipe": RECIPE, "folds": 2, "progress": False, **changes}
    return Trial(network(), data(), out=out, **settings)


def test_every_relaxation_is_held_out_once_and_what_it_asks_is_told():
    splits = data()
    parts = parts_of(splits, 2)
    folds = [part for name, part in parts.items() if name.startswith("fold")]
    assert sorted(n for part in folds for n in part.held_out.names) == sorted(splits.all.names)
    for part in folds:
        assert not set(part.held_out.names) & set(part.training.names)
        for held, question in zip(part.held_out, part.questions().values(), strict=True):
            known = held.group in part.training.groups
            assert (question is Question.KNOWN_END) == known
    assert parts["all"].training.names == splits.all.names
    silicon = bv.load_dataset("si-defects")
    test = parts_of(silicon)["test"]
    assert set(test.held_out.names) == set(silicon.test.names)
    assert not set(test.training.groups) & set(silicon.test.groups)


def test_what_makes_no_sense_is_refused_before_the_first_training(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="memory must be a size"):
        trial(tmp_path / "a", memory="much")
    assert not (tmp_path / "a").exists()
    one = trial(tmp_path / "b")
    monkeypatch.setattr(one, "train", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(ValueError, match="a seed must be"):
        one.run(["all"], seeds=[0, -1])


def test_a_trial_is_shared_resumed_and_helps_where_ends_are_known(tmp_path):
    one = trial(tmp_path)
    assert one.run(["fold-1"])
    assert one.report(["fold-0", "fold-1"]) is None
    text = (tmp_path / "report.txt").read_text()
    assert "held out once, by structure, seed 0: 1 of 2 folds so far" in text
    assert "4 structures" in text
    rows = (tmp_path / "fold-1-0" / "evaluation" / "report.csv").read_text()
    assert trial(tmp_path).run(["fold-0", "fold-1"])
    assert (tmp_path / "fold-1-0" / "evaluation" / "report.csv").read_text() == rows
    report = trial(tmp_path).report(["fold-0", "fold-1"])
    assert sorted(report.structures) == sorted(data().all.names)
    assert report.compare("dq_rest", after=FINE_TUNED).ratio < 1
    text = (tmp_path / "report.txt").read_text()
    assert "held out once, by structure, seed 0\n" in text
    assert "known end, new start" in text
    (file,) = write_trial(trial(tmp_path), "springs", "springs:a", "bpttviz trial")
    assert file.name == "trial-springs-a-springs-0.jsonl"
    ends = [e for e in read_rows(file) if e.quantity == ENDS]
    assert {e.question for e in ends} >= {"2 of 2 folds: known end, new start"}
    whole = next(e for e in ends if e.question.startswith("2 of 2 folds"))
    assert whole.value == pytest.approx(report.compare("dq_rest", after=FINE_TUNED).ratio, rel=1e-4)
    assert whole.provenance.command == "bpttviz trial --parts fold-0 fold-1 --seeds 0"
    with pytest.raises(ValueError, match="other settings .*recipe"):
        trial(tmp_path, recipe=replace(RECIPE, steps=14))
    with pytest.raises(ValueError, match="no part 'fold-2'"):
        one.run(["fold-2"])


def test_seeds_are_trainings_of_their_own_and_the_pretrained_is_measured_once(tmp_path):
    one = trial(tmp_path)
    one.run(["fold-0"], seeds=[0])
    measured = (tmp_path / "pretrained-fold-0" / "report.csv").stat().st_mtime_ns
    one.run(["fold-0"], seeds=[1])
    assert (tmp_path / "pretrained-fold-0" / "report.csv").stat().st_mtime_ns == measured
    assert one.seeds("fold-0") == [0, 1]
    first, second = (one.report(["fold-0"], seed) for seed in (0, 1))
    assert (first.column("dq_rest", FINE_TUNED) != second.column("dq_rest", FINE_TUNED)).all()


def test_what_was_trained_on_all_is_exported_with_its_settings(tmp_path):
    one = trial(tmp_path / "trial")
    assert one.run(["all", "fold-0"])
    one.export("all", tmp_path / "handed-on")
    run = bv.load_run(tmp_path / "handed-on")
    assert run.settings["train"] == list(data().all.names)
    assert not (tmp_path / "handed-on" / "report.csv").exists()
    one.export("fold-0", tmp_path / "fold")
    assert bv.Report.from_csv(tmp_path / "fold" / "report.csv").potentials[-1] == FINE_TUNED
