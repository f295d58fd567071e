"""Every notebook runs from top to bottom, its own check cell included.

With small parameters by default, with the notebook's own where BPTTVIZ_NOTEBOOKS=full. Small runs
go through the same code on the same data; only their numbers of steps and structures are smaller.
"""

import os
from pathlib import Path

import papermill
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
# Lists, not tuples: papermill makes text of what it does not know.
SMALL = {
    "index": {},
    "00_quickstart": {"n_train": 2, "n_held_out": 1, "n_epochs": 1, "n_steps": 8},
    "01_foggy_valley": {"step_sizes": [0.1, 0.5]},
    "02_gradient_through_time": {"n_pages": 2, "defects": ["000_vac_Si"], "n_steps": 4},
    "03_wrong_force_right_place": {"n_held_out": 6, "n_updates": 40},
    "04_meet_a_pretrained_potential": {"n_differences": 11, "n_distances": 7},
    "05_relax_silicon_defects": {"defects": ["004_divac_Si", "005_tet_Si"]},
    "06_finetune_through_relaxation": {
        "n_train": 2, "n_epochs": 2, "n_steps": 3, "n_val": 1, "n_test": 1, "alphas": [0.5],
    },
    "07_the_paradox": {"n_epochs": 24, "n_springs": 14},
    "08_memory_and_implicit": {"max_steps": 2, "n_seeds": 1},
    "09_robustness": {"steps": [2], "step_sizes": [0.2], "n_updates": 2},
    "10_bring_your_own": {"n_epochs": 2, "n_painn": 2},
}  # fmt: skip


def test_every_notebook_has_small_parameters():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_notebook_runs(name, tmp_path, monkeypatch):
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    parameters = {} if os.environ.get("BPTTVIZ_NOTEBOOKS") == "full" else SMALL[name]
    run(name, parameters, tmp_path)
    if name == "00_quickstart":
        for left in ("quickstart.csv", "error_plane.png", "before_after.gif"):
            assert (tmp_path / left).stat().st_size > 100


def run(name, parameters, tmp_path):
    """Execute a notebook; what it leaves is in ``tmp_path``."""
    papermill.execute_notebook(
        NOTEBOOKS / f"{name}.ipynb",
        tmp_path / f"{name}.ipynb",
        parameters={**parameters, "out": str(tmp_path)},
        kernel_name="python3",
        progress_bar=False,
    )
