"""The paper's claims: rules, verdicts from rows, committed rows, and runs that make new ones."""

import json
import math
import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from measured import row as result
from springs import network
from taught import labelled

import bpttviz as bv
from bpttviz.cli.main import _parser, main
from bpttviz.evaluation import rest
from bpttviz.experiments import machine
from bpttviz.experiments.claims import forgotten, paper
from bpttviz.experiments.claims.claim import (
    Above,
    Below,
    NoneLost,
    Outcome,
    Verdict,
    Within,
    decide,
)
from bpttviz.experiments.claims.committed import committed_rows, shipped_rows, stored_shelf
from bpttviz.experiments.claims.ends import rows_of_report
from bpttviz.experiments.claims.evidence import (
    ENDS,
    FORCES,
    NUMBER,
    Evidence,
    of_pairs,
    of_report,
    read_rows,
    write_rows,
)
from bpttviz.experiments.claims.procedures import OtherProcedures, procedures
from bpttviz.experiments.claims.readme import HEAD, results_table, with_table
from bpttviz.experiments.claims.readme import main as readme
from bpttviz.experiments.claims.studies import STUDIES
from bpttviz.experiments.claims.study import quoted, rows_file, setting_of
from bpttviz.experiments.claims.table import ClaimsTable
from bpttviz.experiments.claims.trials import REPLAYED
from bpttviz.experiments.origin import Provenance
from bpttviz.experiments.protocol import PaperRecipe, Question

ROOT = Path(__file__).parents[2]
RELAXER = bv.Relaxer(fmax=0.01)


@pytest.fixture(scope="module")
def committed():
    return committed_rows()


def row(low, high, claim=2, part=paper.PAPERS, potential="a", groups=8, exact=False):
    value = (low + high) / 2
    return Evidence(
        claim, part, "set", potential, "recipe", "asked", FORCES, value, low, high,
        n=groups, groups=groups, exact=exact,
    )  # fmt: skip


# --- rules and verdicts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "judged", "outcome"),
    [(0, 30, Outcome.FOR), (0, 8, Outcome.OPEN), (0, None, Outcome.OPEN), (1, 8, Outcome.AGAINST)],
)
def test_that_none_is_lost_takes_enough_that_could_be(lost, judged, outcome):
    counted = replace(row(lost, lost, exact=True), judged=judged)
    assert NoneLost().outcome(counted) is outcome


@pytest.mark.parametrize(
    ("rule", "low", "high", "outcome"),
    [
        (Below(1), 0.7, 0.99, Outcome.FOR),
        (Below(1), 0.7, 1.01, Outcome.OPEN),
        (Below(1), 1.0, 1.2, Outcome.AGAINST),
        (Above(1), 1.01, 1.2, Outcome.FOR),
        (Above(1), 0.9, 1.2, Outcome.OPEN),
        (Above(1), 0.9, 0.95, Outcome.AGAINST),
        (Within(0.8, 1.25), 0.8, 1.25, Outcome.FOR),
        (Within(0.8, 1.25), 0.79, 1.1, Outcome.OPEN),
        (Within(0.8, 1.25), 1.26, 2.0, Outcome.AGAINST),
        (Within(0.8, 1.25), math.nan, math.nan, Outcome.OPEN),
    ],
)
def test_an_interval_speaks_only_where_all_of_it_does(rule, low, high, outcome):
    assert rule.outcome(row(low, high)) is outcome


def test_few_groups_say_nothing_and_a_whole_count_needs_no_interval():
    assert Below(1).outcome(row(0.5, 0.6, groups=5)) is Outcome.OPEN
    assert Below(1).outcome(row(0.5, 0.6, groups=6)) is Outcome.FOR
    counted = replace(row(0, 0, exact=True, groups=1), low=math.nan, high=math.nan)
    assert Below(1).outcome(counted) is Outcome.FOR
    assert Below(1).outcome(replace(counted, value=2.0)) is Outcome.AGAINST


WORSE, OPEN, BETTER = (1.1, 1.3), (0.9, 1.1), (0.7, 0.9)


@pytest.mark.parametrize(
    ("intervals", "verdict", "why"),
    [
        ([WORSE, WORSE], Verdict.HOLDS, "holds"),
        ([WORSE, WORSE, OPEN, OPEN], Verdict.HOLDS, "holds"),
        ([WORSE, WORSE, OPEN, OPEN, OPEN], Verdict.NOT_SETTLED, "most intervals"),
        ([WORSE, WORSE, BETTER], Verdict.NOT_SETTLED, "rows disagree"),
        ([BETTER, BETTER, OPEN], Verdict.DOES_NOT_HOLD, "does not hold"),
        ([WORSE], Verdict.NOT_SETTLED, "one potential"),
        ([WORSE, OPEN], Verdict.NOT_SETTLED, "one potential"),
        ([], Verdict.NOT_SETTLED, "no row"),
    ],
)
def test_a_part_is_decided_by_rows_that_agree(intervals, verdict, why):
    rows = [row(*interval, potential=f"p{i}") for i, interval in enumerate(intervals)]
    part = decide(paper.claim(2), rows).parts[0]
    assert part.verdict is verdict
    assert why in part.answer


def test_a_mean_counts_as_the_potentials_it_is_of():
    part = decide(paper.claim(2), [row(*WORSE, potential="mean of a, b")]).parts[0]
    assert part.verdict is Verdict.HOLDS


def test_a_claim_holds_where_all_parts_do():
    both = [row(*WORSE, potential=p) for p in "ab"]
    ours = [row(*BETTER, part=paper.OURS, potential=p) for p in "ab"]
    assert decide(paper.claim(2), both + ours).verdict is Verdict.HOLDS
    assert decide(paper.claim(2), both).verdict is Verdict.NOT_SETTLED
    worse = [row(*WORSE, part=paper.OURS, potential=p) for p in "ab"]
    assert decide(paper.claim(2), both + worse).verdict is Verdict.DOES_NOT_HOLD
    with pytest.raises(ValueError, match="claim 2 has no part 'nonsense'"):
        decide(paper.claim(2), [row(*WORSE, part="nonsense")])
    with pytest.raises(ValueError, match="no claim 8"):
        paper.claim(8)


# --- rows ----------------------------------------------------------------------------------------


def test_rows_come_back_from_a_file_and_a_damaged_one_is_named(tmp_path):
    numbers = [(f"s{i}", p, rest) for i in range(7) for p, rest in (("a", 2.0), ("b", 1 + i / 9))]
    report = bv.Report([result(*one, 0.1) for one in numbers])
    start = Evidence(
        1, paper.KNOWN, "set", "a", "recipe", "asked", ENDS, math.nan,
        provenance=Provenance("bpttviz reproduce", "abc1234", seed=0, seconds=1.5),
    )  # fmt: skip
    made = of_report(start, report, keep=True)
    change = report.compare("dq_rest")
    assert (made.value, made.low, made.high) == (change.ratio, *change.interval)
    assert (made.n, made.groups, made.worse) == (7, 7, 0)
    assert made.pairs["s0"] == [2.0, 1.0]
    number = replace(made, value=math.nan, low=math.nan, high=math.nan, unit=NUMBER)
    write_rows(tmp_path / "rows.jsonl", [made, number])
    first, second = read_rows(tmp_path / "rows.jsonl", "here")
    assert first.value == pytest.approx(made.value, rel=1e-4)
    assert first.provenance == replace(made.provenance, source="here")
    assert math.isnan(second.value)
    assert (first.worse, first.judged, first.pairs) == (0, 7, made.pairs)
    beyond = replace(made, value=math.inf, exact=True)
    write_rows(tmp_path / "rows.jsonl", [beyond])
    (lost,) = read_rows(tmp_path / "rows.jsonl")
    assert Below(0.5).outcome(lost) is Outcome.AGAINST
    assert lost.change == "beyond all bounds"
    assert Below(0.5).outcome(replace(lost, exact=False, high=math.inf)) is Outcome.OPEN
    (tmp_path / "rows.jsonl").write_text('{"claim": 1}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl holds no rows of evidence: line 1"):
        read_rows(tmp_path / "rows.jsonl")


def test_committed_rows_say_where_they_are_from_and_are_small(committed):
    assert {one.claim for one in committed} >= {1, 2, 3, 6, 7}
    for one in committed:
        assert one.provenance.command, one
        assert (ROOT / "bpttviz" / one.provenance.source).exists(), one
    for one in (o for o in committed if "stored/claims" in o.provenance.source):
        held = one.provenance
        assert held.commit, one
        assert "+" not in held.commit, "made with changes that no commit has"
        assert held.machine, one
        # A trial is resumed at will, its time is in its runs' histories; the first row of memory
        # was timed without its child processes.
        untimed = held.command.startswith("bpttviz trial") or held.command.endswith("--run memory")
        assert held.seconds or untimed, one
    assert sum(f.stat().st_size for f in stored_shelf().parent.rglob("*.*")) < 3e6


def test_a_machine_is_called_by_what_was_used_of_it(monkeypatch):
    here = machine.machine() | {"gpu": "a GPU", "processor": "a processor"}
    monkeypatch.setattr(machine, "machine", lambda: here)
    assert machine.machine_here(torch.device("cpu")).startswith("a processor, ")
    assert machine.machine_here(torch.device("cuda:0")).startswith("a GPU, ")


def test_shipped_runs_give_the_figures_of_their_card():
    rows = {replayed: [] for replayed in (False, True)}
    for one in shipped_rows():
        rows[one.recipe.endswith(REPLAYED)].append(one)
    for replayed, name in ((False, "chgnet-test"), (True, "chgnet-test-replay")):
        found = {(one.question, one.quantity): one for one in rows[replayed]}
        tests = bv.shipped_report(f"si-defects/{name}")
        ends = found["test part: known family, new species", ENDS]
        assert ends.value == tests.compare("dq_rest").ratio
        assert ("--replay" in ends.provenance.command) is replayed
    found = {(one.question, one.quantity): one for one in rows[False]}
    folds = [name for name in bv.shipped_runs() if "fold" in name]
    whole = bv.shipped_report(*folds)
    of_all = found[f"{len(folds)} of 5 folds", ENDS]
    assert (of_all.value, of_all.n) == (
        whole.compare("dq_rest").ratio, len(whole.compare("dq_rest").before),
    )  # fmt: skip
    card = bv.load_run(folds[0]).card
    assert found[f"{len(folds)} of 5 folds: known end, new start", ENDS].change in card
    assert found[f"{len(folds)} of 5 folds: known family, new species", ENDS].change in card


def test_the_tables_commands_make_sense(committed):
    table = ClaimsTable.read()
    commands = [one.provenance.command for one in committed] + [m.command for m in table.missing]
    ours = {command for command in commands if command.startswith("bpttviz ")}
    assert any("reproduce" in command for command in ours)
    for command in ours:
        words = shlex.split(command)[1:]
        choices = _parser().parse_args([*words, *([] if "--out" in words else ["--out", "x"])])
        if choices.command == "reproduce":
            assert choices.run, command
    assert all(one.hours > 0 for one in table.missing)
    assert {r.claim.number for r in table.results} == set(range(1, 8))


def test_the_readme_and_the_rows_agree(committed, tmp_path, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme([str(ROOT / "README.md"), "--check"]) == 0, (
        "python -m bpttviz.experiments.claims.readme README.md"
    )
    table = results_table(committed)
    wrong = table.replace(" % (", " % (+", 1)
    copy = tmp_path / "README.md"
    copy.write_text(with_table(text, wrong), encoding="utf-8")
    assert readme([str(copy), "--check"]) == 1
    assert readme([str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == text
    with pytest.raises(ValueError, match="its head has changed"):
        with_table(text.replace(HEAD, ""), table)


# --- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def relaxations():
    return bv.DatasetSplits(labelled(16, frames=4))


@pytest.fixture
def setting(tmp_path, relaxations):
    """Springs, taught by the ends of other springs."""
    recipe = PaperRecipe(0.1, steps=8, epochs=1, learning_rate=0.02, scales=(0.5, 1, 2))
    return setting_of(
        "springs", network(), relaxations, "springs", tmp_path,
        recipe=recipe, progress=False, relaxer=RELAXER,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "run", "part"),
    [
        (1, "BPTT", paper.FAMILY),
        (3, "momentum", paper.ANY_STEP),
        (4, "one for each step", paper.WEIGHTS),
        (6, "path", paper.PATH),
        (6, "dynamics", paper.WARM),
    ],
)
def test_a_claims_rows_are_computed_once(setting, claim, run, part):
    rows = STUDIES[claim].compute(setting, run)
    assert part in {one.part for one in rows}
    deciding = [one for one in rows if one.part == part]
    assert all(math.isfinite(one.value) and one.groups > 1 for one in deciding)
    ending = f"--claim {claim} --run {quoted(run)}"
    assert all(one.provenance.command.endswith(ending) for one in rows)
    kept = rows_file(setting, claim, run)
    written = kept.stat().st_mtime_ns
    assert list(map(str, STUDIES[claim].compute(setting, run))) == list(map(str, rows))
    assert kept.stat().st_mtime_ns == written


def test_a_row_is_what_an_evaluation_gives(setting):
    """Force matching of springs, again by hand."""
    rows = STUDIES[1].compute(setting, "force-matched")
    forces = next(one for one in rows if one.quantity == FORCES)
    (stored,) = (setting.folder / "runs").glob("force-matched-*")
    tuned = bv.load_run(stored, network()).potential
    report = bv.evaluate(
        {"before": network(), "after": tuned}, setting.held_out, setting.recipe.rule,
        setting.recipe.stop, RELAXER, progress=False,
    )  # fmt: skip
    change = report.compare("force_mae")
    assert forces.value == pytest.approx(change.ratio, rel=1e-4)
    assert forces.low == pytest.approx(change.interval[0], rel=1e-4)
    assert forces.value < 1
    other = replace(setting.recipe, steps=7)
    setting.recipe = other
    with pytest.raises(ValueError, match="other settings"):
        STUDIES[1].compute(setting, "BPTT")


def test_a_question_whose_structures_do_not_rest_is_a_row_without_a_number(tmp_path):
    """One structure of a new family that rests nowhere must not cost the rows of all others."""
    rested = [result(f"s{i}", p, dq, 0.1) for p, dq in (("a", 2), ("b", 1)) for i in range(7)]
    restless = [result("t", p, float("nan"), float("nan"), "unknown") for p in ("a", "b")]
    asked = {f"s{i}": Question.KNOWN_END for i in range(7)} | {"t": Question.NEW_FAMILY}
    start = replace(row(1, 1, claim=1, part=""), quantity=ENDS, provenance=Provenance("by hand"))
    rows = rows_of_report(start, bv.Report([*rested, *restless]), asked, "BPTT from both ends")
    (of_family,) = (one for one in rows if one.part == paper.FAMILY)
    assert of_family.change == "none compared"
    assert "no structure has dq_rest both before and after" in of_family.remark
    assert Below(1).outcome(of_family) is Outcome.OPEN
    write_rows(tmp_path / "rows.jsonl", rows)
    assert len(read_rows(tmp_path / "rows.jsonl")) == len(rows)
    nothing = of_pairs(of_family, {"t": math.nan}, {"t": 1.0}, {"t": "t"})
    assert nothing.change == "none compared"


def test_procedures_are_tried_on_as_many_structures_as_memory_allows(setting, monkeypatch):
    """Not on all at once: a test part of large cells would not fit."""
    known = procedures(setting)
    together = _tested(setting, known["momentum"], network(), "together")
    monkeypatch.setattr(rest, "ATOMS_ON_CPU", 4)
    seen = []
    potential = network()
    potential.register_forward_pre_hook(lambda _, given: seen.append(len(given[0].numbers)))
    apart = _tested(setting, known["momentum"], potential, "apart")
    largest = max(len(one.start.numbers) for one in setting.held_out)
    assert max(seen) <= max(4, largest) < sum(len(one.start.numbers) for one in setting.held_out)
    for quantity, values in together.items():
        assert apart[quantity] == pytest.approx(values, abs=1e-9, nan_ok=True)


def _tested(setting, way, potential, name):
    return OtherProcedures().tested(setting, name, potential, {way.title: way})[way.title]


def test_a_crystal_that_fine_tuning_loses_speaks_against(setting, monkeypatch):
    """It must not drop out of the largest change: that of the others would hold."""
    asked = []

    def bulk(potentials, crystals):
        (potential,), (name,) = potentials.values(), crystals
        asked.append(name)
        if name == "MgO" or (name == "Ge" and potential is tuned):
            raise ValueError(f"{name} has no minimum")
        numbers = {"strain": 0.001, "bulk_modulus": 90.0, "highest_frequency": 15.0}
        return pd.DataFrame([{"crystal": name, **numbers}])

    tuned = network()
    monkeypatch.setattr(forgotten, "compare_bulk", bulk)
    start = replace(row(1, 1, claim=6, part=paper.BULK), provenance=Provenance("by hand"))
    largest, *others = forgotten.perfect_crystals(setting, tuned, start)
    assert largest.question == "largest of 3 crystals"  # MgO was none before
    assert Below(0.5).outcome(largest) is Outcome.AGAINST
    told = {one.question: one.remark for one in others if one.remark}
    assert told == {"Ge": "Ge has no minimum", "MgO": "MgO has no minimum"}
    kept = forgotten.perfect_crystals(setting, setting.potential, start)[0]
    assert kept.value == pytest.approx(0)


def test_weights_that_saw_the_test_part_are_not_measured_on_it(tmp_path, relaxations, capsys):
    names = relaxations.folds(2)[0][1].names
    some = setting_of("springs", network(), relaxations, "springs", tmp_path, seen=names[:1])
    assert some.held_out.names == names[1:]
    none = setting_of("springs", network(), relaxations, "springs", tmp_path, seen=names)
    none.tuned = network()
    with pytest.raises(ValueError, match="springs has learned from all of springs that would be"):
        STUDIES[6].compute(none, "path")
    assert not STUDIES[6].measures_held_out("bulk")
    tuned = ["--tuned", "si-defects/chgnet", "--potential", "chgnet", "--out", str(tmp_path)]
    assert main(["reproduce", "--claim", "6", "--run", "path", *tuned]) == 1
    assert "si-defects/chgnet has learned from all of si-defects" in capsys.readouterr().err


def test_all_that_a_row_depends_on_is_asked_for(setting):
    before = setting.describe()
    for what in ({"noise_floor": 0.3}, {"unlabelled": setting.training.starts()}):
        assert replace(setting, **what).describe() != before


@pytest.mark.parametrize("most", [29, 33, 42, 48, 55, 64, 100])
def test_fewer_relaxations_never_have_more_updates(setting, most):
    all_ = setting.training[0]
    setting.training = bv.RelaxationDataset([replace(all_, name=f"r{n}") for n in range(most)])
    study = STUDIES[5]
    made = {n: study.gradients(setting, n) // setting.recipe.steps for n in study.runs(setting)}
    assert made[str(most)] >= 48
    assert all(0 < updates <= made[str(most)] for updates in made.values())
    assert all(updates % int(count) == 0 for count, updates in made.items())
    assert min(made.values()) > made[str(most)] / 2


def test_rows_of_an_earlier_plan_count_as_not_run(setting):
    rows = STUDIES[5].compute(setting, "2")
    assert all(STUDIES[5].is_of_today(setting, "2", one) for one in rows)
    assert not STUDIES[5].is_of_today(setting, "2", replace(rows[0], remark="7 updates"))


def test_few_relaxations_are_compared_with_all(setting):
    assert STUDIES[5].runs(setting) == ("2", "4", "8")
    rows = STUDIES[5].compute(setting, "2")
    assert [one.question for one in rows][-1] == "test part, against all 8"
    with pytest.raises(ValueError, match="claim 5 has no run '3' with springs on springs; there"):
        STUDIES[5].compute(setting, "3")


# --- the command ---------------------------------------------------------------------------------


def test_the_command_prints_the_table_and_writes_it(tmp_path, capsys):
    assert main(["reproduce", "--claim", "3", "6", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "3. Robust to how one relaxes: DOES NOT HOLD" in said
    assert "1. Ends get better" not in said
    held = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert [one["claim"] for one in held] == [3, 6]
    assert "| does not hold |" in (tmp_path / "out" / "claims.md").read_text()


def test_rows_of_a_folder_take_the_place_of_committed_ones(tmp_path, committed):
    short = next(one for one in committed if one.part == paper.SHORT)
    (tmp_path / "rows").mkdir()
    write_rows(tmp_path / "rows" / "mine.jsonl", [replace(short, value=0.9)])
    again = next(r for r in ClaimsTable.read(tmp_path).results if r.claim.number == 3)
    part = next(p for p in again.parts if p.part.key == paper.SHORT)
    assert [one.value for one, _ in part.rows] == [0.9]
    assert part.verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--claim", "9"], "no claim 9"),
        (["--run"], "say which with --claim"),
        (["--claim", "1", "2", "--run"], "say which with --claim"),
        (["--claim", "1", "--run", "BPTT"], "--run needs --out"),
        (["--claim", "5", "--run", "--tuned", "r", "--out", "o"], "--tuned is for claim 6"),
    ],
)
def test_a_wrong_line_is_a_sentence(capsys, arguments, sentence):
    assert main(["reproduce", *arguments]) == 1
    assert sentence in capsys.readouterr().err
