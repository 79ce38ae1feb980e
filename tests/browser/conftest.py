"""JupyterLab from this environment in a folder of its own, and Debian's Chromium through Playwright."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
SETTINGS = "lab/user-settings/@jupyterlab"


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium. Without one the tests are skipped on a desk and fail in CI."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "playwright is not installed: pip install playwright"
    else:
        missing = None if CHROMIUM else "no chromium is installed: apt-get install chromium"
    if missing and os.environ.get("CI"):
        pytest.fail(f"The browser tests cannot run in CI: {missing}")
    if missing:
        pytest.skip(f"THE BROWSER TESTS DID NOT RUN: {missing}")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield chromium
        chromium.close()


class Lab:
    """A running JupyterLab: `url`, its root folder, and the folder that the course keeps a reader's work in."""

    def __init__(self, folder: Path):
        self.root, self.work, self.config = folder / "root", folder / "work", folder / "config"
        self.root.mkdir()
        self.theme("Light")
        news = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        self._setting("apputils-extension/notification", news)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = {
            "ServerApp.root_dir": self.root,
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "IdentityProvider.token": "",
            "LabApp.user_settings_dir": self.config / "lab/user-settings",
            "LabApp.workspaces_dir": self.config / "lab/workspaces",
        }
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
        places = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        env = os.environ | {name: str(folder / name.lower()) for name in places} | {"COURSE_WORK": str(self.work)}
        self.log = (folder / "lab.log").open("w")
        self.process = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in options.items())],
            cwd=self.root, env=env, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._wait()

    def theme(self, name: str) -> None:
        """The colours that a page has from its next load on: Light or Dark."""
        self._setting("apputils-extension/themes", {"theme": f"JupyterLab {name}"})

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def _setting(self, plugin: str, values: dict) -> None:
        path = self.config / SETTINGS / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def _wait(self) -> None:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{self.url}/api/status", timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, Path(self.log.name).read_text()[-2000:]
                time.sleep(0.2)
        raise AssertionError("JupyterLab did not answer within 30 s")


@pytest.fixture
def lab(tmp_path):
    server = Lab(tmp_path)
    yield server
    server.stop()
