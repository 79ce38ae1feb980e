"""The selector as a reader meets it: JupyterLab in Chromium, by keyboard alone; answers outlive a reload and a kernel."""

import json
import os
from pathlib import Path

import nbformat
import pytest

from course_lib import Plan, Situation, recommend

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOCUS = """() => { const e = document.activeElement; if (!e) return "";
  const words = e.labels?.length ? e.labels[0].innerText : e.innerText || e.getAttribute("aria-label") || e.title || "";
  return (e.closest(".jp-OutputArea-output") ? "" : "outside: ") + words.trim().slice(0, 80); }"""
NAMELESS = """() => [...document.querySelectorAll(".jp-OutputArea-output :is(button, input, select, textarea)")]
  .filter(e => !(e.labels?.length && e.labels[0].innerText.trim()) && !e.innerText?.trim()).map(e => e.outerHTML)"""
# Contrast of each text with what is behind it, by the formula of WCAG 2: the texts below 4.5 : 1.
FAINT = """() => { const luminance = c => { const v = c.map(x => { x /= 255; return x <= .03928 ? x / 12.92
    : ((x + .055) / 1.055) ** 2.4; }); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > .5) return c.slice(0, 3); } return [255, 255, 255]; };
  return [...document.querySelectorAll(".course-widget *")].filter(e => e.offsetParent && !e.disabled &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
      const a = luminance(parse(getComputedStyle(e).color).slice(0, 3)), b = luminance(behind(e));
      return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.innerText.slice(0, 40)]; }).filter(x => x[0] < 4.5); }"""


class Reader:
    """Someone at the keyboard in front of one notebook."""

    def __init__(self, page, lab):
        self.page, self.lab, self.keys = page, lab, page.keyboard

    def open(self) -> None:
        self.page.goto(f"{self.lab.url}/lab/tree/x.ipynb?reset")
        self.page.wait_for_selector(".jp-Cell.jp-mod-active", state="visible", timeout=30_000)
        self.page.get_by_text("(ipykernel) | Idle").wait_for(timeout=30_000)
        self.page.wait_for_function("() => document.activeElement.matches('.jp-Cell')", timeout=10_000)

    def run(self) -> None:
        self.keys.press("Control+Enter")
        self.page.wait_for_selector(".cs-card", timeout=20_000)

    def restart_kernel(self) -> None:
        self.keys.type("00")
        self.page.get_by_text("Restart Kernel?").wait_for()
        self.page.evaluate("() => document.querySelectorAll('.cs-card').forEach(e => e.classList.remove('cs-card'))")
        self.keys.press("Enter")
        self.page.get_by_text("Restart Kernel?").wait_for(state="detached")
        self.page.get_by_text("(ipykernel) | Idle").wait_for(timeout=30_000)
        self.page.wait_for_function("() => document.activeElement.matches('.jp-Cell')", timeout=10_000)

    def focus(self) -> str:
        return self.page.evaluate(FOCUS)

    def tab_to(self, words: str, back: bool = False) -> None:
        """Press Tab until the control that is so called has the focus."""
        seen = [self.focus()]
        while not seen[-1].removeprefix("✓ ").startswith(words):
            assert len(seen) < 60, f"{words!r} was not reached by keyboard; passed: {seen}"
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

    def sees(self, words: str) -> None:
        self.page.locator(".course-widget").get_by_text(words).first.wait_for(state="visible", timeout=10_000)

    def holds(self, words: str) -> None:
        """Wait until a control with that label has the focus, as after Next."""
        self.page.wait_for_function(f"w => ({FOCUS})().replace('✓ ', '').startsWith(w)", arg=words, timeout=5_000)

    def picture(self, name: str) -> None:
        if os.environ.get("COURSE_PICTURES"):
            DOCS.mkdir(exist_ok=True)
            self.page.locator(".course-widget").screenshot(path=DOCS / name)


@pytest.fixture
def reader(browser, lab):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("from course_lib import Selector\n\nselector = Selector()\nselector")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, lab.root / "x.ipynb")
    context = browser.new_context(viewport={"width": 1320, "height": 2000})
    yield Reader(context.new_page(), lab)
    context.close()


def test_the_checks_of_names_and_contrast_find_what_is_wrong(browser):
    page = browser.new_page()
    page.set_content("""<div class="jp-OutputArea-output course-widget" style="background: white; color: black">
      <button></button><input><label for=a>named</label><input id=a><button>named</button><p style="color: #888">faint</p></div>""")
    assert len(page.evaluate(NAMELESS)) == 2
    assert [words for _, words in page.evaluate(FAINT)] == ["faint"]
    page.close()


def answer_the_five_questions(reader) -> None:
    reader.press("T4", "Space")
    reader.sees("14.75 GiB of GPU memory")
    reader.press("Next")
    reader.holds("very good will do")
    reader.press("every last drop")
    reader.sees("performance: every last drop")
    reader.press("very good will do", back=True)
    reader.press("Next")
    reader.holds("Number of tasks")
    reader.fill("Number of tasks", "-3")
    reader.sees("n_tasks = -3: it must be greater than or equal to 1")
    reader.fill("Number of tasks", "3", back=True)
    reader.sees("3 tasks")
    reader.press("Next")
    reader.holds("Speed of the deployed model is critical")
    reader.keys.press("Space")
    reader.sees("critical: yes")
    reader.press("Next")
    reader.holds("Training examples per task")
    reader.fill("Training examples", "2k")
    reader.press("See the answer")
    reader.sees("Your answer:")


def test_by_keyboard_five_questions_a_scenario_a_plan_then_a_reload_and_a_new_kernel(reader, lab):
    reader.open()
    reader.run()
    answer_the_five_questions(reader)
    mine = Situation(gpu_gib=14.75, n_tasks=3, latency_critical=True, n_examples=2000)
    kept = json.loads((lab.work / "selector.json").read_text())
    assert (Situation(**kept["situation"]), kept["gpu"], kept["question"]) == (mine, "T4", 5)
    assert reader.page.evaluate(NAMELESS) == []
    assert reader.page.evaluate(FAINT) == []
    reader.picture("selector-light.png")

    reader.press("Save as my plan")
    reader.sees("Saved to")
    assert Plan.from_yaml(lab.work / "my_plan.yaml") == recommend(mine).plan.but(precision="fp16")

    reader.press("Scenarios", back=True)
    reader.press("Domain-Specific LLM")
    reader.sees("Deep domain adaptation benefits from updating all parameters.")
    reader.press("Guides", back=True)
    reader.sees("What the memory model says:")
    reader.press("More about your situation", back=True)
    reader.press("classification")
    reader.sees("kind of task: classification")
    assert reader.page.evaluate(NAMELESS) == []
    reader.press("Save as my plan")
    reader.sees("Saved to")
    reader.keys.press("Control+s")
    reader.page.wait_for_function("() => !document.querySelector('.lm-TabBar-tab.jp-mod-dirty')")

    lab.theme("Dark")
    reader.open()
    reader.sees("kind of task: classification")
    reader.restart_kernel()
    reader.run()
    reader.sees("kind of task: classification")
    reader.sees("far from them (medicine, law)")
    assert reader.page.evaluate("() => document.body.dataset.jpThemeLight") == "false"
    assert reader.page.evaluate(FAINT) == []

    reader.press("Decision tree")
    reader.press("Start again")
    reader.holds("no GPU")
    answer_the_five_questions(reader)
    assert reader.page.evaluate(FAINT) == []
    reader.picture("selector-dark.png")
    assert reader.page.locator(".jp-Cell").count() == 1
    assert reader.page.locator(".jp-OutputArea-output[data-mime-type*=error]").count() == 0
