"""JupyterLab or Notebook 7 from this environment, in a folder of its own and with settings of its own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PAGES = {"lab": "lab/tree", "notebook": "notebooks"}  # the command that starts a front end, and where it shows a file
PLACES = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
OURS = ("COURSE_WORK", "COURSE_PROGRESS", "COURSE_PROFILE")  # unset: what a reader does is kept beside the notebook


class Lab:
    """A running server: `url`, and the `root` folder that it serves."""

    def __init__(self, front: str, folder: Path):
        self.front, self.root, self.settings = front, folder / "root", folder / "settings"
        self.root.mkdir()
        news = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        self._setting("apputils-extension/notification", news)
        self.theme("Light")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = {
            "ServerApp.root_dir": self.root,
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.disable_check_xsrf": True,
            "IdentityProvider.token": "",
        }
        env = {name: value for name, value in os.environ.items() if name not in OURS}
        env |= {name: str(folder / name.lower()) for name in PLACES}
        env |= {"JUPYTERLAB_SETTINGS_DIR": str(self.settings), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", front, "--no-browser", "--allow-root"]
            + [f"--{name}={value}" for name, value in options.items()],
            cwd=self.root, env=env, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._wait()

    def theme(self, name: str) -> None:
        """The colours that a page has from its next load on: Light or Dark."""
        self._setting("apputils-extension/themes", {"theme": f"JupyterLab {name}"})

    def page(self, path: Path) -> str:
        """The address at which a file below `root` is shown."""
        return f"{self.url}/{PAGES[self.front]}/{path.relative_to(self.root)}"

    def stop_kernels(self) -> None:
        """So that the next test has the machine to itself."""
        for kernel in json.load(self._ask("api/kernels")):
            self._ask(f"api/kernels/{kernel['id']}", "DELETE")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def _ask(self, what: str, method: str = "GET"):
        return urllib.request.urlopen(urllib.request.Request(f"{self.url}/{what}", method=method), timeout=20)

    def _setting(self, plugin: str, values: dict) -> None:
        path = self.settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def _wait(self) -> None:
        for _ in range(300):
            try:
                self._ask("api/status").close()
                return
            except OSError:
                assert self.process.poll() is None, Path(self.log.name).read_text()[-2000:]
                time.sleep(0.2)
        raise AssertionError(f"jupyter {self.front} did not answer within 60 s")
