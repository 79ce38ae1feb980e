"""Someone at the keyboard in front of a notebook, in JupyterLab or in Notebook 7."""

import json
import os
from pathlib import Path

import nbformat

DOCS = Path(__file__).resolve().parents[2] / "docs"
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
WAIT = 30_000  # ms; long, for a busy machine: what is asserted does not depend on it
FOCUS = """() => { const e = document.activeElement; if (!e) return "";
  const words = e.labels?.length ? e.labels[0].innerText : e.innerText || e.getAttribute("aria-label") || e.title || "";
  return (e.closest(".jp-OutputArea-output") ? "" : "outside: ") + words.trim().slice(0, 80); }"""
IDLE = """() => document.querySelector(".jp-Notebook-ExecutionIndicator")?.dataset.status === "idle" &&
  document.querySelector(".jp-KernelName")?.innerText.includes("ipykernel")"""
# Whether these cells show the number of a run.
RAN = """cells => cells.every(n => /\\[\\d+\\]/.test(
  document.querySelectorAll(".jp-CodeCell")[n]?.querySelector(".jp-InputPrompt")?.textContent))"""


class Reader:
    """Types, presses and sees; `folder` holds the notebook x.ipynb, and what the course keeps of its work."""

    def __init__(self, page, lab, folder: Path):
        self.page, self.lab, self.folder, self.keys = page, lab, folder, page.keyboard
        self.notebook = folder / "x.ipynb"
        self.alien = []  # what hostile text set off: dialogs, and requests to elsewhere
        page.on("dialog", self._answer)
        page.on("request", lambda request: self._watch(request.url))

    def _answer(self, dialog) -> None:
        if dialog.type != "beforeunload":  # the notebook's own question whether to leave it unsaved
            self.alien.append(f"dialog: {dialog.message}")
        dialog.accept()

    def _watch(self, url: str) -> None:
        if not url.startswith((self.lab.url, "data:", "blob:")):
            self.alien.append(url)

    def write(self, *cells: str) -> None:
        """A notebook of code cells."""
        notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)), metadata=KERNEL)
        nbformat.write(notebook, self.notebook)

    def open(self, theme: str = "Light") -> None:
        """Load the page, or load it again, and wait until a cell can be run."""
        self.load(theme)
        self.wait_idle()

    def load(self, theme: str = "Light") -> None:
        """Load the page, whatever the kernel does."""
        self.lab.theme(theme)
        self.page.goto(f"{self.lab.page(self.notebook)}?reset")
        self.page.wait_for_selector(".jp-Cell.jp-mod-active", state="visible", timeout=WAIT)
        count = len(nbformat.read(self.notebook, 4).cells)
        self.page.wait_for_function(
            "count => document.querySelectorAll('.jp-Cell').length === count", arg=count, timeout=WAIT
        )
        assert self.page.evaluate("() => document.body.dataset.jpThemeLight") == str(theme == "Light").lower()

    def wait_idle(self) -> None:
        self.page.wait_for_function(IDLE, timeout=2 * WAIT)

    def choose(self, cell: int) -> None:
        """Put the focus on a code cell, in command mode."""
        chosen = self.page.locator(".jp-CodeCell").nth(cell)
        chosen.locator(".jp-InputPrompt").click()
        chosen.focus()  # the click leaves it in this cell's output, if it is there
        self.page.wait_for_function("() => document.activeElement.matches('.jp-Cell')", timeout=WAIT)

    def start(self, cell: int = 0) -> None:
        """Run a cell, and do not wait for its end."""
        self.choose(cell)
        self.keys.press("Control+Enter")

    def run(self, cell: int = 0) -> None:
        """Run a cell to its end."""
        self._forget([cell])
        self.start(cell)
        self.ran(cell)

    def run_all(self) -> None:
        """Run every cell to its end."""
        cells = list(range(self.page.locator(".jp-CodeCell").count()))
        self._forget(cells)
        self.choose(0)
        self.keys.press("Control+A")
        self.keys.press("Control+Enter")
        self.ran(*cells)
        self.choose(0)

    def ran(self, *cells: int) -> None:
        """Wait for the end of cells that were started."""
        self.page.wait_for_function(RAN, arg=cells, timeout=4 * WAIT)
        self.wait_idle()

    def _forget(self, cells: list[int]) -> None:
        """Take the numbers of an earlier run off the cells, so that those of the next can be waited for."""
        forget = """cells => cells.forEach(n => { const prompt =
          document.querySelectorAll(".jp-CodeCell")[n].querySelector(".jp-InputPrompt");
          if (prompt?.firstChild) prompt.firstChild.data = "[ ]:"; })"""
        self.page.evaluate(forget, cells)

    def save(self) -> None:
        self.keys.press("Control+s")
        self.page.wait_for_timeout(200)
        stored = "() => !document.querySelector('.lm-TabBar-tab.jp-mod-dirty, .jp-NotebookCheckpoint.jp-mod-dirty')"
        self.page.wait_for_function(stored, timeout=WAIT)

    def restart_kernel(self) -> None:
        self.choose(0)
        self.keys.type("00")
        dialog = self.page.get_by_text("Restart Kernel?")
        dialog.wait_for(timeout=WAIT)
        with self.page.expect_response(lambda response: response.url.split("?")[0].endswith("/restart"), timeout=WAIT):
            self.keys.press("Enter")
        dialog.wait_for(state="detached", timeout=WAIT)
        self.wait_idle()

    def focus(self) -> str:
        return self.page.evaluate(FOCUS)

    def tab_to(self, words: str, back: bool = False) -> None:
        """Press Tab until the control that is so called has the focus."""
        seen = [self.focus()]
        while not seen[-1].removeprefix("✓ ").startswith(words):
            assert len(seen) < 120, f"{words!r} was not reached by keyboard; passed: {seen}"
            self.keys.press("Shift+Tab" if back else "Tab")
            seen.append(self.focus())

    def press(self, words: str, key: str = "Enter", back: bool = False) -> None:
        self.tab_to(words, back)
        self.keys.press(key)

    def fill(self, words: str, text: str, back: bool = False) -> None:
        self.tab_to(words, back)
        self.keys.press("Control+A")
        self.keys.type(text)
        self.keys.press("Tab")

    @staticmethod
    def output(cell: int) -> str:
        """A selector of what a cell shows."""
        return f".jp-Cell[data-windowed-list-index='{cell}'] .jp-OutputArea-output"

    def sees(self, words: str, within: str = ".jp-OutputArea-output") -> None:
        self.page.locator(within).get_by_text(words).first.wait_for(state="visible", timeout=WAIT)

    def holds(self, words: str) -> None:
        """Wait until a control with that label has the focus, as after Next."""
        self.page.wait_for_function(f"w => ({FOCUS})().replace('✓ ', '').startsWith(w)", arg=words, timeout=WAIT)

    def errors(self) -> list[str]:
        """The tracebacks and warnings that cells show."""
        kinds = (f".jp-RenderedText[data-mime-type='application/vnd.jupyter.{kind}']" for kind in ("stderr", "error"))
        return self.page.locator(", ".join(kinds)).all_inner_texts()

    def events(self) -> list[dict]:
        """What was recorded beside the notebook, in any order."""
        files = (self.folder / "my_work/progress").glob("*.jsonl")
        return [json.loads(line) for path in files for line in path.read_text().splitlines()]

    def picture(self, name: str, within: str = "", widget: str = ".course-widget") -> None:
        """Take a picture for the documentation, once what moves has come to rest."""
        if os.environ.get("COURSE_PICTURES"):
            self.page.wait_for_timeout(1_500)
            self.page.locator(f"{within} {widget}").first.screenshot(path=DOCS / name)
