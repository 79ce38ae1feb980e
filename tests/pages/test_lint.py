"""Controls: for each rule a page that keeps it, and pages that break it and must be flagged."""

import inspect
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib.authoring import lint
from course_lib.learn import checks

HEAD = "# 104 · LoRA\n**You will** train. **Needs** 101. **Time** 5 min."
SECTIONS = "## Why\n\n## Measured\n\n## Claim and measurement\n\n## Check yourself\n\n## Your turn\n\n## Recap · Next"


def page(*cells, source="notebooks/beginner/104_lora.py"):
    """A notebook; a string is a markdown cell."""
    cells = [new_markdown_cell(c) if isinstance(c, str) else c for c in cells]
    return new_notebook(cells=cells, metadata={"course": {"source": source}})


def code(source="1", *outputs, tags=(), count=1):
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)}, execution_count=count)


def one(faults, *words):
    """Exactly one fault, naming the file and each of `words`."""
    assert len(faults) == 1, faults
    assert all(word in faults[0] for word in ("104_lora.py", *words)), faults


def test_skeleton_of_a_good_lesson():
    assert lint.skeleton(page(HEAD, code(), SECTIONS)) == []


def test_skeleton_ignores_headings_in_code_blocks():
    assert lint.skeleton(page(HEAD, "```\n## Recap\n```", SECTIONS)) == []


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([HEAD.replace("104", "105"), SECTIONS], ["cell 1", "# 104 · Title"]),
        ([code(), HEAD, SECTIONS], ["cell 1", "# 104 · Title"]),
        ([HEAD.replace("You will", "We"), SECTIONS], ["cell 1", "You will"]),
        ([HEAD.replace("Needs", ""), SECTIONS], ["cell 1", "Needs"]),
        ([HEAD.replace("Time", ""), SECTIONS], ["cell 1", "Time"]),
        ([HEAD, SECTIONS.replace("## Check yourself", "")], ["Check yourself", "missing"]),
        ([HEAD, SECTIONS, "## Recap"], ["Recap", "twice"]),
        ([HEAD, "## Before", SECTIONS], ["cell 2", "Why"]),
        ([HEAD, "## Why\n## Check yourself\n## Claim and measurement\n## Your turn\n## Recap"], ["order"]),
    ],
)
def test_skeleton_is_flagged(cells, words):
    one(lint.skeleton(page(*cells)), *words)


def test_skeleton_of_lesson_100_has_no_claim_and_no_exercise():
    start = page(HEAD.replace("104", "100"), "## Why\n\n## Recap", source="notebooks/beginner/100_start.py")
    assert lint.skeleton(start) == []


def test_skeleton_of_a_solution_is_its_title():
    assert lint.skeleton(page("# 104 · LoRA", source="solutions/beginner/104_lora.py")) == []
    one(lint.skeleton(page("# LoRA", source="solutions/beginner/104_lora.py")), "cell 1")


OPEN, QUIZ, CLOSE = (code(f'course.{name}("104")') for name in ("lesson", "quiz", "finish"))
INSTALL = code("install()", tags=["colab"])


def test_frame():
    assert lint.frame(page(HEAD, INSTALL, OPEN, "## Why", code(), "## Check yourself", QUIZ, "## Recap", CLOSE)) == []
    assert lint.frame(page(HEAD, OPEN, "## Why", CLOSE)) == []
    assert lint.frame(page(HEAD, code(), source="solutions/beginner/104_lora.py")) == []


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([HEAD, code(), OPEN, CLOSE], ["cell 2", "first", "course.lesson"]),
        ([HEAD, OPEN, CLOSE, code()], ["cell 4", "last", "course.finish"]),
        ([HEAD, OPEN, code('course.finish("105")')], ["cell 3", "course.finish"]),
        ([HEAD, OPEN, "## Check yourself", CLOSE], ["cell 3", "course.quiz"]),
        ([HEAD, OPEN, QUIZ, "## Check yourself", code(), CLOSE], ["cell 4", "course.quiz"]),
    ],
)
def test_frame_is_flagged(cells, words):
    one(lint.frame(page(*cells)), *words)


def test_twins():
    both = new_output("display_data", {"text/html": "<p>still</p>", "text/plain": "still"})
    assert lint.twins(page(code("course.Timer()", both), code("Timer = 1"))) == []
    plain = new_output("display_data", {"text/plain": "still"})
    one(lint.twins(page("prose", code("import x\ncourse.Timer()", plain))), "cell 2", "Timer", "text/html")
    assert len(lint.twins(page(code('course.quiz("104")')))) == 2


def test_cell_size():
    fifteen = "\n\n".join(["x = 1"] * 15)
    assert lint.cell_size(page(code(fifteen), code(), code(), "prose", code())) == []
    one(lint.cell_size(page("prose", code(fifteen + "\ny = 2"))), "cell 2", "16 lines")
    one(lint.cell_size(page("prose", code(), code(), code(), code())), "cell 2", "4 code cells")


def test_cell_size_of_a_shown_cell():
    tags = ["shown:course_lib.errors"]
    assert lint.cell_size(page(code("x = 1\n" * 45, tags=tags))) == []
    one(lint.cell_size(page(code("x = 1\n" * 46, tags=tags))), "46 lines")
    one(lint.cell_size(page(code("x = 1\n" * 16, tags=["long"]))), "16 lines")


ANSWER = "# %%\ndef f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"


def test_markers():
    assert lint.markers(ANSWER, "solutions/beginner/104_lora.py") == []
    assert lint.markers("# %%\nx = 1  # the beginning\n# Begin here.\n", "notebooks/beginner/104_lora.py") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", ["no answer"]),
        (ANSWER + "### BEGIN SOLUTION\n", ["not ended"]),
        (ANSWER + "### END SOLUTION\n", ["line 6", "without a beginning"]),
        (ANSWER.replace("    ### END", "### END"), ["line 5", "indented"]),
        (ANSWER.replace("    return 1", "    ### BEGIN SOLUTION"), ["line 4", "inside"]),
        (ANSWER + "### BEGIN HIDDEN TESTS\n", ["line 6", "no marker"]),
        (ANSWER + "# BEGIN SOLUTION\n", ["line 6", "no marker"]),
        (ANSWER + "### end solution\n", ["line 6", "no marker"]),
        (ANSWER + "# %% [markdown]\n# ### BEGIN SOLUTION\n", ["line 7", "no marker"]),
        (ANSWER + "### BEGIN SOLUTION\n# %%\n", ["line 7", "a cell begins"]),
    ],
)
def test_markers_are_flagged(text, words):
    one(lint.markers(text, "solutions/beginner/104_lora.py"), *words)


def test_markers_in_a_lesson_are_flagged():
    one(lint.markers(ANSWER, "notebooks/beginner/104_lora.py"), "solutions/")


SHOWN = "shown:course_lib.learn.checks"


def test_shown_code_equals_the_library():
    source = inspect.getsource(checks.NotYet) + "\n# a comment and blank lines do not count\n\nx = 1\n"
    assert lint.shown(page(code(source, tags=[SHOWN]), code("def other(): ..."))) == []


@pytest.mark.parametrize(
    ("source", "tag", "word"),
    [
        (inspect.getsource(checks.NotYet).replace("wrong", "bad"), SHOWN, "NotYet differs"),
        ("class Nowhere: ...", SHOWN, "Nowhere is not defined"),
        ("x = 1", SHOWN, "no function or class"),
        ("def f(): ...", "shown:course_lib.no_such_module", "no module"),
        ("def f(): ...", "shown:no_such_package.module", "no module"),
    ],
)
def test_shown_code_is_flagged(source, tag, word):
    one(lint.shown(page("prose", code(source, tags=[tag]))), "cell 2", word)


PLOT = new_output("display_data", {"image/png": "aGk=", "text/plain": "<Figure size 640x480>"})
WORDS = new_output("stream", name="stdout", text="Figure: the loss falls from 3 to 1.\n")


def test_images():
    assert lint.images(page("![a loss curve](loss.svg)", code("plot()", PLOT), "The loss falls.")) == []
    assert lint.images(page(code("plot()", PLOT, WORDS), code())) == []
    assert lint.images(page('<img src="a.svg" alt="a loss curve">', "`![](a.svg)`")) == []


@pytest.mark.parametrize("text", ["![](a.svg)", "![ ](a.svg)", '<img src="a.svg">', '<img alt="" src="a.svg">'])
def test_image_without_alt_text_is_flagged(text):
    one(lint.images(page("prose", text)), "cell 2", "alt text")


def test_figure_without_words_is_flagged():
    one(lint.images(page("prose", code("plot()", PLOT), code())), "cell 2", "figure")
    one(lint.images(page(code("plot()", PLOT))), "cell 1", "figure")


def test_outputs():
    assert lint.outputs(page("prose", code("1", WORDS, PLOT))) == []


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (code(count=None), ["cell 1", "not run"]),
        (code("1", new_output("error", ename="KeyError", evalue="x", traceback=[])), ["cell 1", "KeyError"]),
        (code("1", new_output("stream", text="x" * 200_001)), ["cell 1", "200 kB"]),
        (code("1", new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}})), ["a widget"]),
    ],
)
def test_outputs_are_flagged(cell, words):
    one(lint.outputs(page(cell)), *words)


def test_widget_state_is_flagged():
    nb = page(code())
    nb.metadata["widgets"] = nbformat.from_dict({"application/vnd.jupyter.widget-state+json": {}})
    one(lint.outputs(nb), "widget state")


@pytest.fixture
def project(tmp_path) -> Path:
    (tmp_path / "notebooks/beginner").mkdir(parents=True)
    (tmp_path / "notebooks/beginner/105 next.ipynb").touch()
    return tmp_path


def links(project: Path, text: str) -> list[str]:
    return lint.links(page("prose", text), project / "notebooks/beginner/104_lora.ipynb", project)


@pytest.mark.parametrize(
    "text",
    [
        "[next](105%20next.ipynb#why)",
        '<a href="../beginner">here</a>',
        "[web](https://example.org/x) [here](#why) [mail](mailto:a@example.org)",
        "`[not](a-link.md)`\n```\n[nor](this.md)\n```",
    ],
)
def test_links(project, text):
    assert links(project, text) == []


@pytest.mark.parametrize(
    "text", ["[x](106_gone.ipynb)", "![a plot](gone.svg)", '<a href="gone.md">x</a>', "[x](/tmp)", "[x](../../..)"]
)
def test_dead_links_are_flagged(project, text):
    one(links(project, text), "cell 2", "no file")
