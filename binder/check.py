"""Run a notebook as Binder would: fresh environment, one CPU, 2 GB for server and kernel together.

The commit at HEAD is copied into a temporary folder and its environment is built there, then
``postBuild`` and ``start`` do what they do on Binder. The cells run in a kernel of the Jupyter
server, reached over HTTP and a websocket as a browser reaches it. Memory is the summed
proportional set size (PSS, from /proc) of the server and everything below it; above the limit all
of it is killed, as Binder would. Linux only.

    python binder/check.py [--notebook PATH] [--worktree] [--env FOLDER] [--limit-gb GB]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import nbformat
import psutil
import websocket
import yaml

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024**2
SAMPLE_EVERY = 0.25  # s
CELL_TIMEOUT = 3600.0  # s


class CheckError(Exception):
    """The notebook did not run within Binder's limits, or did not run at all."""


# --- the copy and its environment ----------------------------------------------------------------


def copy_repository(target: Path, worktree: bool) -> str:
    """Copy HEAD, or with `worktree` the files as they are, to `target`; return what it was."""

    def git(*words: str) -> str:
        return subprocess.check_output(["git", "-C", ROOT, *words], text=True)

    changed = bool(git("status", "--porcelain"))
    if not worktree:
        if changed:
            print("uncommitted changes are not part of this check (--worktree would include them)")
        subprocess.run(["git", "clone", "-q", ROOT, target], check=True)
        return git("rev-parse", "HEAD").strip()
    for name in git("ls-files", "-coz", "--exclude-standard").split("\0"):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return "the working tree" + (", with uncommitted changes" if changed else "")


def build_environment(repository: Path, env: Path) -> str:
    """Make at `env` what binder/environment.yml describes; return how it was made."""
    description = repository / "binder" / "environment.yml"
    tool = next(filter(shutil.which, ("micromamba", "mamba", "conda")), None)
    if tool:
        create = ["create"] if tool == "micromamba" else ["env", "create"]
        subprocess.run([tool, *create, "-y", "-p", env, "-f", description], check=True)
        return f"{tool}, binder/environment.yml"
    dependencies = yaml.safe_load(description.read_text())["dependencies"]
    packages = next(item["pip"] for item in dependencies if isinstance(item, dict))
    subprocess.run([sys.executable, "-m", "venv", env], check=True)
    install = [env / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    install += ["-c", repository / "constraints.txt"]
    subprocess.run([*install, "torch"], check=True)  # first, as in the Makefile
    subprocess.run([*install, *packages], check=True)
    return "venv and pip with constraints.txt (no conda on this machine: torch is pip's build)"


# --- memory --------------------------------------------------------------------------------------


def pss(pid: int) -> int:
    """Proportional set size of one process in bytes; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


class Meter(threading.Thread):
    """Samples the PSS of a process and all its descendants, and kills them above the limit.

    Attributes: `peak`, the largest sums seen in bytes ({"total", "server", "kernel"}); `samples`;
    `exceeded`, the sum in bytes at which everything was killed, or None.
    """

    def __init__(self, server: psutil.Process, limit: int):
        super().__init__(daemon=True)
        self.server, self.limit = server, limit
        self.peak = {"total": 0, "server": 0, "kernel": 0}
        self.samples = 0
        self.exceeded: int | None = None
        self._highest_since_lap = 0
        self._sampling = threading.Lock()
        self._ended = threading.Event()

    def run(self):
        while not self._ended.wait(SAMPLE_EVERY):
            with self._sampling:
                self._sample()

    def _sample(self):
        sums = {"server": 0, "kernel": 0}
        for process in processes_of(self.server):
            with contextlib.suppress(psutil.Error):
                is_kernel = any("ipykernel" in word for word in process.cmdline())
                sums["kernel" if is_kernel else "server"] += pss(process.pid)
        sums["total"] = sums["server"] + sums["kernel"]
        for part, value in sums.items():
            self.peak[part] = max(self.peak[part], value)
        self._highest_since_lap = max(self._highest_since_lap, sums["total"])
        self.samples += 1
        if sums["total"] > self.limit:
            self.exceeded = sums["total"]
            kill(self.server)
            self._ended.set()

    def lap(self) -> int:
        """Highest sum in bytes since the last lap (one fresh sample at least)."""
        with self._sampling:
            self._sample()
            highest, self._highest_since_lap = self._highest_since_lap, 0
        return highest

    def stop(self) -> bool:
        """End the sampling; returns whether it had gone on all the while."""
        watched = self.is_alive() or self.exceeded is not None
        self._ended.set()
        self.join()
        return watched


def processes_of(server: psutil.Process) -> list[psutil.Process]:
    """The server and everything below it, as far as it still lives."""
    try:
        return [server, *server.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(server: psutil.Process):
    """End the server and everything below it, kernels included."""
    for process in processes_of(server):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


# --- the server, and a kernel of it --------------------------------------------------------------


class Server:
    """A Jupyter server started through binder/start on one CPU, and the calls a browser makes."""

    def __init__(self, repository: Path, env: Path, environ: dict[str, str], cpu: int, log: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{port}"
        command = [repository / "binder" / "start", env / "bin" / "jupyter-lab", "--no-browser"]
        command += ["--ip=127.0.0.1", f"--port={port}", f"--IdentityProvider.token={self.token}"]
        if os.geteuid() == 0:
            command += ["--allow-root"]
        with log.open("w") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=repository,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
            )
        self.process = psutil.Process(self.popen.pid)

    def request(self, method: str, path: str, body: object = None):
        """One call of the server's REST interface; returns the decoded JSON answer."""
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def wait(self, seconds: float = 120.0):
        """Return when the server answers.

        Raises CheckError when it does not within `seconds`, or has ended.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.popen.poll() is not None:
                raise CheckError(f"the server ended with status {self.popen.returncode}")
            try:
                self.request("GET", "status")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        raise CheckError(f"the server did not answer within {seconds:.0f} s")


class Kernel:
    """A kernel of the server, opened for one notebook as JupyterLab opens it."""

    def __init__(self, server: Server, notebook: str):
        session = server.request(
            "POST",
            "sessions",
            {
                "path": notebook,
                "name": Path(notebook).name,
                "type": "notebook",
                "kernel": {"name": "python3"},
            },
        )
        self.session = uuid.uuid4().hex
        self.socket = websocket.create_connection(
            f"{server.url.replace('http', 'ws', 1)}/api/kernels/{session['kernel']['id']}/channels"
            f"?session_id={self.session}",
            header=[f"Authorization: token {server.token}"],
        )

    def execute(self, source: str) -> list[nbformat.NotebookNode]:
        """Run one cell; returns its outputs, the last of which may be an error.

        Raises CheckError when the kernel dies or the cell takes longer than CELL_TIMEOUT.
        """
        message = uuid.uuid4().hex
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
        header = {
            "msg_id": message,
            "msg_type": "execute_request",
            "session": self.session,
            "username": "reader",
            "version": "5.4",
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        envelope = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps({**envelope, "channel": "shell", "buffers": []}))
        outputs, awaited, end = [], {"reply", "idle"}, time.monotonic() + CELL_TIMEOUT
        while awaited:
            self.socket.settimeout(max(end - time.monotonic(), 0.1))
            try:
                answer = self.socket.recv()
            except websocket.WebSocketTimeoutException:
                raise CheckError(f"the cell did not end within {CELL_TIMEOUT:.0f} s") from None
            except (websocket.WebSocketException, OSError) as error:
                raise CheckError(f"the connection to the server broke: {error!r}") from error
            if not isinstance(answer, str):
                continue  # a widget's binary buffers: for a front end, which we are not
            answer = json.loads(answer)
            kind, content = answer["msg_type"], answer["content"]
            if kind == "status" and content["execution_state"] in ("restarting", "dead"):
                raise CheckError("the kernel died")
            if kind == "stream" and "data rate exceeded" in content["text"]:
                raise CheckError("the server withheld output: " + content["text"].strip())
            if answer["parent_header"].get("msg_id") != message:
                continue
            if kind == "execute_reply":
                awaited.discard("reply")
            elif kind == "status" and content["execution_state"] == "idle":
                awaited.discard("idle")
            elif kind in ("stream", "display_data", "execute_result", "error"):
                outputs.append(nbformat.v4.output_from_msg(answer))
        return outputs


# --- the run -------------------------------------------------------------------------------------


def run_notebook(server: Server, meter: Meter, path: str, cells: list[dict]) -> None:
    """Run every code cell of the notebook at `path`; append a row per cell to `cells`.

    Raises CheckError with the traceback at the first cell that fails.
    """
    notebook = nbformat.from_dict(server.request("GET", f"contents/{path}?content=1")["content"])
    began = time.monotonic()
    kernel = Kernel(server, path)
    kernel.execute("")
    print(f"kernel {time.monotonic() - began:8.1f} {meter.lap() / MIB:9.0f}", flush=True)
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        began = time.monotonic()
        cell.outputs = kernel.execute(cell.source)
        row = {
            "cell": index,
            "seconds": round(time.monotonic() - began, 2),
            "peak_pss": meter.lap(),
            "first_line": cell.source.strip().splitlines()[0],
        }
        cells.append(row)
        print(
            f"{index:5d} {row['seconds']:9.1f} {row['peak_pss'] / MIB:9.0f}  "
            f"{row['first_line'][:60]}",
            flush=True,
        )
        for output in cell.outputs:
            if output.output_type == "error":
                raise CheckError(f"cell {index} failed:\n" + plain("\n".join(output.traceback)))
    # A reader's browser saves what was computed; the server holds all of it while it does.
    server.request("PUT", f"contents/{path}", {"type": "notebook", "content": notebook})
    meter.lap()


def plain(text: str) -> str:
    """`text` without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def check(notebook: str, limit: int, worktree: bool, env: Path | None) -> dict:
    """Build, start, run, measure; returns the figures, with `ok` and, if not, `error`."""
    cpu = min(os.sched_getaffinity(0))
    cells: list[dict] = []
    report = {"notebook": notebook, "ok": False, "limit": limit, "cpus": 1}
    with tempfile.TemporaryDirectory(prefix="binder-check-") as folder:
        home = Path(folder)
        repository = home / "repository"
        report["source"] = copy_repository(repository, worktree)
        env = env.resolve() if env else home / "env"
        began = time.monotonic()
        made = env / "made-by"
        if not made.exists():
            made.write_text(build_environment(repository, env))
        report["environment"] = made.read_text()
        print(f"environment: {report['environment']}", flush=True)
        environ = os.environ | {
            "PATH": f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "MPLCONFIGDIR": str(home / "matplotlib"),
        }
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JUPYTER_PATH"):
            environ.pop(name, None)
        after = repository / "binder" / "postBuild"
        subprocess.run([after], cwd=repository, env=environ, check=True)
        report["build_s"] = round(time.monotonic() - began, 1)

        environ["HOME"] = str(home)  # nobody's own Jupyter settings
        log = home / "server.log"
        began = time.monotonic()
        server = Server(repository, env, environ, cpu, log)
        meter = Meter(server.process, limit)
        meter.start()
        try:
            server.wait()
            report["server_start_s"] = round(time.monotonic() - began, 1)
            print(f"\n{'cell':>5} {'seconds':>9} {'peak MiB':>9}  first line", flush=True)
            began = time.monotonic()
            run_notebook(server, meter, notebook, cells)
            report["ok"] = True
        except (CheckError, urllib.error.URLError, ConnectionError) as error:
            report["error"] = str(error)
        finally:
            report["wall_s"] = round(time.monotonic() - began, 1)
            watched = meter.stop()
            kill(server.process)
            server.popen.wait()
            report |= {"peak_pss": meter.peak, "samples": meter.samples, "cells": cells}
            if meter.exceeded:
                report["ok"] = False
                report["error"] = (
                    f"killed: server and kernel reached {meter.exceeded / MIB:.0f} MiB, "
                    f"the limit is {limit / MIB:.0f} MiB"
                )
            elif not watched:
                report["ok"] = False
                report["error"] = "memory was not watched to the end, so nothing is known of it"
            if not report["ok"]:
                last = log.read_text().splitlines()[-15:]
                print("\nlast lines of the server's log:", *last, sep="\n")
    return report


def main() -> int:
    """Command line; the exit status is 0 when the notebook ran within the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebook", default="notebooks/00_quickstart.ipynb")
    parser.add_argument("--worktree", action="store_true", help="include uncommitted files")
    parser.add_argument("--env", type=Path, help="keep the environment here, and reuse it")
    parser.add_argument("--limit-gb", type=float, default=2.0, help="GB of 1024**3 bytes")
    arguments = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("this check reads /proc/PID/smaps_rollup, which only Linux has")
    limit = int(arguments.limit_gb * 1024**3)
    report = check(arguments.notebook, limit, arguments.worktree, arguments.env)

    out = ROOT / "build" / "binder-check.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    peak = {part: value / MIB for part, value in report["peak_pss"].items()}
    print(
        f"\n{'passed' if report['ok'] else 'FAILED'}: {report['notebook']} on one CPU in "
        f"{report['wall_s']:.0f} s\npeak PSS {peak['total']:.0f} MiB of {limit / MIB:.0f} MiB "
        f"(server {peak['server']:.0f}, kernel {peak['kernel']:.0f}; {report['samples']} samples)"
    )
    if "error" in report:
        print(report["error"])
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
