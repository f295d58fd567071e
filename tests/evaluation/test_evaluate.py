"""Measuring: every figure by hand, and the statistics on numbers with known answers."""

import json
from dataclasses import asdict, replace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from measured import Explodes, row
from springs import network
from taught import references

import bpttviz as bv
from bpttviz.evaluation import report as reports
from bpttviz.evaluation.rest import Relaxer
from bpttviz.experiments.protocol import BPTT, PRETRAINED, SCALAR, Recipe
from bpttviz.experiments.reproduce import cross_validate
from bpttviz.potentials.base import Potential, Prediction


@pytest.fixture
def report():
    before, after = [1.0, 2.0, 4.0, 1.0, 1.0, 1.0, 1.0], [0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 0.5]
    rows = []
    for index, (b, a) in enumerate(zip(before, after, strict=True)):
        rows += [
            row(f"s{index}", "pre", b, 0.05),
            row(f"s{index}", "post", a, 0.06, "different" if index in (3, 4, 5) else "same"),
        ]
    return bv.Report(rows)


def test_ends_alone_suffice_and_what_needs_more_says_so(tmp_path):
    """Ten pairs of files without energies or forces: trained on, measured, and no more claimed."""
    rule, stop = bv.GradientDescent(0.1, max_step=None), bv.StoppingCriterion(15)
    pairs = []
    for number, reference in enumerate(references(10)):
        pair = [tmp_path / f"{number}-{which}.xyz" for which in ("start", "end")]
        for path, atoms in zip(pair, (reference.start, reference.end), strict=True):
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
    with pytest.raises(ValueError, match=r"pair-00\d has no frames .*use Endpoint\(\)"):
        bv.finetune(student, data, bv.ForceLoss(), **how)


def test_paired_comparison(report):
    change = report.compare("dq_rest")
    assert change.ratio == pytest.approx((0.5**4 * 2**3) ** (1 / 7))
    assert (change.mean_before, change.mean_after) == (pytest.approx(11 / 7), pytest.approx(10 / 7))
    assert change.worse == 3
    assert change.interval[0] < change.ratio < change.interval[1]
    same = report.compare("dq_rest", same_basin=True)
    assert same.ratio == pytest.approx(0.5)
    assert same.left_out == ("s3", "s4", "s5")
    assert same.interval == pytest.approx((0.5, 0.5))


def test_bootstrap_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(100):
        before = np.exp(rng.normal(size=40))
        after = before * np.exp(rng.normal(-0.3, 0.4, size=40))
        low, high = reports.compare(
            "x", [""] * 40, before, after, resamples=500, seed=seed
        ).interval
        hits += low < np.exp(-0.3) < high
    assert 86 <= hits <= 99


def test_several_starts_of_one_defect_are_not_so_many_defects():
    """Their errors have most in common; only drawing groups whole covers what it says."""
    rng = np.random.default_rng(1)
    groups = [f"g{number // 4}" for number in range(40)]
    hits = {True: 0, False: 0}
    for seed in range(200):
        shared = np.repeat(rng.normal(-0.3, 0.4, size=10), 4)
        after = np.exp(shared + rng.normal(0, 0.1, size=40))
        for whole in hits:
            change = reports.compare(
                "x", groups, np.ones(40), after, groups if whole else None, resamples=500, seed=seed
            )
            low, high = change.interval
            hits[whole] += low < np.exp(-0.3) < high
            assert change.drawn == (10 if whole else 40)
    assert hits[True] > 0.82 * 200  # ten groups are few; the bootstrap is a little too sure
    assert hits[False] < 0.75 * 200


def test_one_in_each_group_is_each_for_itself(report):
    rows = [replace(row, group=row.structure) for row in report.rows]
    alone, grouped = (bv.Report(rows).compare("dq_rest", by_group=by) for by in (False, True))
    assert grouped.interval == pytest.approx(alone.interval)
    assert "drawn whole" not in str(grouped)
    one = report.compare("dq_rest", by_group=True)  # all of one group
    assert one.interval == pytest.approx((one.ratio, one.ratio))
    assert one.direction == ""
    assert str(one).endswith("; 1 groups drawn whole")


def test_verdicts_are_sentences_about_what_was_measured(report):
    sentences = report.conclusions()
    assert "does not change beyond" in sentences[0]
    assert sentences[1].startswith("Force error rises: +20 %")
    assert "Force error rises" in str(report)
    assert "<table>" in report._repr_html_()
    few = bv.Report(report.rows[:6])
    assert few.conclusions()[0] == (
        "Endpoint error at rest falls here, -50 % over 3 structures, 0 worse; too few to tell more."
    )


def test_a_new_divergence_does_not_improve_the_headline():
    rows = [
        row("a", "pre", 1, 0.1),
        row("a", "post", 0.9, 0.1),
        row("b", "pre", 3, 0.1),
        row("b", "post", float("nan"), 0.1),
    ]
    line = bv.Report(rows).summary()[1]
    assert (line["worse"], line["compared"]) == (1, 2)
    assert [s["dq_rest"] for s in bv.Report(rows).summary()] == [1, 0.9]
    assert "1 left out (b)" in str(bv.Report(rows))
    everything_lost = bv.Report([row("a", "pre", 1, 0.1), row("a", "post", float("nan"), 0.1)])
    assert "1/1" in str(everything_lost)


def test_missing_values_are_left_out_and_said():
    rows = [
        row("a", "pre", 1, 0.1),
        row("a", "post", float("nan"), 0.1),
        row("b", "pre", 1, float("nan")),
        row("b", "post", 0.5, float("nan")),
    ]
    change = bv.Report(rows).compare("dq_rest")
    assert change.left_out == ("a",)
    assert "left out: a" in str(change)
    with pytest.raises(ValueError, match="no structure has x"):
        reports.compare("x", ["a"], [np.nan], [1.0])


def test_csv_round_trip(report, tmp_path):
    report.to_csv(tmp_path / "r.csv")
    old = "\n".join(line.rsplit(",", 6)[0] for line in report.to_csv().splitlines())
    (tmp_path / "old.csv").write_text(old)  # written before the last columns were invented
    for file in ("r.csv", "old.csv"):
        again = bv.Report.from_csv(tmp_path / file)
        for one, two in zip(again.rows, report.rows, strict=True):
            assert asdict(one) == pytest.approx(asdict(two), nan_ok=True)


def test_merging_keeps_both(report):
    other = bv.Report([row("t", "pre", 1, 0.1), row("t", "post", 1, 0.1)])
    assert report.merge(other).structures == [*(f"s{i}" for i in range(7)), "t"]


def test_every_figure_of_a_row_on_springs():
    data, potential = references(3), network()
    rule, stop = bv.GradientDescent(0.05, max_step=None), bv.StoppingCriterion(6)
    result = bv.evaluate(
        {"springs": potential}, data, rule, stop, Relaxer(fmax=1e-6), progress=False
    )
    for reference in data:
        start, end = (bv.Structures.from_ase(x) for x in (reference.start, reference.end))
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


def test_force_measures_of_scaled_forces():
    """Reference forces made by the potential itself: doubling it must give slope 2, cosine 1."""
    from ase.calculators.singlepoint import SinglePointCalculator

    from bpttviz.datasets.read import make_reference
    from bpttviz.evaluation.forces import force_measures

    potential = network()
    frames = []
    for source in references(2):
        atoms = source.start.copy()
        atoms.set_chemical_symbols(["Si", "Ge", "C", "O"])
        with torch.no_grad():
            energy, forces = potential(bv.Structures.from_ase(atoms))
        atoms.calc = SinglePointCalculator(atoms, energy=float(energy), forces=forces.numpy())
        frames.append(atoms)
    frames[1].positions = frames[0].positions + 0.01 * (frames[1].positions - frames[0].positions)
    frames = frames[:1] * 2
    reference = make_reference("r", frames)
    found = force_measures(bv.ScaledForces(potential, 2.0), reference)
    assert found.force_mae == pytest.approx(np.abs(frames[0].get_forces()).mean())
    assert (found.force_slope, found.force_cosine) == pytest.approx((2, 1))
    assert np.isnan(found.force_mae_near)  # four atoms are no crystal with a defect in it


def test_force_error_near_and_far_weak_and_strong():
    """By hand, on a shipped vacancy, of a potential that knows no forces at all."""
    from bpttviz.evaluation.defects import distance_from_defect
    from bpttviz.evaluation.forces import force_measures

    class Nothing(Potential):
        def forward(self, structures):
            return Prediction(torch.zeros(1), torch.zeros_like(structures.positions))

    reference = bv.load_dataset("si-defects").all["000_vac_Si"]
    forces = np.array([frame.calc.results["forces"] for frame in reference.frames])
    found = force_measures(Nothing(), reference)
    near = distance_from_defect(reference.end) < 3
    assert found.force_mae_near == pytest.approx(np.abs(forces[:, near]).mean())
    assert found.force_mae_far == pytest.approx(np.abs(forces[:, ~near]).mean())
    weak = np.linalg.norm(forces, axis=2) < 0.1
    assert found.force_mae_weak == pytest.approx(np.abs(forces[weak]).mean())
    assert found.force_mae_strong == pytest.approx(np.abs(forces[~weak]).mean())
    parts = [near.mean() * found.force_mae_near, (~near).mean() * found.force_mae_far]
    assert sum(parts) == pytest.approx(found.force_mae)


def test_rest_from_the_start_is_the_users_own_relaxation():
    data, potential, rest = references(2), network(), Relaxer(fmax=1e-6)
    call = (data, bv.GradientDescent(0.05), bv.StoppingCriterion(3))
    result = bv.evaluate({"springs": potential}, *call, rest, progress=False, from_start=True)
    for reference in data:
        atoms, steps, converged = rest.reach(potential, reference.start)
        ends = (bv.Structures.from_ase(x) for x in (atoms, reference.end))
        found = result.row("springs", reference.name)
        assert (converged, found.from_start) == (True, "at rest")
        assert found.dq_from_start == pytest.approx(float(bv.delta_q(*ends)))
    short = Relaxer(fmax=1e-6, steps=steps - 1)
    result = bv.evaluate({"s": potential}, data[1:], *call[1:], short, False, from_start=True)
    assert result.rows[0].from_start == "not at rest"
    assert np.isnan(result.rows[0].dq_from_start)
    assert "(1 not at rest)" in str(result)


def test_the_report_says_what_its_table_has_no_column_for():
    def full(structure, potential, near, basin, start):
        return replace(
            row(structure, potential, 1.0, 0.05, basin), force_mae_near=near, force_mae_far=0.01,
            force_mae_weak=0.02, force_mae_strong=0.2, from_start=start, dq_from_start=1.5,
        )  # fmt: skip

    rows = [
        full("a", "pre", 0.3, "same", "at rest"),
        full("a", "post", 0.1, "equivalent", "at rest"),
        full("b", "pre", 0.5, "different", "at rest"),
        full("b", "post", 0.3, "same", "at rest"),
    ]
    text = str(bv.Report(rows, labels={"post": "ends"}))
    for line in (
        "within 3 Å of the defect, and beyond: pre 0.4000 and 0.0100; post 0.2000 and 0.0100",
        "below 0.1 eV/Å, and above: pre 0.0200 and 0.2000",
        "without the K steps: pre 1.500 (0 not at rest); post 1.500",
        "other than the reference's: pre 1 different; post 1 equivalent",
        "learned from: post ends",
    ):
        assert line in text
    bare = str(bv.Report([row("a", "pre", 1.0, 0.05)]))
    for word in ("defect", "K steps", "minima", "learned"):
        assert word not in bare


class TwoWells(Potential):
    """Two atoms joined by a double well in their distance: two minima, at 2 and 4 Å."""

    equivariant = True

    def energy(self, structures):
        pairs = structures.positions.reshape(-1, 2, 3)
        distance = (pairs[:, 1] - pairs[:, 0]).norm(dim=1)
        return 0.2 * (distance - 2) ** 2 * (distance - 4) ** 2 + 0.05 * distance


def test_basins_are_told_apart():
    from ase import Atoms

    from bpttviz.datasets.read import make_reference

    def pair(a, b):
        return [
            Atoms("Si2", positions=[[0, 0, 0], [d, 0, 0]], cell=[12] * 3, pbc=True) for d in (a, b)
        ]

    data = bv.RelaxationDataset(
        [
            make_reference(n, pair(*d))
            for n, d in {"stays": (2.3, 2.0), "wrong side": (3.5, 2.0)}.items()
        ]
    )
    result = bv.evaluate(
        {"wells": TwoWells()},
        data,
        bv.GradientDescent(0.1),
        bv.StoppingCriterion(5),
        progress=False,
    )
    assert result.column("basin", "wells").tolist() == ["same", "different"]


class SoftWell(Potential):
    """One well, 3 Å apart, so soft that 0.15 Å beside it the force is below 0.005 eV/Å."""

    def energy(self, structures):
        pairs = structures.positions.reshape(-1, 2, 3)
        return 0.015 * ((pairs[:, 1] - pairs[:, 0]).norm(dim=1) - 3) ** 2


def test_a_soft_mode_that_has_not_come_to_rest_is_no_other_basin():
    from ase import Atoms

    from bpttviz.datasets.read import make_reference
    from bpttviz.evaluation.minima import SAME_MINIMUM, basin

    here, there = (
        Atoms("Si2", positions=[[0, 0, 0], [d, 0, 0]], cell=[12] * 3, pbc=True)
        for d in (2.85, 3.15)
    )
    rest, potential = Relaxer(), SoftWell()
    resting, steps, converged = rest.reach(potential, here)
    assert (steps, converged) == (0, True)
    ends = [bv.Structures.from_ase(atoms) for atoms in (resting, there)]
    assert float(bv.delta_q(*ends)) > 3 * SAME_MINIMUM
    assert basin(potential, resting, make_reference("soft", [here, there]), rest) == "same"


class Twins(TwoWells):
    """Two wells that are one another's mirror image; energies that tell them apart all the same."""

    def __init__(self, conservative):
        super().__init__()
        self.conservative = conservative

    def forward(self, structures):
        x = structures.positions.detach().requires_grad_()
        with torch.enable_grad():
            pairs = x.reshape(-1, 2, 3)
            distance = (pairs[:, 1] - pairs[:, 0]).norm(dim=1)
            energy = 0.2 * (distance - 2) ** 2 * (distance - 4) ** 2
            (slope,) = torch.autograd.grad(energy.sum(), x)
        return Prediction(distance.detach(), -slope)


@pytest.mark.parametrize(("conservative", "basin"), [(True, "different"), (False, "equivalent")])
def test_equivalent_minima_of_a_potential_without_energies_are_told_by_geometry(
    conservative, basin
):
    from ase import Atoms

    from bpttviz.datasets.read import make_reference

    start, end = (
        Atoms("Si2", positions=[[0, 0, 0], [d, 0, 0]], cell=[6, 9, 11], pbc=True) for d in (3.5, 2)
    )
    data = bv.RelaxationDataset([make_reference("mirrored", [start, end])])
    result = bv.evaluate(
        {"twins": Twins(conservative)},
        data,
        bv.GradientDescent(0.1),
        bv.StoppingCriterion(5),
        progress=False,
    )
    assert result.rows[0].basin == basin


def test_divergence_is_counted_not_hidden():
    with pytest.warns(bv.DivergenceWarning):
        result = bv.evaluate(
            {"bad": Explodes()},
            references(1),
            bv.GradientDescent(1.0, max_step=None),
            bv.StoppingCriterion(5),
            Relaxer(steps=2),
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


def test_cross_validation_resumes_and_shares_work(tmp_path):
    data, potential = bv.DatasetSplits(references(8)), network()
    recipe = Recipe(step_size=0.1, steps=8, epochs=2, learning_rate=0.02, scales=(0.5, 1, 2))
    call = {"recipe": recipe, "folds": 2, "progress": False}
    assert cross_validate(potential, data, tmp_path, **call, only=[1]) is None
    first = (tmp_path / "fold-1.csv").read_text()
    result = cross_validate(potential, data, tmp_path, **call)
    assert (tmp_path / "fold-1.csv").read_text() == first
    assert result.potentials == [PRETRAINED, SCALAR, BPTT]
    assert sorted(result.structures) == sorted(data.all.names)
    assert result.compare("dq_rest", PRETRAINED, BPTT).ratio < 1
    assert "pretrained → BPTT" in (tmp_path / "report.txt").read_text()
    scales = json.loads((tmp_path / "scales.json").read_text())
    for name, errors in scales.items():
        reference = data.all[[name]]
        with torch.no_grad():
            final = bv.relax(
                bv.ScaledForces(potential, 2.0), reference.starts(), recipe.rule, recipe.stop
            ).final
        assert errors[2] == pytest.approx(float(bv.delta_q(final, reference.ends())))
    with pytest.raises(ValueError, match="other settings"):
        cross_validate(potential, data, tmp_path, folds=3, recipe=recipe)
    with pytest.raises(ValueError, match="weights differ"):
        cross_validate(network(seed=8), data, tmp_path, **call)
