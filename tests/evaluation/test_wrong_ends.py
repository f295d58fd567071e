"""Why ends are wrong: closed forms on springs, and what is left out."""

import pytest
import torch
from taught import references

import bpttviz as bv
from bpttviz.potentials.scaled import ScaledForces

TIGHT = bv.Relaxer(fmax=1e-8, max_steps=5000)


def springs(seed=1):
    return bv.Springs.frustrated(4, seed=seed)


def test_on_springs_push_and_stiffness_are_the_hessian_along_the_way():
    potential, data = springs(), references(3)
    found = bv.push_and_stiffness({"springs": potential}, data, TIGHT)
    hessian = torch.kron(potential.laplacian().detach(), torch.eye(3, dtype=torch.float64))
    assert [row.structure for row in found.rows] == list(data.names)
    for row, reference in zip(found.rows, data, strict=True):
        own = potential.rest_positions(reference.end.positions).detach()
        way = (own - reference.end.positions).reshape(-1)
        unit = way / way.norm()
        assert row.stiffness == pytest.approx(float(unit @ hessian @ unit), rel=1e-5)
        assert row.push == pytest.approx(row.stiffness * float(way.norm()), rel=1e-5)
        own_end = reference.end.with_positions(own)
        assert row.distance == pytest.approx(
            float(bv.delta_q(reference.end, own_end, True)), rel=1e-5
        )


def test_stronger_forces_push_as_much_more_as_they_hold_and_move_nothing():
    potential, data = springs(), references(4)
    found = bv.push_and_stiffness(
        {"before": potential, "thrice": ScaledForces(potential, 3.0)}, data, TIGHT
    )
    (line,) = found.changes().to_dict("records")
    assert line["n"] == "4"
    assert found.compare("thrice", "distance").ratio == pytest.approx(1, abs=1e-5)
    assert line["push"].startswith("+200 %")
    assert line["stiffness"].startswith("+200 %")
    assert "thrice" in str(found)


def test_where_nothing_pushes_there_is_no_ratio_and_what_never_rests_is_left_out():
    before, truth, data = springs(), springs(2), references(2)
    found = bv.push_and_stiffness({"before": before, "truth": truth}, data, TIGHT)
    assert [(row.push, row.distance) for row in found.rows[2:]] == [(0, 0), (0, 0)]
    (line,) = found.changes().to_dict("records")
    assert (line["n"], line["at rest"], line["push"]) == ("0", "2", "—")
    far = bv.push_and_stiffness({"a": before, "b": springs(3)}, data, TIGHT, noise_floor=100.0)
    (line,) = far.changes().to_dict("records")
    assert (line["n"], line["at rest"], line["push"]) == ("0", "0", "—")
    with pytest.warns(UserWarning, match=r"no minimum was found .* r0 \(before\), r1"):
        none = bv.push_and_stiffness({"before": before}, data, bv.Relaxer(1e-8, 1))
    assert none.rows == ()


def test_a_table_comes_back_from_its_file_and_others_are_refused(tmp_path):
    found = bv.push_and_stiffness({"a": springs(), "b": springs(3)}, references(3), TIGHT, 0.01)
    (tmp_path / "ends.csv").write_text(found.to_csv())
    again = bv.WrongEnds.from_csv(tmp_path / "ends.csv", 0.01)
    assert again.rows == found.rows
    assert str(again) == str(found)
    (tmp_path / "ends.csv").write_text(found.to_csv().replace("distance", "length"))
    with pytest.raises(ValueError, match="no column 'distance'"):
        bv.WrongEnds.from_csv(tmp_path / "ends.csv")
    (tmp_path / "ends.csv").write_text(found.to_csv().replace("r1,g1,b,", "r1,g1,b,far"))
    with pytest.raises(ValueError, match="no table of pushes"):
        bv.WrongEnds.from_csv(tmp_path / "ends.csv")
    with pytest.raises(ValueError, match="no potential 'c'; there are a, b"):
        found.compare("c", "push")
    with pytest.raises(ValueError, match="no column 'energy'; there are distance, push"):
        found.compare("b", "energy")
