"""Measuring: every figure by hand, together as alone, resumed, and whoever fails is named."""

from dataclasses import asdict, replace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from measured import Explodes
from springs import network, starts
from taught import labelled, references

import bpttviz as bv
from bpttviz.evaluation import evaluate as evaluation
from bpttviz.evaluation.evaluate import endpoint_errors
from bpttviz.evaluation.rest import Relaxer
from bpttviz.potentials.base import Potential
from bpttviz.structures import StructureError

CALL = {
    "rule": bv.GradientDescent(0.05),
    "stop": bv.StoppingCriterion(6),
    "relaxer": Relaxer(fmax=1e-4),
    "progress": False,
}


def assert_close(one, two):
    """Two rows are the same up to rounding."""
    for (name, a), b in zip(asdict(one).items(), asdict(two).values(), strict=True):
        same = a == b if isinstance(a, str) else a == pytest.approx(b, 1e-6, 1e-8, nan_ok=True)
        assert same, (name, a, b)


def test_ends_alone_suffice_and_what_needs_more_says_so(tmp_path):
    """Ten pairs of files without energies or forces: trained on, measured, and no more claimed."""
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(15)
    pairs = []
    for number, reference in enumerate(references(10)):
        pair = [tmp_path / f"{number}-{which}.xyz" for which in ("start", "end")]
        for path, atoms in zip(pair, reference.to_ase(), strict=True):
            ase.io.write(path, Atoms(atoms.symbols, atoms.positions))
        pairs.append(pair)
    data = bv.read_pairs(pairs)
    student = network(seed=1)
    how = {"epochs": 12, "learning_rate": 0.02, "progress": False}
    trained = bv.finetune(student, data, bv.EndpointLoss(rule, stop), **how).potential
    potentials = {"before": student, "after": trained}
    report = bv.evaluate(potentials, data, rule, stop, progress=False)
    assert report.compare("dq_rest").ratio < 0.8
    assert "no force error for 10 of 10 structures: their references are ends alone" in str(report)
    assert "Force error: not measured" in str(report)
    with pytest.raises(ValueError, match=r"pair-009 \(10 of 10\) have no frames .*use Endp"):
        bv.finetune(student, data, bv.ForceLoss(), **how)


def test_every_figure_of_a_row_on_springs():
    data, potential = references(3), network()
    rule, stop = bv.GradientDescent(0.05, max_step=None), bv.StoppingCriterion(6)
    result = bv.evaluate(
        {"springs": potential}, data, rule, stop, Relaxer(fmax=1e-6), progress=False
    )
    for reference in data:
        start, end = reference.start, reference.end
        with torch.no_grad():
            final = bv.relax(potential, start, rule, stop).final
            rest = start.with_positions(potential.rest_positions(start.positions))
        found = result.row("springs", reference.name)
        assert found.dq_k == pytest.approx(float(bv.delta_q(final, end)), abs=1e-9)
        assert found.dq_rest == pytest.approx(float(bv.delta_q(rest, end)), abs=1e-5)
        assert found.dq_k_rest == pytest.approx(float(bv.delta_q(final, rest)), abs=1e-5)
        assert found.rmsd_rest == pytest.approx(float(bv.rmsd(rest, end)), abs=1e-5)
        assert found.rest_converged
        assert found.basin == "same"
        assert np.isnan(found.force_mae)
    relaxation = result.relaxation("springs", 1)
    assert relaxation.trajectory.shape == (7, 4, 3)
    assert result.reference(1) is data[1].end
    assert result.rests["springs", data.names[0]].names == (data.names[0],)


@pytest.mark.parametrize("batch_size", [2, 3, None])
def test_together_gives_the_same_rows_as_one_at_a_time(batch_size):
    data = labelled(5)
    potentials = {"one": network(), "two": network(seed=3)}
    alone = [bv.evaluate(potentials, data[[n]], **CALL, from_start=True) for n in data.names]
    together = bv.evaluate(potentials, data, **CALL, from_start=True, batch_size=batch_size)
    expected = [row for report in alone for row in report.rows]
    assert len(together.rows) == 10
    for one, two in zip(together.rows, expected, strict=True):
        assert_close(one, two)
    for name in data.names:
        path = together.relaxation("two", name)
        assert path.start.names == (name,)
        torch.testing.assert_close(
            path.trajectory, alone[data.names.index(name)].relaxation("two", 0).trajectory
        )
    errors = endpoint_errors(potentials["two"], data, CALL["rule"], CALL["stop"], batch_size)
    assert errors == pytest.approx(together.column("dq_k", "two"))


def test_the_error_near_the_defect_is_a_part_of_the_whole():
    """On a shipped vacancy, of a potential that moves nothing: by hand."""

    class Nothing(Potential):
        def energy(self, structures):
            return 0 * structures.positions.sum().reshape(1)

    data = bv.load_dataset("si-defects").all[["000_vac_Si", "003_subvac_Ge"]]
    data = bv.RelaxationDataset([replace(r, trajectory=None) for r in data])
    report = bv.evaluate({"n": Nothing()}, data, stop=bv.StoppingCriterion(1), progress=False,
                         batch_size=1)  # fmt: skip
    for row in report.rows:
        assert row.dq_rest == pytest.approx(row.dq_start)
        assert 0.5 * row.dq_rest < row.dq_rest_near < row.dq_rest
    springs = bv.evaluate({"s": network()}, references(1), **CALL).rows[0]
    assert np.isnan(springs.dq_rest_near)


def test_rest_from_the_start_is_the_users_own_relaxation():
    data, potential, rest = references(2), network(), Relaxer(fmax=1e-6)
    call = (data, bv.GradientDescent(0.05), bv.StoppingCriterion(3))
    result = bv.evaluate({"springs": potential}, *call, rest, progress=False, from_start=True)
    for reference in data:
        alone = rest.run(potential, reference.start)
        found = result.row("springs", reference.name)
        assert (bool(alone.converged), found.from_start) == (True, "at rest")
        error = float(bv.delta_q(alone.structures, reference.end))
        assert found.dq_from_start == pytest.approx(error)
    short = Relaxer(fmax=1e-6, max_steps=int(alone.steps) - 1)
    result = bv.evaluate({"s": potential}, data[1:], *call[1:], short, False, from_start=True)
    assert result.rows[0].from_start == "not at rest"
    assert np.isnan(result.rows[0].dq_from_start)
    assert "(1 not at rest)" in str(result)


def test_divergence_is_counted_not_hidden():
    with pytest.warns(bv.DivergenceWarning):
        result = bv.evaluate(
            {"bad": Explodes()},
            references(1),
            bv.GradientDescent(1.0, max_step=None),
            bv.StoppingCriterion(5),
            Relaxer(max_steps=2),
            progress=False,
        )
    found = result.rows[0]
    assert np.isnan(found.dq_rest)
    assert "step" in found.diverged
    assert found.basin == "unknown"
    assert "1 diverged" in str(result)


def test_nothing_to_evaluate():
    with pytest.raises(ValueError, match="at least one potential"):
        bv.evaluate({}, references(1))


class Picky(Potential):
    """Springs that cannot describe a structure of a certain name; or never know which it was."""

    def __init__(self, name, index=True, after=0):
        super().__init__()
        self.springs, self.name, self.index, self.after, self.calls = (
            network(), name, index, after, 0,
        )  # fmt: skip

    def forward(self, structures):
        self.calls += 1
        for index, name in enumerate(structures.names):
            if name == self.name and self.calls > self.after:
                raise StructureError("atom 2 is alone", index if self.index else None, name)
        return self.springs(structures)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("index", [True, False])
def test_one_that_cannot_be_described_is_named_and_the_rest_is_done(index, tmp_path):
    data = labelled(4)
    potentials = {"picky": Picky("r1", index), "springs": network()}
    report = bv.evaluate(potentials, data, **CALL, from_start=True, out=tmp_path)
    lost = report.row("picky", "r1")
    assert lost.diverged == "not described: atom 2 is alone"
    assert lost.undescribed
    assert (lost.basin, lost.rest_converged, lost.from_start) == ("unknown", False, "not at rest")
    assert np.isnan([lost.dq_k, lost.dq_rest, lost.rmsd_k]).all()
    expected = bv.evaluate({"picky": network()}, data, **CALL, from_start=True)
    for name in ("r0", "r2", "r3"):
        assert_close(report.row("picky", name), expected.row("picky", name))
    assert "picky: 1 could not be described (r1: atom 2 is alone)" in str(report)
    assert bv.Report.from_csv(tmp_path / "report.csv").row("picky", "r1").undescribed
    errors = endpoint_errors(potentials["picky"], data, CALL["rule"], CALL["stop"])
    assert np.isnan(errors).tolist() == [False, True, False, False]


def test_an_isolated_atom_among_three_does_not_end_everything():
    """CHGNet cannot describe an atom without neighbours; the structures beside it are measured."""
    lone = Atoms("Si", positions=[[5, 5, 5]], cell=[10] * 3, pbc=True)
    frames = {"a": starts_of_silicon(0), "lone": [lone, lone], "b": starts_of_silicon(1)}
    data = bv.RelaxationDataset(
        [bv.ReferenceRelaxation.from_ase(name, both) for name, both in frames.items()]
    )
    with pytest.warns(UserWarning, match="lone"):
        report = bv.evaluate({"chgnet": bv.CHGNet()}, data, stop=bv.StoppingCriterion(2),
                             relaxer=Relaxer(fmax=0.5, max_steps=5), progress=False)  # fmt: skip
    assert report.structures == ["a", "lone", "b"]
    assert report.row("chgnet", "lone").diverged
    assert np.isfinite([report.row("chgnet", name).dq_k for name in "ab"]).all()


def starts_of_silicon(seed):
    """A disturbed cell of two atoms, and the perfect one."""
    perfect = Atoms("Si2", scaled_positions=[[0, 0, 0], [0.25] * 3], pbc=True,
                    cell=5.43 / 2 * (np.ones((3, 3)) - np.eye(3)))  # fmt: skip
    disturbed = perfect.copy()
    disturbed.rattle(0.05, seed=seed)
    return [disturbed, perfect]


def test_stopped_and_called_again_it_goes_on_to_the_same_table(tmp_path, monkeypatch):
    data, potentials = labelled(5), {"one": network(), "two": network(seed=3)}
    call = CALL | {"batch_size": 2}
    whole = bv.evaluate(potentials, data, **call, out=tmp_path / "whole")
    measure, calls = evaluation.measure, []

    def stop_at_fourth(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(evaluation, "measure", stop_at_fourth)
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        bv.evaluate(potentials, data, **call, out=out)
    assert len(bv.Report.from_csv(out / "report.csv").rows) == 6  # written as they came
    again = bv.evaluate(potentials, data, **call, out=out)
    for file in ("report.csv", "settings.json"):
        assert (out / file).read_text() == (tmp_path / "whole" / file).read_text()
    assert len(again.rows) == len(whole.rows) == 10
    assert again.relaxation("two", "r4").trajectory.shape == (7, 4, 3)
    monkeypatch.setattr(evaluation, "measure", None)  # nothing is left to be measured
    assert len(bv.evaluate(potentials, data, **call, out=out).rows) == 10


def other_masses(data):
    one = data[0]
    heavier = {
        which: replace(ends, masses=ends.masses * 1.0000001)
        for which, ends in (("start", one.start), ("end", one.end))
    }
    return bv.RelaxationDataset([replace(one, **heavier), *data[1:]])


@pytest.mark.parametrize(
    "change",
    [
        {"potentials": {"one": network(seed=3)}},
        {"potentials": {"other": network()}},
        {"potentials": {"one": bv.ScaledForces(network(), 1.0000001)}},
        {"references": lambda d: bv.RelaxationDataset([replace(d[0], group="x"), *d[1:]])},
        {"references": other_masses},
        {"references": lambda d: d[:1]},
        {"rule": bv.GradientDescent(0.05 + 1e-9)},
        {"rule": bv.HeavyBall(0.05)},
        {"stop": bv.StoppingCriterion(7)},
        {"stop": bv.StoppingCriterion(6, fmax=1e-9)},
        {"relaxer": Relaxer(fmax=1.00001e-4)},
        {"relaxer": Relaxer(fmax=1e-4, optimizer=bv.FIRE(max_step=0.2001))},
        {"from_start": True},
    ],
)
def test_rows_are_filed_under_all_that_they_depend_on(tmp_path, change):
    data = labelled(2)
    given = {"potentials": {"one": network()}, "references": data, **CALL, "out": tmp_path}
    bv.evaluate(**given)
    if callable(change.get("references")):
        change = {"references": change["references"](data)}
    with pytest.raises(ValueError, match="other settings"):
        bv.evaluate(**given | change)
    assert bv.evaluate(**given | {"batch_size": 1}).structures == data.names


def test_a_report_says_which_map_was_measured():
    one, two = (
        bv.evaluate({name: network()}, references(1), **CALL | {"rule": bv.GradientDescent(eta)})
        for name, eta in (("a", 0.05), ("b", 0.04))
    )
    assert f"K: {CALL['stop'].max_steps} steps of GradientDescent(step_size=0.05 Å²/eV" in str(one)
    assert "GradientDescent(step_size=0.04" in two._repr_html_()
    assert "GradientDescent" not in str(one.merge(two))  # two maps


def test_references_are_taken_as_finetune_takes_them(tmp_path):
    data = labelled(2)
    expected = [row.dq_rest for row in bv.evaluate({"one": network()}, data, **CALL).rows]
    listed = bv.evaluate({"one": network()}, list(data), **CALL)
    assert [row.dq_rest for row in listed.rows] == expected
    assert bv.evaluate({"one": network()}, data[0], **CALL).structures == data.names[:1]
    files = [tmp_path / f"{one.name}.traj" for one in data]
    for file, one in zip(files, data, strict=True):
        ase.io.write(file, one.to_ase())
    for given, count in ((files, 2), (files[0], 1), (str(tmp_path / "*.traj"), 2)):
        read = bv.evaluate({"one": network()}, given, **CALL)
        assert [row.dq_rest for row in read.rows] == pytest.approx(expected[:count])
    with pytest.raises(TypeError, match=r"say which part is meant: data.train"):
        bv.evaluate({"one": network()}, bv.load_dataset("si-defects"), **CALL)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"potentials": network()}, "takes potentials by name"),
        ({"potentials": "chgnet"}, "a dictionary from names"),
        ({"potentials": {"x": "chgnet"}}, "potential 'x' must be a Potential"),
        ({"references": [starts(1)]}, "references must be a RelaxationDataset"),
        ({"rule": "fire"}, "rule must be"),
        ({"rule": bv.FIRE}, "with parentheses"),
        ({"stop": 20}, "stop must be a StoppingCriterion"),
        ({"relaxer": 0.005}, "relaxer must be a Relaxer"),
        ({"batch_size": 0}, "batch_size"),
        ({"noise_floor": -1}, "noise_floor"),
        ({"references": bv.RelaxationDataset([])}, "at least one reference"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(change, complaint):
    given = {"potentials": {"one": network()}, "references": references(1), **CALL}
    with pytest.raises((TypeError, ValueError), match=complaint):
        bv.evaluate(**given | change)


def test_an_end_that_is_right_to_rounding_under_both_makes_no_ratio():
    """Perfect silicon, merely shifted: every potential is right, to its own rounding errors."""
    start, end = starts_of_silicon(0)
    start = end.copy()
    start.positions += (0.3, 0, 0)
    data = bv.RelaxationDataset([bv.ReferenceRelaxation.from_ase("shifted", [start, end])])
    chgnet = bv.CHGNet()
    report = bv.evaluate(
        {"pre": chgnet, "post": bv.ScaledForces(chgnet, 1.5)}, data, stop=bv.StoppingCriterion(2),
        progress=False,
    )  # fmt: skip
    line = report.summary()[1]
    assert (line["kept_right"], line["worse"], line["compared"]) == (1, 0, 0)
    assert np.isnan(line["ratio_rest"])
    assert report.conclusions()[0] == (
        "Endpoint error at rest: nothing to compare, as no error before is beyond 0.003; 0 worse, "
        "1 kept right."
    )
