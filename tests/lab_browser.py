"""A driver, no test: a real JupyterLab in a real Chromium, for tests and for whoever wants a screenshot.

    with jupyterlab(Path("notebooks")) as lab, chromium("/usr/bin/chromium") as browser:
        with desk(lab, browser, theme="dark") as page:
            page.open_notebook("00_start_here.ipynb")
            page.run_all()
            page.screenshot("start-dark")

The server works on a copy of the folder, with settings of its own in a temporary folder, so neither the checkout nor
the user's settings are written to. Everything that was started is ended by its process id, also after a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

SCREENSHOTS = Path(__file__).parent / "screenshots"
START_S, READY_S, RUN_S, STOP_S = 60, 90, 180, 15  # on a shared machine with two cores; usually 2, 3, 5 and 1

CHROMIUM_FLAGS = (
    "--no-sandbox",  # as root in a container there is no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",  # this and the next two: it calls nobody by itself
    "--disable-component-update",
    "--disable-sync",
)
SERVER_FLAGS = (
    "--no-browser",
    "--expose-app-in-browser",  # gives the driver window.jupyterapp
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--ServerApp.allow_root=True",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
Theme = Literal["light", "dark"]

# Running all cells before the kernel is idle *and* connected does nothing, and says nothing.
READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget;
  const kernel = panel?.sessionContext?.session?.kernel;
  return panel?.context?.isReady && panel.context.path === PATH && panel.sessionContext.isReady
    && kernel?.status === 'idle' && kernel.connectionStatus === 'connected';
}"""
RUN_ALL = """(limit_ms) => Promise.race([
  window.jupyterapp.commands.execute('notebook:run-all-cells'),
  new Promise((_, reject) => setTimeout(() => reject(new Error('the cells are still running')), limit_ms)),
])"""
RUN_ONE = """async ([number, limit_ms]) => {
  const {commands, shell} = window.jupyterapp, notebook = shell.currentWidget.content;
  notebook.deselectAll();
  notebook.activeCellIndex = number;
  await notebook.scrollToItem(number);
  const ran = commands.execute('notebook:run-cell');
  await Promise.race([ran, new Promise(resolve => setTimeout(resolve, limit_ms))]);
}"""
RESTART = """async () => {
  const context = window.jupyterapp.shell.currentWidget.sessionContext;
  await context.session.kernel.restart();
}"""
ASK = """async (expression) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const request = {code: '', silent: true, store_history: false, user_expressions: {answer: expression}};
  const answer = (await kernel.requestExecute(request).done).content.user_expressions.answer;
  if (answer.status !== 'ok') throw new Error(`${answer.ename}: ${answer.evalue}`);
  return answer.data['text/plain'];
}"""


@dataclass(frozen=True)
class Lab:
    """A JupyterLab that is running, and the copy of the notebooks that it shows."""

    url: str
    token: str
    root: Path
    process: subprocess.Popen[bytes]

    def api(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
        """Ask the server's REST interface; `path` begins with /api."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            text = response.read()
        return json.loads(text) if text else None

    def end_kernels(self) -> None:
        """Shut down every kernel, as closing a notebook with 'Shut Down Kernel' does."""
        for session in self.api("/api/sessions"):
            self.api(f"/api/sessions/{session['id']}", "DELETE")


@contextlib.contextmanager
def jupyterlab(notebooks: Path, *, checkout: Path | None = None) -> Iterator[Lab]:
    """Start JupyterLab on a copy of a folder of notebooks.

    Args:
        notebooks: The folder to copy.
        checkout: Where the data that notebooks refer to lies; its `data` folder is copied beside them.

    Yields:
        The server, which answers.
    """
    folder = Path(tempfile.mkdtemp(prefix="labtests-server-"))
    root = folder / "work" / "notebooks"
    shutil.copytree(notebooks, root, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
    if checkout is not None and (checkout / "data").is_dir():
        shutil.copytree(checkout / "data", folder / "work" / "data")
    port, token, log = free_port(), secrets.token_hex(16), folder / "server.log"
    command = [sys.executable, "-m", "jupyterlab", *SERVER_FLAGS, f"--ServerApp.port={port}"]
    command += [f"--ServerApp.root_dir={root}"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env={**server_environment(folder), "JUPYTER_TOKEN": token},  # arguments can be read by every user
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        lab = Lab(f"http://127.0.0.1:{port}", token, root, process)
        wait_until_it_answers(lab, log)
        yield lab
    finally:
        end_tree(process)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def server_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which Jupyter and IPython keep everything inside one folder."""
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "LABKIT_PROGRESS": "progress.jsonl",  # a student who begins
    }
    environment = {**os.environ, **{name: str(folder / place) for name, place in places.items()}}
    environment.pop("PYTEST_CURRENT_TEST", None)  # ipykernel behaves otherwise when it sees it
    return environment


def wait_until_it_answers(lab: Lab, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            lab.api("/api/status")
            return
        if lab.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then kill what is left of it and its descendants."""
    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()  # psutil compares the start time: it is the same process, not another one with its number
    if process.poll() is None:
        process.kill()
        process.wait()


def write_notebook(path: Path, sources: list[str]) -> None:
    """Write a notebook without outputs; a source that begins with '#' or '<' becomes a cell of text."""
    cells: list[dict[str, Any]] = []
    for number, source in enumerate(sources):
        cell: dict[str, Any] = {"id": f"c{number}", "metadata": {}, "source": source, "cell_type": "markdown"}
        if not source.startswith(("#", "<")):
            cell |= {"cell_type": "code", "outputs": [], "execution_count": None}
        cells.append(cell)
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells})
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Start Chromium without a window, with a home folder of its own.

    While it is open an asyncio loop runs in this thread (Playwright's), so other code cannot start one here.
    """
    with tempfile.TemporaryDirectory(prefix="labtests-home-", ignore_cleanup_errors=True) as home:
        environment: dict[str, str | float | bool] = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=executable, headless=True, args=list(CHROMIUM_FLAGS), env=environment
            )
            try:
                yield browser
            finally:
                browser.close()


@dataclass(frozen=True)
class Desk:
    """What a student sits in front of: one browser page with JupyterLab."""

    lab: Lab
    page: Page
    errors: list[str]  # exceptions of JavaScript that nobody caught, as they happen

    def open_notebook(self, name: str) -> None:
        """Open a notebook in a workspace of its own and wait until its kernel can run cells."""
        workspace = secrets.token_hex(4)
        address = f"{self.lab.url}/lab/workspaces/{workspace}/tree/{name}?token={self.lab.token}"
        self.page.goto(address, wait_until="domcontentloaded")
        self.wait_until_ready(name)

    def wait_until_ready(self, name: str) -> None:
        """Wait until the notebook is the one in front and its kernel is connected and has nothing to do."""
        self.page.wait_for_function(READY.replace("PATH", json.dumps(name)), timeout=READY_S * 1000)

    def run_all(self) -> None:
        """Run every cell, and return when the last one has finished."""
        self.page.evaluate(RUN_ALL, RUN_S * 1000)

    def run_cell(self, number: int, *, limit_s: float = RUN_S) -> None:
        """Run one cell, counted from 0, and return when it has finished, or after `limit_s`."""
        self.page.evaluate(RUN_ONE, [number, limit_s * 1000])

    def type_cell(self, number: int, source: str) -> None:
        """Replace the source of a cell and run it, all by keyboard; returns before it has finished."""
        cell = self.cell(number)
        cell.scroll_into_view_if_needed()
        cell.get_by_role("textbox").first.focus()
        for key in ("Control+a", "Delete"):
            self.page.keyboard.press(key)
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+Enter")

    def cell(self, number: int) -> Locator:
        """Find a cell of the notebook, counted from 0, with what it shows."""
        return self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{number}']")

    def restart_kernel(self, name: str) -> None:
        """Restart the kernel, as the menu does; the notebook stays open, and shows what it showed."""
        self.page.evaluate(RESTART)
        self.wait_until_ready(name)

    def ask_kernel(self, expression: str) -> str:
        """Return the repr of an expression, as the kernel sees it now."""
        answer: str = self.page.evaluate(ASK, expression)
        return answer

    def wait_for_kernel(self, expression: str, expected: str, limit_s: float = 10) -> None:
        """Ask until the kernel gives the expected repr.

        Raises:
            AssertionError: It still gives another one after `limit_s`.
        """
        deadline = time.monotonic() + limit_s
        while (answer := self.ask_kernel(expression)) != expected:
            if time.monotonic() > deadline:
                raise AssertionError(f"{expression} is {answer} in the kernel, not {expected}")
            self.page.wait_for_timeout(50)

    def present(self) -> None:
        """Switch JupyterLab's own Presentation Mode on, without the file list."""
        self.page.evaluate("""async () => {
          await window.jupyterapp.commands.execute('application:toggle-presentation-mode');
          window.jupyterapp.shell.collapseLeft();
        }""")

    def theme(self, theme: Theme) -> None:
        """Switch JupyterLab to its light or dark theme, and wait until it shows."""
        self.page.evaluate("(theme) => jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[theme])
        is_light = json.dumps(theme == "light")
        shown = self.page.locator(f"body[data-jp-theme-light='{is_light}']")
        shown.wait_for(state="attached", timeout=READY_S * 1000)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=READY_S * 1000)  # it covers all

    def to_the_top(self, place: Locator) -> None:
        """Scroll a part of the page to the top of what is seen."""
        place.first.evaluate("place => place.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(100)  # the notebook lays out anew what has come into sight

    def screenshot(self, name: str) -> Path:
        """Keep what the page shows as tests/screenshots/NAME.png (not in git)."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


@contextlib.contextmanager
def desk(lab: Lab, browser: Browser, *, width: int = 1280, height: int = 800, theme: Theme = "light") -> Iterator[Desk]:
    """Open a page with a profile and a viewport of its own; its kernels end with it."""
    settings = {
        "apputils-extension:themes": {"theme": THEMES[theme]},
        "apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    }
    for name, value in settings.items():
        lab.api(f"/lab/api/settings/@jupyterlab/{name}", "PUT", {"raw": json.dumps(value)})
    context = browser.new_context(viewport={"width": width, "height": height})
    try:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield Desk(lab, page, errors)
    finally:
        context.close()
        lab.end_kernels()
