"""Files are whole or not there; a folder holds one kind of result and has one writer."""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from bpttviz._files import FolderInUse, FolderLock, lock_settings, refusal, write_atomic


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_permissions_are_those_of_the_umask(tmp_path, mask):
    def private(path):
        path.write_text("x")
        path.chmod(0o600)

    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "text", "a\r\nb")
        write_atomic(tmp_path / "bytes", b"a")
        write_atomic(tmp_path / "private", private)
    finally:
        os.umask(before)
    assert (tmp_path / "text").read_bytes() == b"a\r\nb"
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o666 & ~mask}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "kept.txt"
    write_atomic(file, "old")

    def full(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left.*kept\.txt") as found:
        write_atomic(file, full)
    assert (found.value.errno, found.value.filename) == (28, str(file))
    with pytest.raises(ZeroDivisionError):
        write_atomic(file, lambda path: 1 / 0)
    with pytest.raises(OSError, match="gone"):
        write_atomic(tmp_path / "gone" / "x", "y")
    assert [f.name for f in tmp_path.iterdir()] == ["kept.txt"]
    assert file.read_text() == "old"


def test_a_link_is_followed_not_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_folder_holds_one_kind_of_result(tmp_path):
    settings = {"step": 0.04, "rule": {"class": "Rule", "config": {"k": 2.0, "sizes": [1.0, 2.0]}}}
    lock_settings(tmp_path / "new", settings)
    lock_settings(tmp_path / "new", {**settings, "step": np.float64(0.04)})
    other = json.loads(json.dumps(settings))
    other["step"], other["rule"]["config"]["k"] = 0.040001, 3.0
    with pytest.raises(ValueError, match=r"step: saved 0.04, now 0.040001; rule.config.k: saved 2"):
        lock_settings(tmp_path / "new", other)
    with pytest.raises(ValueError, match="step: saved 0.04, now absent"):
        lock_settings(tmp_path / "new", {"rule": settings["rule"]})
    assert json.loads((tmp_path / "new" / "settings.json").read_text()) == settings
    for damage in ("", "{", "[1]", "null"):
        (tmp_path / "new" / "settings.json").write_text(damage)
        with pytest.raises(ValueError, match=r"settings\.json is damaged"):
            lock_settings(tmp_path / "new", settings)
    assert [f.name for f in (tmp_path / "new").iterdir()] == ["settings.json"]


def test_what_cannot_be_described_is_never_the_same():
    settings = {"rule": {"undescribed": "a Thing"}}
    assert "provenance_name" in refusal(settings, settings)
    assert refusal({"seed": 1}, {"seed": np.int64(1)}) == ""
    assert refusal({"flag": 1}, {"flag": True}) == "flag: saved 1, now True"
    assert "absent" in refusal({"clip": None}, {})


def test_a_folder_has_one_writer(tmp_path):
    with FolderLock(tmp_path / "run"):
        here = f"in use by this process itself, since {time.strftime('%Y')}"
        with pytest.raises(FolderInUse, match=here), FolderLock(tmp_path / "run"):
            pytest.fail("two at once")
        with FolderLock(tmp_path / "run", "fold-1"), FolderLock(tmp_path / "run", "fold-2"):
            pass
    with FolderLock(tmp_path / "run"):  # free again
        pass
    assert not list((tmp_path / "run").iterdir())


HOLD = """
    import sys, time
    from pathlib import Path
    from bpttviz._files import FolderLock
    folder = Path(sys.argv[1])
    with FolderLock(folder):
        (folder / ".x.1.unfinished").write_text("half")
        (folder / "ready").write_text("")
        time.sleep(60)
"""


def test_a_killed_process_holds_nothing_and_a_living_one_is_named(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(FolderInUse, match=f"process {holder.pid} on "), FolderLock(tmp_path):
            pytest.fail("two at once")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with FolderLock(tmp_path):
        assert not list(tmp_path.glob("*.unfinished"))
    assert [f.name for f in tmp_path.iterdir()] == ["ready"]


def test_of_many_at_once_one_at_a_time_goes_on(tmp_path):
    inside, most, done = [], [], []

    def work():
        with FolderLock(tmp_path, "result", wait=60):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.002)
            inside.pop()
            done.append(1)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 12
    assert max(most) == 1


def test_a_lock_of_a_folder_made_anew_is_left_to_its_holder(tmp_path):
    folder = tmp_path / "run"
    old, new = FolderLock(folder), FolderLock(folder)
    with new:
        pass
    with old:
        (folder / ".lock").unlink()
        folder.rmdir()  # as somebody who starts over does
        with new:
            old.__exit__()
            with pytest.raises(FolderInUse), FolderLock(folder):
                pass
