import io
import json
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from traitlets import TraitError

from bpttviz import frames
from bpttviz.widgets import CompareRelaxations, ErrorPlane

LOOK = "application/vnd.jupyter.widget-view+json"


def listen(compare):
    """What the panes send from now on: [structure, places, distances] for each message."""
    sent = []

    def send(message, buffers=None):
        if message["methodName"] == "executeCode":
            sent.append(json.loads(message["args"][0].rpartition("apply(this, ")[2][:-1]))

    for pane in compare.panes:
        pane.view.send = send
    return sent


@pytest.fixture
def displayed(monkeypatch):
    """The outputs that widgets display, as dictionaries by MIME type."""
    outputs = []
    monkeypatch.setattr(
        "bpttviz.widgets.static.display", lambda data, **_: outputs.append(dict(data))
    )
    return outputs


def test_nglview_is_loaded_only_when_needed():
    code = "import sys, bpttviz.widgets; sys.exit('nglview' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestCompareRelaxations:
    def test_both_panes_follow_one_clock(self, tiny_report):
        compare = CompareRelaxations(tiny_report)
        assert compare.steps == 3
        assert (compare.step, compare._slider.max, compare._play.max) == (0, 3, 3)
        compare._slider.value = 2
        assert compare.step == 2
        assert [pane.frame for pane in compare.panes] == [2, 2]
        compare.step = 3
        assert compare._slider.value == 3
        for pane, path in zip(compare.panes, compare.paths, strict=True):
            assert pane.frame == 3
            assert f"ΔQ {path.delta_q[3]:.2f}" in pane.title.value

    def test_choosing_a_structure_loads_it_from_its_start(self, tiny_report):
        compare = CompareRelaxations(tiny_report)
        compare.step = 3
        second = tiny_report.structures[1]
        compare._choice.value = second
        assert (compare.structure, compare.step) == (second, 0)
        assert compare.paths[0].structure == second
        for pane in compare.panes:
            # the relaxing structure, its ghost, the cell
            assert len(pane.view._ngl_component_ids) == 3
            assert pane.path.structure == second
            assert pane.frame == 0
        compare.structure = tiny_report.structures[0]
        assert compare._choice.value == tiny_report.structures[0]

    def test_what_a_frame_sends_are_places_and_distances_of_the_path(self, tiny_report):
        compare = CompareRelaxations(tiny_report, structure=1)
        sent = listen(compare)
        compare.step = 3
        assert len(sent) == 2
        for (name, places, distances), path in zip(sent, compare.paths, strict=True):
            assert name == path.structure
            np.testing.assert_allclose(np.reshape(places, (-1, 3)), path.positions[3], atol=6e-4)
            np.testing.assert_allclose(distances, path.distance[3], atol=6e-4)

    def test_a_frame_is_sent_again_when_the_structure_has_arrived(self, tiny_report):
        compare = CompareRelaxations(tiny_report)
        compare.step = 2
        sent = listen(compare)
        compare.panes[1].view.n_components = 3  # as the browser reports it
        assert len(sent) == 1
        np.testing.assert_allclose(sent[0][2], compare.paths[1].distance[2], atol=6e-4)

    def test_the_cameras_start_alike_and_are_linked(self, tiny_report):
        views = [pane.view for pane in CompareRelaxations(tiny_report).panes]
        assert views[0]._synced_model_ids == [views[1].model_id]
        assert views[1]._synced_model_ids == [views[0].model_id]
        orientations = [
            [m["args"] for m in view._ngl_msg_archive if m["methodName"] == "orient"]
            for view in views
        ]
        assert len(orientations[0]) == 1
        np.testing.assert_allclose(orientations[0], orientations[1])

    def test_the_structure_text_holds_atoms_cell_and_colours(self, tiny_report):
        from bpttviz.widgets.pane import pdb

        pane = CompareRelaxations(tiny_report, structure="001_sub_P").panes[0]
        path = pane.path
        text = pdb(path, path.positions[0], path.distance[0])
        atoms = ase.io.read(io.StringIO(text), format="proteindatabank")
        assert tuple(atoms.get_chemical_symbols()) == pane.path.symbols
        np.testing.assert_allclose(atoms.positions, pane.path.positions[0], atol=6e-4)
        np.testing.assert_allclose(atoms.cell.array, pane.path.cell, atol=1e-3)
        factors = [float(line[60:66]) for line in text.splitlines() if line.startswith("ATOM")]
        np.testing.assert_allclose(factors, pane.path.distance[0], atol=6e-3)

    def test_unknown_names_are_refused(self, tiny_report):
        with pytest.raises(KeyError, match="no-such"):
            CompareRelaxations(tiny_report, structure="no-such")
        compare = CompareRelaxations(tiny_report)
        with pytest.raises(TraitError, match="000_vac_Si"):
            compare.structure = "no-such"

    def test_a_lost_path_is_said_to_be_lost_and_does_not_move_on(self, diverged_report):
        compare = CompareRelaxations(diverged_report)
        assert "diverged at step 1" in compare._message.value
        assert "role='alert'" in compare._message.value
        compare.step = 3
        assert [pane.frame for pane in compare.panes] == [3, 1]
        assert "diverged" in compare.panes[1].title.value
        sent = listen(compare)
        compare.step = 2
        assert np.isfinite(sent[1][1]).all()
        assert "diverged" in repr(compare)
        compare.structure = diverged_report.structures[1]
        assert compare._message.value == ""

    def test_one_frame_and_one_atom(self, single_atom_report):
        compare = CompareRelaxations(single_atom_report)
        assert compare.steps == 0
        assert compare._slider.disabled
        assert "nothing to play" in compare._message.value

    def test_readable_without_a_front_end(self, tiny_report, displayed):
        compare = CompareRelaxations(tiny_report)
        bundle, _ = compare._repr_mimebundle_()
        assert bundle[LOOK]["model_id"] == compare.model_id
        assert bundle["text/plain"] == repr(compare)
        assert "pretrained: ΔQ" in repr(compare)
        compare._ipython_display_()
        widget, static = displayed
        assert LOOK in widget
        assert LOOK not in static
        assert 'src="data:image/png;base64,' in static["text/html"]
        assert 'alt="000_vac_Si at step 3, pretrained on the left' in static["text/html"]


class TestErrorPlane:
    def test_the_front_end_gets_everything_worked_out(self, tiny_report):
        data = ErrorPlane(tiny_report).data
        assert [arrow["name"] for arrow in data["arrows"]] == tiny_report.structures
        for arrow in data["arrows"]:
            for place, potential in (("before", "pretrained"), ("after", "disturbed")):
                row = tiny_report.row(potential, arrow["name"])
                assert tuple(arrow[place]) == (row.force_mae, row.dq_rest)
            assert arrow["meaning"] in {meaning["text"] for meaning in data["meanings"]}
        assert sum(meaning["count"] for meaning in data["meanings"]) == 2

    def test_selecting_drives_the_comparison_and_is_driven_by_it(self, tiny_report):
        compare = CompareRelaxations(tiny_report)
        error_plane = ErrorPlane(tiny_report).link(compare)
        first, second = tiny_report.structures
        error_plane.selected = second
        assert compare.structure == second
        error_plane.selected = ""
        assert compare.structure == second
        compare.structure = first
        assert error_plane.selected == first

    def test_unknown_names_are_refused(self, tiny_report):
        with pytest.raises(TraitError, match="no structure 'no-such'"):
            ErrorPlane(tiny_report).selected = "no-such"

    def test_nothing_to_place(self, diverged_report):
        only_lost = type(diverged_report)(
            [row for row in diverged_report.rows if row.structure == "000_vac_Si"],
            diverged_report.relaxations,
            diverged_report.references,
        )
        error_plane = ErrorPlane(only_lost)
        assert error_plane.data["arrows"] == []
        assert "diverged" in error_plane.data["words"]
        assert "diverged" in repr(error_plane)

    def test_readable_without_a_front_end(self, tiny_report, displayed):
        error_plane = ErrorPlane(tiny_report)
        error_plane._ipython_display_()
        widget, static = displayed
        assert widget[LOOK]["model_id"] == error_plane.model_id
        assert 'alt="Error plane, 2 structures' in static["text/html"]
        assert "Error plane, 2 structures" in widget["text/plain"]


def test_a_common_scale_ends_where_the_paths_end(tiny_report):
    paths = frames.pair(tiny_report, 0)
    limit = frames.colour_limit(paths)
    largest = max(path.distance[-1].max() for path in paths)
    assert largest <= limit < largest + 0.05 + 1e-9
