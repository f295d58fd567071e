"""`Report.to_chemiscope`: what is written, and that chemiscope itself reads it."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import made_up
import numpy as np
import pytest

import bpttviz as bv
from bpttviz.evaluation.chemiscope import dataset
from bpttviz.evaluation.report import Report


@pytest.fixture(scope="module")
def report():
    made = made_up.report(cells=1, steps=6, names=("left", "right"))
    made.rests = {key: path.final for key, path in made.relaxations.items()}
    errors = np.linspace(0.01, 0.08, 8)
    made.force_errors = {("fine-tuned", "left"): errors}
    return made


def read(path):
    text = path.read_bytes()
    return json.loads(gzip.decompress(text) if path.suffix == ".gz" else text)


def test_every_end_is_a_point_with_its_errors_and_every_atom_has_its_own(report, tmp_path):
    path = report.to_chemiscope(tmp_path / "ends.json.gz")
    made = read(path)
    values = {name: one["values"] for name, one in made["properties"].items()}
    assert values["structure"] == ["left"] * 3 + ["right"] * 3
    assert values["end"] == ["reference", "pretrained", "fine-tuned"] * 2
    assert values["family"] == values["structure"]
    assert values["endpoint error"][:3] == [0, 2.0, 0.8]
    assert values["endpoint error before"] == [2.0] * 6
    assert values["force error after"] == [0.1] * 6
    assert len(made["environments"]) == len(values["share of ΔQ²"]) == 6 * 8
    # ΔQ of the structures that are written is that of the report's, and its shares add up.
    share = np.reshape(values["share of ΔQ²"], (6, 8)).sum(1)
    np.testing.assert_allclose(share, [0, 100, 100] * 2, atol=1e-3)
    reference, reached = (
        np.array([made["structures"][place][axis] for axis in "xyz"]) for place in (0, 2)
    )
    arrows = [one["vector"] for one in made["shapes"]["to the reference end"]["parameters"]["atom"]]
    np.testing.assert_allclose(reached + np.array(arrows[16:24]).T, reference, atol=1e-4)
    masses = report.reference("left").masses.numpy()
    moved = np.linalg.norm(np.array(arrows[16:24]), axis=1)
    expected = bv.delta_q(report.rests["fine-tuned", "left"], report.reference("left"))
    assert np.sqrt((masses * moved**2).sum()) == pytest.approx(float(expected), rel=1e-3)
    forces = np.reshape(values["force error of the atom"], (6, 8))
    np.testing.assert_allclose(forces[2], np.linspace(0.01, 0.08, 8))
    assert np.isnan(forces[[0, 1, 3, 4, 5]]).all()
    for one in made["properties"].values():
        assert one["description"]
        assert one.get("units", "") == ("" if isinstance(one["values"][0], str) else one["units"])


def test_an_evaluation_knows_the_force_error_of_each_atom(tiny_report):
    for (potential, structure), errors in tiny_report.force_errors.items():
        assert errors.mean() == pytest.approx(tiny_report.row(potential, structure).force_mae)
        assert len(errors) == len(tiny_report.reference(structure).numbers)
    assert len(tiny_report.force_errors) == 4


@pytest.mark.parametrize(
    ("made", "name", "match"),
    [
        (Report([]), "a.json", "empty"),
        (made_up.errors(made_up.WAYS), "a.json", "no structures: tables do not keep them"),
        (bv.shipped_report("si-defects/chgnet-test"), "a.json", "no end that a potential reached"),
        (None, "a.csv", "must end with .json or .json.gz"),
    ],
)
def test_what_cannot_be_written_is_said(report, tmp_path, made, name, match):
    with pytest.raises(ValueError, match=match):
        (made or report).to_chemiscope(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_where_a_relaxation_only_got_to_is_no_end(report, tmp_path):
    rows = [
        replace(row, rest_converged=row.potential == "pretrained" or row.structure == "right")
        for row in report.rows
    ]
    some = Report(rows, report.relaxations, report.references, report.rests)
    made = read(some.to_chemiscope(tmp_path / "ends.json"))
    values = made["properties"]["end"]["values"]
    assert values == ["reference", "pretrained", "reference", "pretrained", "fine-tuned"]


def test_a_potential_called_like_the_reference_keeps_its_own_errors(report, tmp_path):
    rows = [replace(row, potential="reference") for row in report.rows if row.potential[0] == "p"]
    rests = {("reference", name): report.rests["pretrained", name] for name in ("left", "right")}
    ends = report.references | {"not measured": report.reference("left")}
    made = dataset(Report(rows, references=ends, rests=rests))["properties"]
    assert made["end"]["values"] == ["the reference end", "reference"] * 2
    assert made["endpoint error"]["values"] == [0, 2.0] * 2


def test_chemiscopes_own_writer_makes_the_same_of_it(report):
    chemiscope = pytest.importorskip("chemiscope")
    made = dataset(report)
    theirs = chemiscope.create_input(
        structures=made["structures"],
        metadata=made["meta"],
        properties=made["properties"],
        environments=[tuple(one.values()) for one in made["environments"]],
        settings=made["settings"],
        shapes=made["shapes"],
    )
    theirs["shapes"] = made["shapes"]  # it adds what it has by default
    assert json.dumps(theirs, sort_keys=True) == json.dumps(made, sort_keys=True)


@pytest.mark.browser
def test_chemiscopes_own_viewer_shows_it_and_asks_for_nothing(chromium, report, tmp_path):
    chemiscope = pytest.importorskip("chemiscope")
    viewer = Path(chemiscope.__file__).parent / "sphinx/static/chemiscope.min.js"
    page, asked = chromium.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    parts = ("meta", "map", "structure", "info")
    page.set_content("".join(f'<div id="{part}" style="height: 300px"></div>' for part in parts))
    page.add_script_tag(path=viewer)
    warned = page.evaluate(
        """async (text) => {
            const warnings = new Chemiscope.Warnings(), said = [];
            warnings.addHandler((message) => said.push(message));
            const data = JSON.parse(text.replace(/\\bNaN\\b/g, '"NaN"'),
              (_, value) => (value === "NaN" ? NaN : value));  // as its own reader does
            const ids = [...document.querySelectorAll("div[id]")].map(({ id }) => [id, id]);
            const config = Object.fromEntries(ids.slice(0, 4));
            await Chemiscope.DefaultVisualizer.load(config, data, warnings);
            return said;
        }""",
        report.to_chemiscope(tmp_path / "ends.json").read_text(),
    )
    assert warned == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []
    page.close()
