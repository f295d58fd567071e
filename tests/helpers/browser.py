"""A real JupyterLab in a real, headless browser, for tests that look at what people see."""

import base64
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL, for nglview, on a graphics card made of software. The page itself must not be put
    # together by it: that takes several times as long as all that a widget does for an update.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",
    "--disable-accelerated-2d-canvas",
]


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome on this machine; the environment variable CHROMIUM decides."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextmanager
def chromium():
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), headless=True, args=FLAGS
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def jupyterlab(folder):
    """A JupyterLab serving ``folder`` to this machine alone; yields (address, token)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    private = {
        name: str(folder / f".{name.lower()}")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    # Otherwise it asks, over the corner of every screenshot, whether to fetch news.
    settings = folder / ".jupyter_config_dir/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1",
        f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    log = folder / "jupyterlab.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=os.environ | private, stdout=output, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}") from None
                time.sleep(0.3)
        yield address, token
    finally:
        server.terminate()  # it shuts its kernels down
        server.wait(30)


@contextmanager
def javascript(browser, source):
    """Evaluates JavaScript with the ES module ``source`` as `m` and one argument as `given`."""
    page = browser.new_page()
    data = base64.b64encode(source.encode()).decode()
    page.evaluate(
        "async (data) => { window.m = await import(`data:text/javascript;base64,${data}`); }", data
    )
    yield lambda code, given=None: page.evaluate(f"(given) => {{ {code} }}", given)
    page.close()


class Notebook:
    """A notebook open in JupyterLab in a browser page.

    Attributes:
        page: the playwright page.
        errors: what the page complained about: console errors and uncaught exceptions.
        outside: requests to any other machine.
    """

    def __init__(self, browser, folder, address, token, cells):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, folder / "demo.ipynb")
        self.errors, self.outside = [], []
        self.page = browser.new_page(viewport={"width": 1280, "height": 1500})
        self.page.set_default_timeout(120_000)  # a busy machine is slow, not broken
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._on_request(request.url, address))
        self.page.goto(f"{address}/lab/tree/demo.ipynb?token={token}&reset")
        self.page.wait_for_function("!!window.jupyterapp?.shell.currentWidget?.sessionContext")
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.ready")
        self.command("application:set-mode", {"mode": "single-document"})
        for side in ("left", "right"):
            if self.page.evaluate(f"() => !window.jupyterapp.shell.{side}Collapsed"):
                self.command(f"application:toggle-{side}-area")

    def run(self):
        """Run all cells and wait until the kernel has done them; raises on an error in one."""
        self.command("notebook:run-all-cells")
        errors = self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets
                .flatMap((cell) => cell.model.sharedModel.getOutputs?.() ?? [])
                .filter((output) => output.output_type === "error")
                .map(({ ename, evalue }) => `${ename}: ${evalue}`)"""
        )
        assert errors == [], f"a cell failed: {errors[0]}"

    def command(self, name, arguments=None):
        """Execute a command of JupyterLab and wait for it."""
        self.page.evaluate(
            "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args); }",
            [name, arguments or {}],
        )

    def python(self, code) -> str:
        """Execute ``code`` in the notebook's kernel; what it printed."""
        text, error = self.page.evaluate(
            """async (code) => {
                const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
                const future = kernel.requestExecute({ code, store_history: false });
                let text = "", error = null;
                future.onIOPub = ({ header, content }) => {
                    if (header.msg_type === "stream") text += content.text;
                    if (header.msg_type === "error") error = content.traceback.join("\\n");
                };
                await future.done;
                return [text, error];
            }""",
            code,
        )
        assert error is None, error
        return text.strip()

    def wait_until(self, code, value, timeout=20):
        """Wait until ``print(code)`` in the kernel says ``value``."""
        deadline = time.monotonic() + timeout
        while (seen := self.python(f"print({code})")) != str(value):
            assert time.monotonic() < deadline, f"{code} is {seen}, not {value}"
            time.sleep(0.2)

    def _on_console(self, message):
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def _on_request(self, url, address):
        if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:")):
            self.outside.append(url)


def colours(png: bytes) -> int:
    """How many colours a screenshot has that cover at least five pixels each."""
    pixels = np.array(Image.open(BytesIO(png)).convert("RGB")).reshape(-1, 3)
    return int((np.unique(pixels, axis=0, return_counts=True)[1] >= 5).sum())


def keep(name: str, png: bytes) -> bytes:
    """Write a screenshot to the folder named by BPTTVIZ_SCREENSHOTS, if there is one."""
    if folder := os.environ.get("BPTTVIZ_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(png)
    return png
