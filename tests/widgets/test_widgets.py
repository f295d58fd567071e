import base64
import gc
import io
import subprocess
import sys
import weakref

import ase.io
import made_up
import numpy as np
import pytest
from traitlets import TraitError

from bpttviz.evaluation.report import Report
from bpttviz.plotting import trajectory
from bpttviz.widgets import Canvas, CompareRelaxations, ErrorPlane, NGLPanes

LOOK = "application/vnd.jupyter.widget-view+json"


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
    def test_python_and_the_player_share_one_clock(self, tiny_report):
        compare = CompareRelaxations(tiny_report)
        assert compare.step == 0
        assert compare.steps > 3  # three of the map, and those of the way to rest
        compare.player.step = 2  # as the browser sends it
        assert compare.step == 2
        compare.step = 3
        assert compare.player.step == 3
        compare.step = 99
        assert compare.step == compare.player.step == compare.steps
        compare.player.arrows = True
        compare.images = True
        assert compare.arrows
        assert compare.player.images

    def test_choosing_a_structure_loads_it_from_its_start(self, tiny_report):
        compare = CompareRelaxations(tiny_report, viewer=NGLPanes())
        compare.step = 3
        first, second = tiny_report.structures
        compare.children[0].children[0].value = second
        assert (compare.structure, compare.step) == (second, 0)
        assert compare.paths[0].structure == compare.player.payload["structure"] == second
        for view in compare.viewer.views:
            # the relaxing structure, its ghost, its images, cell, bonds, empty sites, arrows
            assert len(view._ngl_component_ids) == 7
        compare.structure = first
        assert compare.children[0].children[0].value == first

    def test_the_pair_of_potentials_can_be_chosen(self, tiny_report):
        compare = CompareRelaxations(tiny_report)
        assert (compare.before, compare.after) == ("pretrained", "disturbed")
        compare.after = "pretrained"
        assert [path["potential"] for path in compare.player.payload["paths"]] == ["pretrained"] * 2
        compare.children[0].children[1].value = "disturbed"
        assert compare.paths[0].potential == compare.before == "disturbed"
        assert "disturbed on the left" in compare.picture().alt_text

    def test_the_cameras_start_alike_and_are_linked(self, tiny_report):
        views = CompareRelaxations(tiny_report, viewer=NGLPanes()).viewer.views
        assert views[0]._synced_model_ids == [views[1].model_id]
        assert views[1]._synced_model_ids == [views[0].model_id]
        orientations = [
            [m["args"] for m in view._ngl_msg_archive if m["methodName"] == "orient"]
            for view in views
        ]
        assert len(orientations[0]) == 1
        np.testing.assert_allclose(orientations[0], orientations[1])

    def test_the_camera_sees_the_whole_cell_and_no_less_than_it_could(self, tiny_report):
        from bpttviz.plotting.scene import cell_edges
        from bpttviz.widgets.ngl import FIELD_OF_VIEW, camera

        path = CompareRelaxations(tiny_report).paths[0]
        matrix = np.reshape(camera(path), (4, 4)).T
        distance = np.cbrt(abs(np.linalg.det(matrix[:3, :3])))
        points = np.concatenate([path.positions[0], cell_edges(path).reshape(-1, 3)])
        seen = (points + matrix[:3, 3]) @ matrix[:3, :3].T / distance
        # NGL's eye looks along z, from as far behind what it looks at as the matrix is large.
        filled = (
            np.abs(seen[:, :2]) / (distance + seen[:, 2:]) / np.tan(np.radians(FIELD_OF_VIEW / 2))
        )
        assert 0.8 < filled.max() < 1

    def test_the_structure_text_holds_atoms_and_colours(self, tiny_report):
        from bpttviz.widgets.ngl import pdb

        path = CompareRelaxations(tiny_report, structure="001_sub_P").paths[0]
        text = pdb(path.symbols, path.positions[0], path.distance[0])
        atoms = ase.io.read(io.StringIO(text), format="proteindatabank")
        assert tuple(atoms.get_chemical_symbols()) == path.symbols
        np.testing.assert_allclose(atoms.positions, path.positions[0], atol=6e-4)
        factors = [float(line[60:66]) for line in text.splitlines() if line.startswith("ATOM")]
        np.testing.assert_allclose(factors, path.distance[0], atol=6e-3)

    def test_unknown_names_are_refused(self, tiny_report):
        with pytest.raises(KeyError, match="no-such"):
            CompareRelaxations(tiny_report, structure="no-such")
        with pytest.raises(KeyError, match="no-such"):
            CompareRelaxations(tiny_report, after="no-such")
        compare = CompareRelaxations(tiny_report)
        with pytest.raises(TraitError, match="000_vac_Si"):
            compare.structure = "no-such"
        with pytest.raises(TraitError, match="there are pretrained, disturbed"):
            compare.before = "no-such"

    def test_what_was_not_relaxed_under_both_is_neither_offered_nor_shown(self):
        whole = made_up.report(cells=1, steps=2, names=("left", "right"))
        missing = ("fine-tuned", "right")
        paths = {key: path for key, path in whole.relaxations.items() if key != missing}
        rows = [row for row in whole.rows if (row.potential, row.structure) != missing]
        for partial in (  # no row of it, or none of its paths, as in a report that was resumed
            Report(rows, paths, whole.references),
            Report(whole.rows, paths, whole.references),
        ):
            compare = CompareRelaxations(partial)
            structure, before, after = compare.children[0].children
            assert structure.options == ("left",)
            with pytest.raises(TraitError, match="of 'right' with 'fine-tuned'"):
                compare.structure = "right"
            shown = {path.structure for path in compare.paths}
            assert shown == {compare.structure, structure.value} == {"left"}
            with pytest.raises(KeyError, match="'right' with 'fine-tuned'"):
                CompareRelaxations(partial, "right")

            compare.after = "pretrained"
            assert structure.options == ("left", "right")
            structure.value = "right"
            assert compare.player.payload["structure"] == compare.structure == "right"
            assert (before.options, after.options) == (("pretrained",), ("pretrained",))
            with pytest.raises(TraitError):
                compare.after = "fine-tuned"
            assert (after.value, compare.after) == ("pretrained", "pretrained")
            with compare.hold_trait_notifications():
                compare.structure, compare.after = "left", "fine-tuned"
            assert (structure.value, after.value) == ("left", "fine-tuned")
            assert [path.potential for path in compare.paths] == ["pretrained", "fine-tuned"]
            plane = ErrorPlane(whole).link(compare)
            plane.selected = "right"  # of which this comparison has nothing to show
            assert compare.structure == "left"

    def test_a_lost_path_is_said_to_be_lost(self, diverged_report):
        compare = CompareRelaxations(diverged_report)
        payload = compare.player.payload
        assert [path["last"] for path in payload["paths"]] == [3, 1]
        (note,) = payload["notes"]
        assert "disturbed diverged at step 1" in note
        assert "diverged" in repr(compare)
        compare.structure = diverged_report.structures[1]
        assert compare.player.payload["notes"] == []

    def test_one_frame_and_one_atom(self, single_atom_report):
        compare = CompareRelaxations(single_atom_report)
        assert compare.steps == 0
        assert compare.player.payload["notes"] == ["Only one frame: nothing to play."]

    def test_the_canvas_is_the_default_and_needs_no_nglview(self, tiny_report, monkeypatch):
        monkeypatch.setitem(sys.modules, "nglview", None)  # as if it were not installed
        monkeypatch.delitem(sys.modules, "bpttviz.widgets.ngl", raising=False)
        compare = CompareRelaxations(tiny_report)
        assert isinstance(compare.viewer, Canvas)
        assert compare.player.views == []
        assert len(compare.children) == 2
        compare.structure = tiny_report.structures[1]
        assert compare.player.payload["structure"] == compare.structure

    def test_panes_that_the_browser_cannot_show_are_taken_away(self, tiny_report):
        compare = CompareRelaxations(tiny_report, viewer=NGLPanes())
        assert compare.children[1].layout.display is None
        compare.player.missing = True  # as the browser reports it
        assert compare.children[1].layout.display == "none"

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
        assert f'"{compare.player.name}"' in static["text/html"]


class TestErrorPlane:
    @pytest.fixture
    def made(self):
        return made_up.errors(made_up.WAYS)

    def test_the_front_end_gets_everything_worked_out(self, tiny_report):
        data = ErrorPlane(tiny_report).data
        (layer,) = data["layers"]
        (stage,) = layer["stages"]
        assert [arrow["name"] for arrow in stage["arrows"]] == tiny_report.structures
        assert layer["potentials"] == ["pretrained", "disturbed"]
        for arrow in stage["arrows"]:
            for place, potential in zip(arrow["points"], layer["potentials"], strict=True):
                row = tiny_report.row(potential, arrow["name"])
                assert tuple(place) == (row.force_mae, row.dq_rest)
            assert arrow["meaning"] in data["looks"]
        assert sum(stage["counts"].values()) == 2

    def test_the_structures_are_there_as_they_rest(self, tiny_report):
        stills = ErrorPlane(tiny_report).data["thumbnails"]
        assert list(stills) == tiny_report.structures
        for name, still in stills.items():
            assert still["potentials"] == ["pretrained", "disturbed"]
            (path,) = still["paths"]
            moved = path["scale"] * np.frombuffer(base64.b64decode(path["moved"]), "<i2")
            moved = moved.reshape(3, -1, 3)  # the reference end, and two ends at rest
            assert not moved[0].any()
            masses = tiny_report.reference(name).masses.numpy()
            for frame, potential in zip(moved[1:], still["potentials"], strict=True):
                far = np.sqrt((masses * (frame**2).sum(1)).sum())
                assert far == pytest.approx(tiny_report.row(potential, name).dq_rest, abs=2e-3)

    def test_a_table_has_no_structures_to_draw(self, made):
        assert ErrorPlane(made).data["thumbnails"] == {}

    def test_arrows_go_as_far_as_was_asked(self, made):
        plane = ErrorPlane(made, after={"BPTT": ["forces", "epoch 1", "epoch 2"]})
        assert plane.stage == 3
        plane.stage = 1
        assert "before to BPTT" in plane.picture().alt_text
        assert "endpoint error at rest 1.27 to 1.23" in plane.picture().alt_text
        (layer,) = plane.data["layers"]
        points = [stage["arrows"][0]["points"] for stage in layer["stages"]]
        assert [way[-1] for way in points] == [list(point) for point in made_up.WAYS[0][1:]]
        assert layer["stages"][0]["arrows"][1]["meaning"] == "endpoint worse, forces better"
        assert layer["stages"][2]["arrows"][1]["meaning"] == "endpoint better, forces worse"
        for nonsense in (0, 4):
            with pytest.raises(TraitError, match="1 to 3"):
                plane.stage = nonsense

    def test_every_other_potential_is_a_layer_and_the_last_one_is_shown(self, made):
        error_plane = ErrorPlane(made)
        titles = [layer["title"] for layer in error_plane.data["layers"]]
        assert titles == ["forces", "epoch 1", "epoch 2"]
        assert error_plane.shown == ["epoch 2"]
        assert "before to epoch 2" in error_plane.picture().alt_text
        assert ErrorPlane(made, after=["forces", "epoch 2"]).shown == ["forces", "epoch 2"]

    def test_layers_are_chosen_in_their_order(self, made):
        error_plane = ErrorPlane(made)
        error_plane.shown = ["epoch 2", "forces"]
        assert error_plane.shown == ["forces", "epoch 2"]
        assert "To forces" in error_plane.picture().alt_text
        with pytest.raises(TraitError, match="no layer 'no-such'; there are forces"):
            error_plane.shown = ["no-such"]
        with pytest.raises(TraitError, match="one layer at least"):
            error_plane.shown = []

    def test_a_layer_shown_alone_is_what_the_comparison_turns_to(self, tiny_report):
        compare = CompareRelaxations(tiny_report, viewer=Canvas())
        error_plane = ErrorPlane(tiny_report, after=["pretrained", "disturbed"]).link(compare)
        error_plane.shown = ["pretrained"]
        assert compare.after == "pretrained"
        error_plane.shown = ["pretrained", "disturbed"]
        assert compare.after == "pretrained"
        error_plane.shown = ["disturbed"]
        assert compare.after == "disturbed"

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

    @pytest.mark.parametrize("viewer", [Canvas, NGLPanes])
    def test_a_comparison_that_is_closed_is_let_go(self, viewer, monkeypatch):
        report = made_up.report(cells=1, steps=2, names=("left", "right"))
        error_plane = ErrorPlane(report)
        closed = []
        for _ in range(3):
            compare = CompareRelaxations(report, viewer=viewer())
            error_plane.link(compare).link(compare)
            compare.close()
            closed.append(weakref.ref(compare))
        del compare
        gc.collect()
        assert [one() for one in closed] == [None] * 3
        compare = CompareRelaxations(report)
        error_plane.link(compare).link(compare)
        chosen = []
        compare.observe(lambda change: chosen.append(change["new"]), "structure")
        error_plane.observe(lambda change: chosen.append(change["new"]), "selected")
        assert len(compare._trait_notifiers["structure"]["change"]) == 4  # two of its own, ours
        error_plane.selected = "right"
        assert chosen == ["right", "right"]
        error_plane.close()
        compare.structure = "left"
        assert error_plane.selected == "right"

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
        assert error_plane.data["structures"] == []
        assert "diverged" in error_plane.data["words"]
        assert "diverged" in repr(error_plane)

    def test_readable_without_a_front_end(self, tiny_report, displayed):
        error_plane = ErrorPlane(tiny_report)
        error_plane._ipython_display_()
        widget, static = displayed
        assert widget[LOOK]["model_id"] == error_plane.model_id
        assert 'alt="Error plane, 2 structures' in static["text/html"]
        assert f'"{error_plane.name}"' in static["text/html"]
        assert "Error plane, 2 structures" in widget["text/plain"]


def test_a_common_scale_ends_where_the_paths_end(tiny_report):
    paths = trajectory.trajectory_pair(tiny_report, 0)
    limit = trajectory.colour_limit(paths)
    largest = max(path.distance[-1].max() for path in paths)
    assert largest <= limit < largest + 0.05 + 1e-9
