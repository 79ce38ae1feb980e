"""A headless Chromium (Debian's, through Playwright), one server for each front end, and a reader in a folder of their own."""

import os
import shutil

import pytest
from faults import MARK_LISTENERS
from lab import Lab
from reader import Reader

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"


@pytest.fixture(scope="session")
def browser():
    """Without a browser the tests are skipped on a desk and fail in CI."""
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


def served(front: str):
    @pytest.fixture(scope="session", name=f"{front}_server")
    def server(tmp_path_factory):
        lab = Lab(front, tmp_path_factory.mktemp(front))
        yield lab
        lab.stop()

    return server


lab_server, notebook_server = served("lab"), served("notebook")


@pytest.fixture
def reader(request, browser):
    """Someone in front of JupyterLab, or of the front end that an indirect parameter names."""
    front = getattr(request, "param", "lab")
    lab = request.getfixturevalue(f"{front}_server")
    folder = lab.root / request.node.originalname
    folder.mkdir()
    context = browser.new_context(viewport={"width": 1320, "height": 2000})
    context.add_init_script(MARK_LISTENERS)
    someone = Reader(context.new_page(), lab, folder)
    yield someone
    context.close()
    lab.stop_kernels()
    assert someone.alien == []
