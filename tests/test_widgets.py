import subprocess
import sys

import numpy as np
import pytest
from IPython.utils.capture import capture_output
from traitlets import TraitError

from bpttviz import frames
from bpttviz.widgets import CompareRelaxations, ErrorPlane

LOOK = "application/vnd.jupyter.widget-view+json"


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
        assert [pane.view.frame for pane in compare.panes] == [2, 2]
        compare.step = 3
        assert compare._slider.value == 3
        for pane, path in zip(compare.panes, compare.paths, strict=True):
            assert pane.view.frame == 3
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
            assert len(pane.view._trajlist) == 1
            np.testing.assert_allclose(
                pane.view._coordinates_dict[0], pane.path.positions[0], atol=1e-6
            )
        compare.structure = tiny_report.structures[0]
        assert compare._choice.value == tiny_report.structures[0]

    def test_coordinates_and_colours_sent_are_those_of_the_path(self, tiny_report):
        compare = CompareRelaxations(tiny_report, structure=1)
        sent = []
        for pane in compare.panes:
            pane.view.send = lambda message, buffers=None: sent.append((message, buffers))
        compare.step = 3
        colours = [m["args"][0] for m, _ in sent if m.get("methodName") == "executeCode"]
        assert len(colours) == 2
        for code, path in zip(colours, compare.paths, strict=True):
            values = [float(v) for v in code.rpartition("[")[2].rstrip("])").split(",")]
            np.testing.assert_allclose(values, path.distance[3], atol=6e-4)
        moved = [np.frombuffer(b[0], "f4") for m, b in sent if m.get("type") == "binary_single"]
        for coordinates, path in zip(moved, compare.paths, strict=True):
            np.testing.assert_allclose(coordinates.reshape(-1, 3), path.positions[3], atol=1e-5)

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
        import io

        import ase.io

        pane = CompareRelaxations(tiny_report, structure="001_sub_P").panes[0]
        text = pane.view._trajlist[0].get_structure_string()
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
        assert [pane.view.frame for pane in compare.panes] == [3, 1]
        assert "diverged" in compare.panes[1].title.value
        assert np.isfinite(compare.panes[1].view._coordinates_dict[0]).all()
        assert "diverged" in repr(compare)
        compare.structure = diverged_report.structures[1]
        assert compare._message.value == ""

    def test_one_frame_and_one_atom(self, single_atom_report):
        compare = CompareRelaxations(single_atom_report)
        assert compare.steps == 0
        assert compare._slider.disabled
        assert "nothing to play" in compare._message.value

    def test_readable_without_a_front_end(self, tiny_report):
        compare = CompareRelaxations(tiny_report)
        bundle, _ = compare._repr_mimebundle_()
        assert bundle[LOOK]["model_id"] == compare.model_id
        assert bundle["text/plain"] == repr(compare)
        assert "pretrained: ΔQ" in repr(compare)
        with capture_output() as captured:
            compare._ipython_display_()
        widget, static = [output.data for output in captured.outputs]
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

    def test_readable_without_a_front_end(self, tiny_report):
        error_plane = ErrorPlane(tiny_report)
        with capture_output() as captured:
            error_plane._ipython_display_()
        widget, static = [output.data for output in captured.outputs]
        assert widget[LOOK]["model_id"] == error_plane.model_id
        assert 'alt="Error plane, 2 structures' in static["text/html"]
        assert "Error plane, 2 structures" in widget["text/plain"]


def test_a_common_scale_ends_where_the_paths_end(tiny_report):
    paths = frames.pair(tiny_report, 0)
    limit = frames.colour_limit(paths)
    largest = max(path.distance[-1].max() for path in paths)
    assert largest <= limit < largest + 0.05 + 1e-9
