"""What follows from measurements: comparisons, verdicts in words, and tables that come back."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from measured import row

import bpttviz as bv
from bpttviz.evaluation.metrics import UNDESCRIBED
from bpttviz.plotting.error_plane import error_plane_data

NAN = float("nan")


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


def pairs(values, noise_floor=None):
    """A report of endpoint errors at rest: name → (before, after)."""
    rows = [
        row(name, potential, error, 0.05)
        for name, both in values.items()
        for potential, error in zip(("pre", "post"), both, strict=True)
    ]
    return bv.Report(rows, noise_floor=noise_floor)


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


def test_groups_are_taken_whole_unless_asked_otherwise(report):
    rows = [replace(row, group=row.structure[:1] + str(int(row.structure[1:]) // 2)) for row in
            report.rows]  # fmt: skip
    grouped = bv.Report(rows)
    assert grouped.groups == ["s0", "s0", "s1", "s1", "s2", "s2", "s3"]
    assert grouped.compare().drawn == 4
    assert grouped.compare(by_group=False).interval == pytest.approx(report.compare().interval)
    assert "over 7 structures in 4 groups" in grouped.conclusions()[0]
    assert "too few to tell more" in grouped.conclusions()[0]
    one = bv.Report([replace(row, group="g") for row in report.rows]).compare()
    assert np.isnan(one.interval).all()
    assert str(one).endswith("3 of 7 worse; 1 group taken whole")


def test_a_single_potential_is_not_compared_with_itself(report):
    first = report.potentials[0]
    alone = bv.Report([row for row in report.rows if row.potential == first])
    for ask in (alone.compare, alone.conclusions, lambda: alone.compare(before=first)):
        with pytest.raises(ValueError, match=f"'{first}' would be compared with itself"):
            ask()
    assert alone.compare(before=first, after=first).ratio == 1  # somebody asked for it
    assert first in str(alone)


def test_verdicts_are_sentences_about_what_was_measured(report):
    sentences = report.conclusions()
    assert "does not change beyond" in sentences[0]
    assert sentences[1].startswith("Force error rises: +20 %")
    assert "Force error rises" in str(report)
    assert "<table>" in report._repr_html_()
    assert "t interval of the logarithms, groups taken whole" in str(report)
    few = bv.Report(report.rows[:6])
    assert few.conclusions()[0] == (
        "Endpoint error at rest falls here, -50 % over 3 structures, 0 worse; too few to tell more."
    )


def test_what_is_right_to_the_labels_error_is_kept_apart():
    values = {f"s{n}": (1.0, 0.5) for n in range(6)}
    values |= {"right": (0.01, 0.09), "lost": (0.05, 2.0), "close": (0.2, 0.2)}
    report = pairs(values, noise_floor=0.1)
    line = report.summary()[1]
    assert (line["compared"], line["worse"], line["kept_right"], line["lost"]) == (7, 1, 1, 1)
    assert line["ratio_rest"] == pytest.approx(0.5)
    assert report.conclusions()[0] == (
        "Endpoint error at rest falls: -50 % over 6 structures, 1 worse, 1 kept right, 1 of them "
        "from right to wrong (lost), 1 too close to the labels' error to be compared (95 % "
        "interval -50 to -50 %)."
    )
    text = str(report)
    assert "compared: ΔQ before beyond 0.3 amu^½ Å" in text
    assert "0.1: the references' own error" in text
    unknown = pairs(values)
    assert "0.001: numerical; the references' own error is not known" in str(unknown)
    assert unknown.summary()[1]["compared"] == 9
    nothing = pairs({"a": (0.01, 0.02), "b": (0.02, 0.01)}, noise_floor=0.1)
    assert nothing.conclusions()[0] == (
        "Endpoint error at rest: nothing to compare, as no error before is beyond 0.3; 0 worse, 2 "
        "kept right."
    )
    assert np.isnan(nothing.summary()[1]["ratio_rest"])
    assert "2 kept right" in str(nothing)


def test_the_floor_is_that_of_distances_to_the_labels():
    report = pairs({"a": (1.0, 0.5)}, noise_floor=0.2)
    assert report.floor_of("dq_rest") == report.floor_of("dq_k") == 0.2
    assert report.floor_of("dq_k_rest") is None  # two structures of the same potential
    assert report.floor_of("force_mae") is None
    assert report.floor_of("rmsd_rest") == pytest.approx(0.2 * np.median([0.1, 0.2]))
    for bad in (-1.0, NAN):
        with pytest.raises(ValueError, match="noise_floor must be"):
            bv.Report(report.rows, noise_floor=bad)


def test_a_new_divergence_does_not_improve_the_headline():
    report = pairs({"a": (1, 0.9), "b": (3, NAN)})
    line = report.summary()[1]
    assert (line["worse"], line["compared"]) == (1, 2)
    assert [s["dq_rest"] for s in report.summary()] == [1, 0.9]
    assert "1 left out (b)" in str(report)
    everything_lost = pairs({"a": (1, NAN)})
    assert "1/1" in str(everything_lost)


def test_who_failed_is_named():
    rows = [row(name, potential, 1.0, 0.1) for name in "abc" for potential in ("pre", "post")]
    lost = {"dq_rest": NAN, "rest_converged": False, "basin": "unknown"}
    rows[1] = replace(rows[1], **lost, diverged="step 3: too far")
    rows[3] = replace(rows[3], **lost, diverged=f"{UNDESCRIBED}: atom 2 is alone")
    rows[5] = replace(rows[5], **lost)
    text = str(bv.Report(rows))
    assert "post: 1 diverged (a: step 3: too far)" in text
    assert "post: 1 could not be described (b: atom 2 is alone)" in text
    assert "post: 1 did not come to rest (c)" in text


def test_missing_values_are_left_out_and_said():
    rows = [
        row("a", "pre", 1, 0.1),
        row("a", "post", NAN, 0.1),
        row("b", "pre", 1, NAN),
        row("b", "post", 0.5, NAN),
    ]
    change = bv.Report(rows).compare("dq_rest")
    assert change.left_out == ("a",)
    assert "left out: a" in str(change)
    with pytest.raises(ValueError, match="no structure has dq_rest both before and after"):
        bv.Report(rows[:2]).compare("dq_rest")


def test_the_report_says_what_its_table_has_no_column_for():
    def full(structure, potential, near, basin, start):
        return replace(
            row(structure, potential, 1.0, 0.05, basin), force_mae_near=near, force_mae_far=0.01,
            force_mae_weak=0.02, force_mae_strong=0.2, from_start=start, dq_from_start=1.5,
            dq_rest_near=0.25 if potential == "pre" else 0.5,
        )  # fmt: skip

    rows = [
        full("a", "pre", 0.3, "same", "at rest"),
        full("a", "post", 0.1, "different", "at rest"),
        full("b", "pre", 0.5, "different", "at rest"),
        full("b", "post", 0.3, "equivalent", "at rest"),
    ]
    text = str(bv.Report(rows, labels={"post": "ends"}))
    for line in (
        "within 3 Å of the defect, and beyond: pre 0.4000 and 0.0100; post 0.2000 and 0.0100",
        "below 0.1 eV/Å, and above: pre 0.0200 and 0.2000",
        "without the K steps: pre 1.500 (0 not at rest); post 1.500",
        "is as right): pre 1 different; post 1 equivalent 1 different",
        "within 5 Å of the defect: pre 0.250; post 0.500",
        "post: minima lost: a",
        "post: minima gained: b",
        "learned from: post ends",
    ):
        assert line in text
    bare = str(bv.Report([row("a", "pre", 1.0, 0.05)]))
    for word in ("defect", "K steps", "minima", "learned"):
        assert word not in bare


def test_of_what_did_not_come_to_rest_nothing_is_said_to_be_lost_or_gained():
    rows = [
        row("a", "pre", 1.0, 0.05, "same"), row("a", "post", 1.0, 0.05, "unknown"),
        row("b", "pre", 1.0, 0.05, "unknown"), row("b", "post", 1.0, 0.05, "same"),
    ]  # fmt: skip
    text = str(bv.Report(rows))
    assert "minima lost" not in text
    assert "minima gained" not in text


def test_a_change_that_nothing_was_compared_for_is_no_number():
    rows = [row("a", "pre", 1e-6, 0.05), row("a", "post", 1e-6, 0.05)]
    text = str(bv.Report(rows, noise_floor=0.08))
    assert "none compared" in text
    assert "nan" not in text


def test_tables_are_data_frames(report):
    assert list(report.table["potential"]) == ["pre", "post"]
    assert report.table["worse"].iloc[1] == 3
    frame = report.frame
    assert len(frame) == 14
    assert frame.groupby("potential")["dq_rest"].mean()["pre"] == pytest.approx(11 / 7)


def test_csv_round_trip(report, tmp_path):
    named = bv.Report([replace(r, structure=f"={r.structure}\r,$") for r in report.rows])
    named.to_csv(tmp_path / "named.csv")
    report.to_csv(tmp_path / "r.csv")
    old = "\n".join(line.rsplit(",", 7)[0] for line in report.to_csv().splitlines())
    (tmp_path / "old.csv").write_text(old)  # written before the last columns were invented
    for file, made in (("r.csv", report), ("old.csv", report), ("named.csv", named)):
        again = bv.Report.from_csv(tmp_path / file)
        for one, two in zip(again.rows, made.rows, strict=True):
            assert asdict(one) == pytest.approx(asdict(two), nan_ok=True)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t[: len(t) // 2], "cells for"),
        (lambda t: t.replace("True", "Tru", 1), "line 2: rest_converged is 'Tru'"),
        (lambda t: t.replace("0.05", "0.0.5", 1), "line 2: force_mae is '0.0.5', no number"),
        (lambda t: t.replace("dq_rest,", "dq,", 1), "no column 'dq_rest'"),
        (lambda _: "", "it is empty"),
    ],
)
def test_a_damaged_table_is_named(report, tmp_path, change, complaint):
    file = tmp_path / "r.csv"
    file.write_text(change(report.to_csv()))
    with pytest.raises(ValueError, match=rf"r\.csv is damaged.*{complaint}"):
        bv.Report.from_csv(file)


def test_merging_keeps_both(report):
    other = bv.Report([row("t", "pre", 1, 0.1), row("t", "post", 1, 0.1)])
    assert report.merge(other).structures == [*(f"s{i}" for i in range(7)), "t"]
    assert report.subset(["s1", "s3"]).structures == ["s1", "s3"]
    with pytest.raises(ValueError, match="both reports have 's0' under 'pre': give one"):
        report.merge(bv.Report([row("s0", "pre", 1, 0.1)]))
    with pytest.raises(ValueError, match=r"different noise floors \(0\.1 and 0\.3 amu"):
        bv.Report(report.rows, noise_floor=0.1).merge(bv.Report(other.rows, noise_floor=0.3))


def test_what_only_some_potentials_were_measured_on_is_left_out_by_name(report):
    whole = report.summary()
    gaps = report.merge(bv.Report([row("t", "pre", 8.0, 0.1), row("u", "post", 8.0, 0.1)]))
    assert gaps.summary() == whole
    assert gaps.conclusions() == report.conclusions()
    assert gaps.log_ratios("dq_rest", "pre", "post") == report.log_ratios("dq_rest", "pre", "post")
    assert "left out, as not measured under every potential: t, u" in str(gaps)
    assert "left out, as" not in str(report)
    left_out = error_plane_data(gaps).layers[0].left_out
    assert left_out == dict.fromkeys("tu", "not measured under both")
    assert bv.plotting.plot_endpoint_errors(gaps).alt_text == (
        bv.plotting.plot_endpoint_errors(report).alt_text
    )


def test_reports_that_share_nothing_can_be_printed():
    apart = bv.Report([row("s", "pre", 1, 0.1), row("t", "post", 1, 0.1)])
    assert "0 structures" in str(apart)
    assert np.isnan(apart.summary()[1]["ratio_rest"])
    with pytest.raises(ValueError, match="no structure was measured under every potential"):
        bv.plotting.plot_endpoint_errors(apart)


def test_forces_that_nobody_could_tell_are_no_fault_of_the_reference(report):
    nan, why = float("nan"), "not described: atom 2 is alone"
    lost = [
        replace(row("lone", p, nan, nan), rest_converged=False, diverged=why)
        for p in report.potentials
    ]
    told = str(report.merge(bv.Report(lost)))
    assert "1 could not be described (lone: atom 2 is alone)" in told
    assert "no force error" not in told


def test_what_is_not_there_is_named(report):
    with pytest.raises(KeyError, match="no measurement of 's9' with 'pre'"):
        report.row("pre", "s9")
    with pytest.raises(KeyError, match="evaluate anew without out="):
        report.relaxation("pre", 0)
