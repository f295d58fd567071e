"""The command line: files in, files out, resumed where they are, and errors in a sentence."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from springs import network
from taught import interrupt_after, labelled, references

import bpttviz as bv
from bpttviz.cli.main import COMMANDS, main
from bpttviz.datasets.names import unique_names
from bpttviz.experiments.registry import load_potential
from bpttviz.provenance import specification


def run(*arguments):
    return main([str(argument) for argument in arguments])


# --- help and errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_instant_and_says_where_results_go(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--out FOLDER folder " in shown
    anew = command in ("ablation", "answers", "assign", "grade", "solutions")
    assert ("resume" in shown.split("--out FOLDER folder ")[1].split(" --")[0]) != anew
    assert "None" not in shown


def test_help_loads_nothing_heavy():
    program = (
        "import sys; from bpttviz.cli.main import _parser; _parser().format_help(); "
        "print('torch' in sys.modules, 'ase' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == [
        "False",
        "False",
    ]


def test_it_runs_as_a_module_and_refuses_what_it_does_not_know():
    done = subprocess.run(
        [sys.executable, "-m", "bpttviz", "relax"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--out" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cross-validate", "--checkpoint", "1.0"], "no CHGNet checkpoint '1.0'"),
        (["cross-validate", "--only", "7"], "no fold 7"),
        (["relax", "nowhere.xyz", "--potential", "chgnet"], "nowhere.xyz does not exist"),
        (["finetune", "--potential", "chgnet"], "give files of relaxations, or --dataset"),
        (["finetune", "a", "--pairs", "--potential", "chgnet"], "even number of files"),
        (["finetune", "a", "a", "--potential", "chgnet"], "is listed twice"),
        pytest.param(
            ["evaluate", "--dataset", "crystals", "--potential", "chgnet", "--device", "cuda"],
            "device='cuda' was asked for",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has one"),
        ),
        (["evaluate", "--dataset", "crystals"], "evaluate needs --potential"),
        (["evaluate", "--dataset", "x", "--potential", "chgnet"], "no data set 'x'"),
        (["benchmark", "--potential", "magic"], "no potential 'magic'"),
        (["benchmark", "--potential", "chgnet", "--only", "9"], "no part 9, or nothing"),
    ],
)
def test_an_error_is_a_sentence(tmp_path, capsys, arguments, sentence):
    assert run(*arguments, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"bpttviz {arguments[0]}: ")
    assert sentence in said
    with pytest.raises(ValueError, match=sentence):
        run(*arguments, "--out", tmp_path / "out", "--traceback")


def test_a_mace_file_is_opened_only_when_trusted(tmp_path, capsys):
    pytest.importorskip("mace")
    file = tmp_path / "some.model"
    file.write_bytes(b"a pickle")
    with pytest.raises(ValueError, match="trusted=True"):
        load_potential(f"mace:{file}")


def test_names_say_where_a_potential_comes_from():
    assert load_potential("chgnet").external
    assert not load_potential("chgnet").caveat
    assert "r2SCAN" in load_potential("chgnet:r2scan").caveat


def test_a_student_that_was_trained_further_has_not_forgotten(tmp_path):
    student = load_potential("painn")
    data = bv.load_dataset("si-defects").all
    new = next(name for name in data.names if name not in student.seen)
    recipe = {"epochs": 1, "out": tmp_path, "progress": False}
    bv.finetune(student.potential, data[[new]], bv.ForceLoss(1), **recipe)
    assert set(load_potential(str(tmp_path)).seen) == {new, *student.seen}


def test_files_get_names_that_tell_them_apart():
    assert unique_names([Path("a/one.traj"), Path("b/two.traj")]) == ["one", "two"]
    assert unique_names([Path("a/OUTCAR"), Path("b/OUTCAR")]) == ["a-outcar", "b-outcar"]
    assert unique_names([Path("a/x.traj"), Path("a/x.xyz")]) == ["x.traj", "x.xyz"]
    dotted = [Path("a/relax.1.traj"), Path("a/relax.2.traj"), Path("b/relax.2.traj")]
    assert unique_names(dotted) == ["a-relax.1.traj", "a-relax.2.traj", "b-relax.2.traj"]
    assert len(set(unique_names([Path("a/OUTCAR"), Path("a/outcar")]))) == 2


# --- finetune and evaluate -----------------------------------------------------------------------


RECIPE = [
    "--steps",
    "4",
    "--step-size",
    "0.1",
    "--epochs",
    "2",
    "--learning-rate",
    "0.01",
    "--quiet",
]


def endpoint(adjoint=None):
    return bv.EndpointLoss(bv.GradientDescent(0.1), bv.StoppingCriterion(4), adjoint)


@pytest.mark.parametrize(
    ("options", "objective"),
    [
        ([], endpoint()),
        (["--forces", "0.5", "--frames", "3"], endpoint() + 0.5 * bv.ForceLoss(3)),
        (["--forces-only"], bv.ForceLoss(20)),
        (
            ["--starts", "both-ends"],
            bv.Recipe(step_size=0.1, max_step=0.2, steps=4).objective(network()),
        ),
        (
            ["--adjoint", "guided", "--window", "2"],
            endpoint(bv.GuidedAdjoint(2, 1.0, bv.ImplicitAdjoint(strict=False))),
        ),
    ],
    ids=["endpoint", "with forces", "forces", "both ends", "guided"],
)
def test_finetune_trains_what_it_is_told(springs, trajectories, tmp_path, options, objective):
    out = tmp_path / "out"
    call = ["finetune", *trajectories, "--potential", springs, *RECIPE, *options]
    assert run(*call, "--out", out) == 0
    found = bv.load_run(out)
    assert found.settings["objective"] == specification(objective)
    assert found.status == "finished"
    assert len(found.history) == 6


def test_from_both_ends_trains_as_the_recipe_does(springs, trajectories, tmp_path):
    out = tmp_path / "out"
    call = ["finetune", *trajectories, "--potential", springs, *RECIPE, "--starts", "both-ends"]
    run(*call, "--seed", "3", "--out", out)
    numbers = {"epochs": 2, "learning_rate": 0.01, "seed": 3}
    recipe = bv.Recipe(step_size=0.1, steps=4, **numbers)
    library = bv.finetune(
        bv.load_run(springs).potential, bv.read_relaxations(trajectories),
        recipe.objective(network()), recipe.config(3), progress=False,
    )  # fmt: skip
    found = bv.load_run(out)
    assert found.settings["schedule"] == library.settings["schedule"]
    for one, other in zip(
        found.potential.parameters(), library.potential.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_finetune_on_pairs_with_validation_is_what_the_library_does(springs, tmp_path):
    files = []
    data = references(3)
    for reference in data:
        for atoms, which in ((reference.start, "start"), (reference.end, "end")):
            files.append(tmp_path / f"{reference.name}-{which}.traj")
            ase.io.write(files[-1], atoms.to_ase())
    out = tmp_path / "out"
    call = ["finetune", "--pairs", *files[:4], "--validation", *files[4:], "--potential", springs]
    assert run(*call, *RECIPE, "--out", out) == 0
    found = bv.load_run(out)
    assert len(found.validations) == 3
    library = bv.finetune(
        bv.load_run(springs).potential, data[:2], endpoint(), epochs=2, learning_rate=0.01,
        validation=data[2:], progress=False,
    )  # fmt: skip
    for ours, theirs in zip(
        found.potential.parameters(), library.potential.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_finetune_goes_on_after_ctrl_c(springs, trajectories, tmp_path, monkeypatch, capsys):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    call = ["finetune", *trajectories, "--potential", springs, *RECIPE, "--out", tmp_path / "out"]
    whole = bv.finetune

    def interrupted(*arguments, **named):
        return whole(*arguments, **named, on_update=interrupt_after(2))

    monkeypatch.setattr(sys.modules["bpttviz.training.finetune"], "finetune", interrupted)
    assert run(*call) == 130
    assert "goes on from here" in capsys.readouterr().out
    monkeypatch.undo()
    assert run(*call) == 0
    assert len(bv.load_run(tmp_path / "out").history) == 6


def test_export_is_refused_before_training_where_there_is_no_format(
    springs, trajectories, tmp_path, capsys
):
    out = tmp_path / "out"
    call = ["finetune", *trajectories, "--potential", springs, "--out", out]
    assert run(*call, "--export", tmp_path / "x.pt") == 1
    assert "Springs has no checkpoint format" in capsys.readouterr().err
    assert not out.exists()


def test_evaluate_writes_a_report_and_goes_on(springs, trajectories, tmp_path, capsys):
    trained, out = tmp_path / "trained", tmp_path / "out"
    run("finetune", *trajectories, "--potential", springs, *RECIPE, "--out", trained)
    call = [
        "evaluate", *trajectories, "--potential", springs, trained, "--steps", "4", "--step-size",
        "0.1", "--fmax", "1e-3", "--from-start", "--quiet", "--out", out,
    ]  # fmt: skip
    assert run(*call) == 0
    shown = capsys.readouterr().out
    report = bv.Report.from_csv(out / "report.csv")
    assert report.potentials == [str(springs), str(trained)]
    assert report.structures == ["r0", "r1", "r2"]
    assert np.isfinite(report.column("force_mae", str(trained))).all()
    assert (report.column("from_start", str(trained)) == "at rest").all()
    assert (out / "report.txt").read_text() in shown
    assert f"{trained} has learned from relaxations named r0, r1, r2: if these are they" in shown
    assert f"{springs} has learned from relaxations named r0: " in shown
    # a table with one structure missing is completed, to the same one
    whole = (out / "report.csv").read_text()
    (out / "report.csv").write_text("".join(whole.splitlines(keepends=True)[:-2]))
    assert run(*call) == 0
    assert (out / "report.csv").read_text() == whole
    call[call.index("--steps") + 1] = "5"
    assert run(*call) == 1
    assert "stop.config.max_steps: saved 4, now 5" in capsys.readouterr().err


def test_evaluate_judges_by_other_ends(tmp_path, capsys):
    ours, dense = bv.load_dataset("si-defects"), bv.load_dataset("si-defects-dense").all
    files = ["--dataset", "si-defects", "--part", "test", "--ends", "si-defects-dense"]
    options = ["--potential", "painn", "--steps", "1", "--rest-steps", "1", "--quiet"]
    assert run("evaluate", *files, *options, "--out", tmp_path / "out") == 0
    report = bv.Report.from_csv(tmp_path / "out" / "report.csv")
    assert report.structures == [name for name in ours.test.names if name in dense.names]
    name = report.structures[0]
    ends = ours.all[name].start, dense[name].end
    assert report.rows[0].dq_start == pytest.approx(float(bv.delta_q(*ends)), abs=1e-9)
    assert np.isnan(report.rows[0].force_mae)
    left_out = [name for name in ours.test.names if name not in dense.names]
    assert f"not in si-defects-dense, left out: {', '.join(left_out)}" in capsys.readouterr().out


def test_evaluate_refuses_what_it_would_have_to_overlook(springs, trajectories, tmp_path, capsys):
    options = ["--potential", springs, "--out", tmp_path / "out"]
    for asked, answer in (
        (["--dataset", "si-defects-dense", "--part", "train"], "nothing in its part 'train'"),
        (["--dataset", "si-defects", "--pairs"], "--pairs says how to read files"),
        ([*trajectories, "--part", "test"], "--part divides a shipped data set"),
    ):
        assert run("evaluate", *asked, *options) == 1
        assert answer in capsys.readouterr().err


def test_evaluate_does_not_go_on_with_before_and_after_exchanged(
    springs, trajectories, tmp_path, capsys
):
    other = shutil.copytree(springs, tmp_path / "other")
    call = ["--steps", "2", "--rest-steps", "5", "--out", tmp_path / "out", "--quiet"]
    assert run("evaluate", *trajectories, *call, "--potential", springs, other) == 0
    assert run("evaluate", *trajectories, *call, "--potential", other, springs) == 1
    assert "other settings (potentials" in capsys.readouterr().err


def test_compare_from_the_command_line(springs, tmp_path, monkeypatch, capsys):
    import bpttviz.datasets.library as shipped

    monkeypatch.setattr(
        shipped, "load_dataset", lambda name: bv.DatasetSplits(labelled(4, frames=4))
    )
    call = ["benchmark", "--folds", "2", *RECIPE, "--methods", "pretrained", "BPTT"]
    out = tmp_path / "out"
    assert run(*call, "--potential", springs, "--out", out) == 0
    assert "(made here)" in capsys.readouterr().out
    assert run("benchmark", "--out", out) == 0
    assert (out / "table.txt").read_text() in capsys.readouterr().out
    # the run that was named as a potential has learned from r0, which is therefore not measured
    settings = json.loads(next(out.glob("*/settings.json")).read_text())
    assert settings["seen"] == ["r0"]
    measured = [name for names in settings["parts"].values() for name in names]
    assert sorted(measured) == ["r1", "r2", "r3"]


# --- a real potential ----------------------------------------------------------------------------


def test_chgnet_from_poscar_to_its_own_checkpoint(tmp_path, capsys):
    """Silicon's two-atom cell, one atom displaced: relax, learn, export, measure."""
    from chgnet.model.model import CHGNet as Network

    end = bulk("Si")
    start = end.copy()
    start.positions[1] += (0.15, 0.05, -0.1)
    (tmp_path / "a").mkdir()
    poscar, contcar = tmp_path / "a" / "POSCAR", tmp_path / "a" / "CONTCAR"
    ase.io.write(poscar, start, format="vasp")
    ase.io.write(contcar, end, format="vasp")
    relaxed = tmp_path / "relaxed"
    assert run("relax", poscar, "--potential", "chgnet", "--fmax", "0.05", "--out", relaxed) == 0
    assert len(ase.io.read(relaxed / "poscar.extxyz", ":")) > 3
    trained, exported = tmp_path / "trained", tmp_path / "native" / "silicon.pth.tar"
    assert run(
        "finetune", "--pairs", poscar, contcar, "--potential", "chgnet", "--steps", "2",
        "--epochs", "1", "--quiet", "--out", trained, "--export", exported,
    ) == 0  # fmt: skip
    theirs = Network.from_file(exported).state_dict()
    ours = bv.load_run(trained).potential.network.state_dict()
    assert all(torch.equal(theirs[key], value) for key, value in ours.items())
    capsys.readouterr()
    assert run(
        "evaluate", "--pairs", poscar, contcar, "--potential", "chgnet", trained, "--steps", "2",
        "--fmax", "0.05", "--quiet", "--out", tmp_path / "measured",
    ) == 0  # fmt: skip
    assert "ΔQ(X_K, ref)" in capsys.readouterr().out
    shutil.rmtree(relaxed)


def test_files_that_cannot_be_used_are_left_out_on_request(springs, trajectories, tmp_path, capsys):
    junk = [tmp_path / "junk.traj", tmp_path / "rubbish.traj"]
    for file in junk:
        file.write_text("nothing")
    call = ["evaluate", *trajectories, *junk, "--potential", springs, "--quiet"]
    assert main([str(x) for x in [*call, "--out", tmp_path / "a"]]) == 1
    assert "2 of 5 cannot be used (--skip-bad leaves them out)" in capsys.readouterr().err
    with pytest.warns(UserWarning, match="left out: .*junk.traj"):
        assert main([str(x) for x in [*call, "--skip-bad", "--out", tmp_path / "b"]]) == 0


def test_groups_can_be_named(springs, trajectories, tmp_path, capsys):
    call = ["evaluate", *trajectories, "--potential", springs, "--quiet", "--out", tmp_path / "a"]
    assert main([str(x) for x in [*call, "--groups", "a", "b", "a"]]) == 0
    rows = bv.Report.from_csv(tmp_path / "a" / "report.csv").rows
    assert [row.group for row in rows] == ["a", "b", "a"]
    assert main([str(x) for x in [*call[:-1], tmp_path / "b", "--groups", "a"]]) == 1
    assert "--groups takes one name for each of the 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--threads", "99999999999"], "more than any machine has"),
     (["--potential", "mace:"], "does not say which mace")],
)  # fmt: skip
def test_numbers_and_names_that_cannot_be_meant(trajectories, tmp_path, capsys, arguments, said):
    call = ["evaluate", trajectories[0], "--potential", "painn", "--out", tmp_path / "a"]
    try:
        status = main([str(x) for x in [*call, *arguments]])
    except SystemExit as left:
        status = left.code
    assert status
    assert said in capsys.readouterr().err
