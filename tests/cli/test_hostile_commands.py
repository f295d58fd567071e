"""Whatever is asked, the answer is a sentence and the exit status tells."""

import errno
import os
import pickle
import shutil
import subprocess
import sys
import urllib.error

import ase.io
import pytest
from taught import references

import bpttviz
import bpttviz as bv
from bpttviz.cli import errors, options
from bpttviz.cli.main import COMMANDS, WITHOUT_DEVICE, _parser, main
from bpttviz.teaching.assignments.build import AssignmentError

CALLS = {
    "relax": lambda s, t: ["relax", t[0], "--index", "0", "--potential", s, "--steps", "2"],
    "finetune": lambda s, t: [
        "finetune", *t, "--potential", s, "--steps", "2", "--epochs", "1", "--quiet",
    ],
    "evaluate": lambda s, t: [
        "evaluate", *t, "--potential", s, "--steps", "2", "--rest-steps", "2", "--quiet",
    ],
}  # fmt: skip


def run(*arguments):
    return main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """What is said of a command that fails, after seeing that it is one sentence."""
    assert run(*arguments) == 1
    said = capsys.readouterr().err
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"bpttviz {arguments[0]}: ")
    assert "Traceback" not in said
    assert "should not happen" not in said
    return last


@pytest.fixture(params=CALLS)
def call(request, springs, trajectories):
    return CALLS[request.param](springs, trajectories)


def test_a_place_that_is_no_folder(capsys, call, tmp_path):
    file, link, loop = tmp_path / "file", tmp_path / "link", tmp_path / "loop"
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    loop.symlink_to(loop)
    assert "is a file, not a folder" in refused(capsys, *call, "--out", file)
    assert "is a file, not a folder" in refused(capsys, *call, "--out", file / "deeper")
    for place in (link, loop):
        assert "a link that leads nowhere" in refused(capsys, *call, "--out", place)
    assert file.read_text() == "mine"


def test_a_link_to_a_folder_is_a_folder(call, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert run(*call, "--out", tmp_path / "link") in (0, 1)
    assert list((tmp_path / "real").iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses(capsys, call, tmp_path, monkeypatch, number):
    """Full, read-only, not ours: what was begun is removed."""
    whole = os.replace

    def refuse(source, target):
        if str(tmp_path) in str(target):
            raise OSError(number, os.strerror(number))
        return whole(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    said = refused(capsys, *call, "--out", tmp_path / "out")
    assert os.strerror(number) in said
    assert str(tmp_path / "out") in said
    assert not [f for f in (tmp_path / "out").rglob("*") if f.is_file()]


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:9", "cuda:x", "", "tpu", "meta"])
def test_a_device_that_there_is_not(capsys, call, tmp_path, device):
    said = refused(capsys, *call, "--out", tmp_path / "out", "--device", device)
    assert "device" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", WITHOUT_DEVICE)
def test_a_device_is_asked_for_only_where_there_is_a_use_for_it(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--device" not in capsys.readouterr().out.split("examples:")[0]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"a": ', "\x00\x01"])
@pytest.mark.parametrize("command", ["relax", "evaluate"])
def test_settings_that_are_damaged(capsys, springs, trajectories, tmp_path, command, content):
    call = CALLS[command](springs, trajectories)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "settings.json").write_text(content)
    assert "settings.json is damaged" in refused(capsys, *call, "--out", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x02}q\x00.", b"PK\x03\x04"])
@pytest.mark.parametrize("name", ["chgnet:{}", "sevennet:{}", "mace:{}", "painn:{}", "{}"])
def test_model_files_that_are_none(capsys, springs, trajectories, tmp_path, name, content):
    file = tmp_path / "model.pth"
    file.write_bytes(content)
    call = ["relax", trajectories[0], "--out", tmp_path / "out", "--potential"]
    said = refused(capsys, *call, name.format(file), "--trust")
    assert "weights_only" not in said


@pytest.mark.parametrize("content", [b"", b"garbage\x00", b"3\n\nSi 0 0\n"])
def test_structures_that_cannot_be_read(capsys, springs, tmp_path, content):
    for name in ("POSCAR", "x.extxyz", "x.cif", "x.traj", "OUTCAR", "x.db"):
        (tmp_path / name).write_bytes(content)
        said = refused(
            capsys, "relax", tmp_path / name, "--potential", springs, "--out", tmp_path / "out"
        )
        assert name in said
    assert "does not exist" in refused(
        capsys, "relax", tmp_path / "none", "--potential", springs, "--out", tmp_path / "out"
    )
    assert "is a folder" in refused(
        capsys, "relax", tmp_path, "--potential", springs, "--out", tmp_path / "out"
    )


@pytest.mark.parametrize(
    "option",
    [
        ["--steps", "0"], ["--steps", "-1"], ["--steps", "2.5"], ["--steps", "x"],
        ["--fmax", "nan"], ["--fmax", "-1"], ["--fmax", "inf"], ["--step-size", "0"],
        ["--step-size", "inf"], ["--threads", "0"], ["--out", ""], ["--rule", "magic"],
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_argparse_s(capsys, springs, trajectories, tmp_path, option):
    call = ["relax", trajectories[0], "--potential", springs, "--out", tmp_path / "out", *option]
    with pytest.raises(SystemExit) as stopped:
        run(*call)
    assert stopped.value.code == 2
    assert f"argument {option[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (["--learning-rate", "1e30"], "learning_rate must be"),
        (["--seed", "-1"], "seed must be"),
        (["--patience", "2"], "patience needs validation"),
        (["--forces-only", "--forces", "1"], "--forces-only leaves it out"),
        (["--forces-only", "--starts", "both-ends"], "--forces-only relaxes nothing"),
        (["--forces-only", "--adjoint", "implicit"], "--forces-only relaxes nothing"),
        (["--window", "3"], "--window and --weight are of --adjoint guided"),
        (["--adjoint", "implicit", "--weight", "2"], "--window and --weight are of --adjoint"),
        (["--head", "pbe"], "has its head already"),
        (["--export", "x.pt"], "no checkpoint format"),
    ],
)
def test_what_makes_no_sense_together(capsys, springs, trajectories, tmp_path, option, sentence):
    call = CALLS["finetune"](springs, trajectories)
    assert sentence in refused(capsys, *call, "--out", tmp_path / "out", *option)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (["reproduce", "--claim", "1", "--potential", "nonsense"], ["--potential"]),
        (["reproduce", "--tuned", "nowhere", "--epochs", "99"], ["--tuned", "--epochs"]),
        (["reproduce", "--dataset", "none", "--trust", "--quiet"], ["--dataset", "--trust"]),
        (["speed", "--repeats", "7", "--structures", "4"], ["--repeats", "--structures"]),
        (["speed", "--rows", "growth", "--fmax", "1", "--out", "{}"], ["--fmax is of the row"]),
        (["benchmark", "--epochs", "99", "--folds", "2", "--out", "{}"], ["--epochs", "--folds"]),
    ],
)
def test_options_that_would_do_nothing_are_refused(capsys, tmp_path, line, options):
    said = refused(capsys, *(word.format(tmp_path / "out") for word in line))
    assert all(option in said for option in options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", [["--groups", "a"], ["--format", "traj"], ["--skip-bad"], ["--pairs"]]
)
@pytest.mark.parametrize("command", ["finetune", "evaluate", "gradient"])
def test_how_files_are_read_is_nothing_to_a_data_set(capsys, springs, tmp_path, command, option):
    call = [command, "--dataset", "si-defects", "--potential", springs, "--out", tmp_path / "out"]
    assert f"{option[0]} says how to read files" in refused(capsys, *call, *option)


def test_a_damaged_run_is_told(capsys, springs, trajectories, tmp_path):
    out = shutil.copytree(springs, tmp_path / "run")
    file = out / "run.safetensors"
    file.write_bytes(file.read_bytes()[:300])
    assert "damaged" in refused(capsys, *CALLS["relax"](out, trajectories), "--out", tmp_path / "o")
    call = CALLS["finetune"](springs, trajectories)
    assert "damaged" in refused(capsys, *call, "--out", out)


@pytest.mark.parametrize("index", ["x", "99", "1:2:3:4", "1.5", ":0"])
def test_frames_that_there_are_not(capsys, springs, trajectories, tmp_path, index):
    call = ["relax", trajectories[0], "--potential", springs, "--out", tmp_path / "out"]
    assert "index" in refused(capsys, *call, "--index", index) or index == "99"


def test_a_structure_left_out_of_training_shows_in_the_exit_status(
    capsys, springs, trajectories, tmp_path, monkeypatch
):
    def refuse(self, structures):
        if "r1" in structures.names:
            place = structures.names.index("r1")
            raise bv.StructureError("has an atom without neighbours", place, "r1")
        return whole(self, structures)

    whole = bv.Springs.energy
    monkeypatch.setattr(bv.Springs, "energy", refuse)
    with pytest.warns(UserWarning, match="r1"):
        assert run(*CALLS["finetune"](springs, trajectories), "--out", tmp_path / "out") == 1
    assert "left out of updates: r1 (1 times)" in capsys.readouterr().err
    assert bv.load_run(tmp_path / "out").status == "finished"
    with pytest.warns(UserWarning, match="r1"):
        assert run(*CALLS["evaluate"](springs, trajectories), "--out", tmp_path / "measured") == 1
    said = capsys.readouterr()
    assert "r1" in said.err
    report = bv.Report.from_csv(tmp_path / "measured" / "report.csv")
    assert report.structures == ["r0", "r1", "r2"]


# --- a folder without our settings is somebody's -------------------------------------------------


def test_a_gradient_is_computed_once_and_nothing_is_written_over(
    capsys, springs, trajectories, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    out.mkdir()
    call = ["gradient", *trajectories[:2], "--potential", springs, "--steps", "2", "--out", out]
    (out / "r1.html").write_text("mine")
    assert "r1.html is there already" in refused(capsys, *call)
    assert (out / "r1.html").read_text() == "mine"
    assert not (out / "r0.safetensors").exists()
    (out / "r1.html").unlink()
    assert run(*call) == 0
    before = {file: file.read_bytes() for file in out.iterdir()}
    assert {"r0.html", "r0.safetensors", "r1.html"} < {file.name for file in before}
    assert "stop.config.max_steps: saved 2, now 3" in refused(capsys, *call, "--steps", "3")
    other = tmp_path / "other" / "r1.traj"
    other.parent.mkdir()
    shutil.copy(trajectories[2], other)
    line = ["gradient", other, "--potential", springs, "--steps", "2", "--out", out]
    assert "r1.safetensors is of another relaxation" in refused(capsys, *line)
    (out / "r2.html").write_text("mine")
    more = ["gradient", trajectories[2], "--potential", springs, "--steps", "2", "--out", out]
    assert "r2.html is there already" in refused(capsys, *more)
    (out / "r1.html").unlink()
    from bpttviz.relaxation import gradient_trace

    with monkeypatch.context() as patched:
        patched.setattr(gradient_trace, "trace_gradient", None)  # nothing is computed again
        assert run(*call) == 0
    assert (out / "r1.html").exists()
    kept = [file for file in before if file.name != "r1.html"]  # whose names are drawn
    assert all(file.read_bytes() == before[file] for file in kept)


def test_a_relaxation_without_an_end_is_no_bug_of_ours(
    capsys, springs, trajectories, tmp_path, monkeypatch
):
    whole, calls = bv.Springs.energy, []

    def lost(self, structures):
        calls.append(structures)
        return whole(self, structures) * (1.0 if len(calls) < 3 else float("nan"))

    monkeypatch.setattr(bv.Springs, "energy", lost)
    call = ["gradient", trajectories[0], "--potential", springs, "--out", tmp_path / "out"]
    assert "diverged at step" in refused(capsys, *call)


@pytest.mark.parametrize(
    ("line", "file"),
    [
        (["cost", "--steps", "1"], "cost.txt"),
        (["basins", "--seeds", "1"], "basins.txt"),
        (["submit", "--each", "x", "--", "relax", "--x", "1"], "jobs.txt"),
        (["grade", "in", "--autograder", "a.zip"], "grades.csv"),
        (["speed", "--rows", "growth"], "speed.txt"),
        (["benchmark"], "table.csv"),
        (["reproduce"], "claims.md"),
    ],
)
def test_somebodys_file_is_not_written_over(capsys, tmp_path, line, file):
    (tmp_path / file).write_text("mine")
    said = refused(capsys, line[0], "--out", tmp_path, *line[1:])
    assert f"{file} is there already" in said
    assert (tmp_path / file).read_text() == "mine"


def test_a_table_of_ours_is_written_anew(tmp_path):
    assert run("reproduce", "--claim", "3", "--out", tmp_path) == 0
    assert run("reproduce", "--claim", "6", "--out", tmp_path) == 0


def test_an_assignment_that_is_not_there_draws_no_seed_and_a_folder_of_others_stays(
    capsys, tmp_path, monkeypatch
):
    from bpttviz.teaching.assignments import build

    monkeypatch.setattr(build, "require_otter", lambda: None)
    source, out = tmp_path / "A1.ipynb", tmp_path / "out"
    line = ["assign", source, "--out", out]
    assert "A1.ipynb: there is no such notebook" in refused(capsys, *line)
    source.write_text("{}")
    (out / "A1" / "student").mkdir(parents=True)
    (out / "A1" / "notes.txt").write_text("mine")
    assert "A1 holds something else" in refused(capsys, *line)
    assert not (out / "instructor_seed.txt").exists()
    assert "two of the sources have one name" in refused(
        capsys, "assign", source, tmp_path / "A1.ipynb", "--out", tmp_path / "new"
    )


def test_file_names_can_be_written_and_differ():
    stems = options.file_stems(
        ["a/b", "a_b", "A_B", "l" * 300, "l" * 301, "é" * 200, "ends"], ["ends"]
    )
    assert list(stems.values())[:3] == ["a_b", "a_b_", "A_B__"]
    assert len({stem.lower() for stem in stems.values()}) == 7
    assert max(len(stem.encode()) for stem in stems.values()) <= 201
    assert stems["ends"] == "ends_"


# --- the one handler -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device", "a/b"), "a/b: No space left on device"),
        (pickle.UnpicklingError("set `weights_only=False`"), "damaged, is of another kind"),
        (RuntimeError("try weights_only=False"), "damaged, is of another kind"),
        (urllib.error.URLError("no route"), "had to be downloaded, and could not be: no route"),
        (ConnectionRefusedError(111, "refused"), "had to be downloaded"),
        (MemoryError(), "not enough memory"),
        (bv.StructureError("overlaps", 0, "x"), "overlaps"),
        (AssignmentError("A1 is refused"), "A1 is refused"),
        (ZeroDivisionError("division"), "ZeroDivisionError: division (this should not happen"),
    ],
)
def test_errors_in_words(error, words):
    said = errors.sentence(error)
    assert words in said
    assert "weights_only" not in said
    assert ("should not happen" in said) == isinstance(error, ZeroDivisionError)


def test_a_traceback_is_for_those_who_ask(tmp_path):
    with pytest.raises(ValueError, match="device"):
        run("cost", "--device", "gpu", "--out", tmp_path, "--traceback")


def test_the_version_is_told_and_the_same_everywhere(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"bpttviz {bpttviz.__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "bpttviz", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"bpttviz {bpttviz.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_speaks_of_the_program_by_its_name(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: bpttviz {command} ")
    assert "python -m" not in shown
    if command in ("relax", "finetune", "evaluate", "benchmark"):
        assert "--head NAME" in shown


def test_a_head_is_passed_on(monkeypatch, tmp_path):
    from bpttviz.experiments import registry

    asked = []

    def load(name, device, trusted, head=None):
        asked.append((name, head))
        return registry.PotentialEntry(bv.ScaledForces(bv.Springs.frustrated(), 1.0))

    monkeypatch.setattr(registry, "load_potential", load)
    file = tmp_path / "x.traj"
    ase.io.write(file, references(1)[0].start.to_ase()[0])
    run("relax", file, "--potential", "mace:m", "--head", "pbe", "--out", tmp_path / "o")
    pair = tmp_path / "y.traj"
    ase.io.write(pair, references(1)[0].end.to_ase()[0])
    run(
        "evaluate", "--pairs", file, pair, "--potential", "chgnet", "mace:m", "--head", "pbe",
        "--steps", "1", "--rest-steps", "1", "--out", tmp_path / "p",
    )  # fmt: skip
    assert asked == [("mace:m", "pbe"), ("chgnet", None), ("mace:m", "pbe")]


def test_a_kept_command_names_the_head_too(monkeypatch):
    from bpttviz.cli import gradient, reproduce
    from bpttviz.experiments import registry
    from bpttviz.experiments.claims.studies import STUDIES

    entry = registry.PotentialEntry(bv.ScaledForces(bv.Springs.frustrated(), 1.0))
    monkeypatch.setattr(registry, "load_potential", lambda *_, **__: entry)
    named = ["--trust", "--head", "pbe", "--out", "o"]
    line = ["gradient", "--dataset", "si-defects", "--potential", "mace:m", *named]
    command = gradient._command(_parser().parse_args(line), "x")
    assert " --potential mace:m --trust --head pbe --steps" in command
    line = ["reproduce", "--claim", "1", "--run", "BPTT", "--potential", "chgnet", "mace:m", *named]
    told = []
    keep = lambda setting, *_: told.append((setting.name, setting.command))  # noqa: E731
    monkeypatch.setattr(STUDIES[1], "compute", keep)
    reproduce._compute(_parser().parse_args(line), [1])
    assert told == [
        ("chgnet", "bpttviz reproduce --potential chgnet --trust --dataset si-defects"),
        (
            "mace:m head pbe",
            "bpttviz reproduce --potential mace:m --trust --head pbe --dataset si-defects",
        ),
    ]
