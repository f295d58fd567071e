"""The command line."""

import subprocess
import sys

import pytest

from bpttviz.__main__ import main


def test_help_is_instant_and_names_the_folder(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "--help"])
    assert stopped.value.code == 0
    assert "resumed" in capsys.readouterr().out


def test_it_runs_as_a_module_and_refuses_what_it_does_not_know():
    done = subprocess.run(
        [sys.executable, "-m", "bpttviz", "reproduce"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--out" in done.stderr
    with pytest.raises(ValueError, match="no CHGNet checkpoint '1.0'"):
        main(["reproduce", "--out", "unused", "--checkpoint", "1.0"])


def test_a_fold_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no fold 7"):
        main(["reproduce", "--out", str(tmp_path), "--only", "7"])
