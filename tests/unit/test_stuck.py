"""What is said of errors: raised by the libraries themselves where that is cheap, else their classes with their own texts."""

import os
import socket
import sys
from datetime import UTC, datetime

import huggingface_hub
import mistune
import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import hf_raise_for_status

from course_lib import CourseError, Stuck
from course_lib.learn import known_errors, stuck, timer
from course_lib.learn.known_errors import explain, explain_text
from course_lib.learn.timer import Moment

GATED_SAID = "You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/meta-llama/Llama-3.2-1B."
CUDA_SAID = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.75 GiB of which 1.06 GiB is free."
)
BNB_SAID = (
    "None of the available devices `available_devices = None` are supported by the bitsandbytes version you have installed: "
    "`bnb_supported_devices = {'cuda'}`."
)
BNB_LIBRARY_SAID = (
    "Attempted to use bitsandbytes native library functionality but it's not available.\n\nThis typically happens when"
)
WORKER_SAID = "DataLoader worker (pid 4242) is killed by signal: Killed. "
LOAD_SAID = (
    "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on a "
    "CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU."
)


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    yield tmp_path / "work"
    vars(sys).pop("last_value", None)


def failed(call) -> BaseException:
    """The last error of this kernel is what the call raises."""
    try:
        call()
    except BaseException as error:
        sys.last_value = error
        return error
    raise AssertionError("it should have raised")


def says(kind: type, *said):
    def call():
        raise kind(*said)

    return call


def hub(status: int, code: str = ""):
    """The hub's own error for an answer of the server."""
    httpx = sys.modules[huggingface_hub.errors.HfHubHTTPError.__mro__[1].__module__.partition(".")[0]]
    request = httpx.Request("GET", "https://huggingface.co/api/models/meta-llama/Llama-3.2-1B")
    headers = {"X-Error-Code": code} if code else {}
    return lambda: hf_raise_for_status(httpx.Response(status, headers=headers, request=request))


def wrapped(inner, kind: type, said: str):
    """As transformers wraps the errors of the hub."""

    def call():
        try:
            inner()
        except Exception as error:
            raise kind(said) from error

    return call


def old_name():
    from transformers import AdamW  # noqa: F401


def old_argument():
    """What `TrainingArguments(output_dir="x", evaluation_strategy="no")` raises, without the seconds that its import takes."""
    import transformers  # noqa: F401

    raise TypeError("TrainingArguments.__init__() got an unexpected keyword argument 'evaluation_strategy'")


def offline_load():
    from transformers.utils import cached_file

    cached_file("meta-llama/Llama-3.2-1B", "config.json")


K = known_errors
KNOWN = [
    (says(torch.OutOfMemoryError, CUDA_SAID), K.GPU_MEMORY),
    (says(RuntimeError, "CUDA error: out of memory"), K.GPU_MEMORY),
    (says(RuntimeError, "MPS backend out of memory (MPS allocated: 9.06 GB)"), K.GPU_MEMORY),
    (lambda: torch.empty(10**15), K.MEMORY),
    (lambda: bytearray(10**16), K.MEMORY),
    (says(RuntimeError, WORKER_SAID), K.MEMORY),
    (hub(403, "GatedRepo"), K.GATED),
    (wrapped(hub(401, "GatedRepo"), OSError, GATED_SAID), K.GATED),
    (hub(401), K.NOT_FOUND),
    (hub(403), K.NOT_FOUND),
    (lambda: torch.zeros(1, device="cuda"), K.NO_GPU),
    (says(RuntimeError, "No CUDA GPUs are available"), K.NO_GPU),
    (says(RuntimeError, "Found no NVIDIA driver on your system. Please check"), K.NO_GPU),
    (says(RuntimeError, LOAD_SAID), K.NO_GPU),
    (says(RuntimeError, BNB_SAID), K.BITSANDBYTES),
    (says(RuntimeError, BNB_LIBRARY_SAID), K.BITSANDBYTES),
    (says(OSError, 28, os.strerror(28), "/x"), K.DISK_FULL),
    (lambda: huggingface_hub.model_info("a/b"), K.OFFLINE),
    (lambda: huggingface_hub.hf_hub_download("a/b", "config.json"), K.OFFLINE),
    (lambda: huggingface_hub.snapshot_download("a/b"), K.OFFLINE),
    (offline_load, K.OFFLINE),
    (lambda: socket.getaddrinfo("no-such-host.invalid", 443), K.NO_NETWORK),
    (says(ConnectionRefusedError, 111, "Connection refused"), K.NO_NETWORK),
    (lambda: no_such_name, K.NO_NAME),  # noqa: F821
    (says(KeyboardInterrupt), K.STOPPED),
]


@pytest.mark.parametrize(("call", "expected"), KNOWN, ids=lambda x: x.means[:30] if isinstance(x, tuple) else "")
def test_known_errors_are_explained(call, expected):
    assert explain(failed(call)) == expected
    said = stuck.stuck()
    assert f"What it means: {expected.means}" in said
    assert all(f"{n}. {step}" in said for n, step in enumerate(expected.do, 1))


def test_the_tests_run_offline():
    assert isinstance(failed(lambda: huggingface_hub.model_info("a/b")), OfflineModeIsEnabled)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (old_name, "It is now called torch.optim.AdamW."),
        (old_argument, "It is now called eval_strategy."),
        (lambda: torch.no_such_function, "has no such name"),
        (
            lambda: __import__("no_such_module_here"),
            "There is no such module in the Python that this notebook runs in.",
        ),
    ],
)
def test_a_name_of_another_version_is_explained_by_the_installed_one(call, words):
    assert words in explain(failed(call)).means


def test_a_version_outside_what_the_course_asks_for_is_named(monkeypatch):
    monkeypatch.setattr(known_errors, "version", lambda package: "4.9.0")
    known = explain(failed(old_argument))
    assert known.means.startswith("transformers 4.9.0 is installed, and the course needs transformers")
    assert '%pip install "transformers' in known.do[0]


@pytest.mark.parametrize(
    "call",
    [
        says(ValueError, "too many values to unpack"),
        says(TypeError, "f() got an unexpected keyword argument 'x'"),
        lambda: torch.nn.Linear(2, 3)(torch.zeros(1, 5)),
        says(ImportError, "cannot import name 'f' from 'mine'"),
        says(FileNotFoundError, 2, os.strerror(2), "rows.jsonl"),
        says(RuntimeError, ""),
    ],
)
def test_an_unknown_error_is_shown_and_not_explained_wrongly(call):
    error = failed(call)
    assert explain(error) is None
    said = stuck.stuck()
    assert said.startswith(type(error).__name__)
    assert "not among those that the course knows" in said


def test_where_in_the_readers_cell():
    def call():
        exec(compile("x = 1\nint('a')\n", "<a cell>", "exec"), {"__name__": "__main__"})

    failed(call)
    assert "In your cell, line 2" in stuck.stuck()
    failed(lambda: compile("x = 1\ny = (\n", "<a cell>", "exec"))
    assert "In your cell, line 2: `y = (`" in stuck.stuck()


def test_the_courses_own_sentence_is_repeated():
    failed(says(CourseError, "The file has no column messages: add one."))
    assert "The file has no column messages: add one." in stuck.stuck()


def test_without_an_error_it_asks_and_a_dead_kernel_can_be_told():
    assert "What did you expect, and what do you see?" in stuck.stuck()
    for words in (
        "kernel died",
        "The kernel has just died again",
        "it ended with exit code 137",
        "kernel keeps restarting",
    ):
        assert known_errors.KERNEL_DIED.means in stuck.stuck(words)
    assert known_errors.KERNEL_DIED.means not in stuck.stuck("I restarted JupyterLab")
    assert explain_text(CUDA_SAID).means in stuck.stuck(f"it says {CUDA_SAID}")


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


def test_hostile_errors_are_told_in_few_words():
    secret = "hf" + "_" + "aB3" * 12
    for message in ("x" * 10**7, f"{secret} \x1b[31m \udc80", "\n" * 10**6):
        failed(says(RuntimeError, message))
        said = stuck.stuck()
        assert len(said) < 3000
        assert secret[:8] not in said
        assert "\x1b" not in said
    failed(says(Unprintable))
    assert "Unprintable: (cannot be shown)" in stuck.stuck()
    first = RuntimeError("a circle")
    first.__cause__ = RuntimeError("of causes")
    first.__cause__.__cause__ = first
    assert explain(first) is None


def at(monkeypatch, minutes: float) -> None:
    now = Moment(1_800_000_000.0 + 60 * minutes, 60 * minutes, "this start")
    monkeypatch.setattr(stuck, "moment", lambda: now)


def test_fifteen_minutes_then_a_kind_word_and_a_note_to_paste(monkeypatch, work):
    at(monkeypatch, 0)
    failed(says(ValueError, "no"))
    assert "15:00 left of 15 min for this" in stuck.stuck()
    at(monkeypatch, 10)
    assert "5:00 left of 15 min for this" in stuck.stuck()
    monkeypatch.setattr(timer, "_UNSAVED", {})
    at(monkeypatch, 16)
    said = stuck.stuck("a smaller batch")
    assert "Your 15 min for this are over: stop here, take a break, or ask somebody." in said
    assert "    Error: ValueError: no\n" in said
    assert "    Tried: a smaller batch" in said
    assert f"torch {torch.__version__}" in said
    at(monkeypatch, 31)
    assert "15:00 left of 15 min for this" in stuck.stuck()


def test_what_was_tried_is_added_with_time_lesson_and_error(monkeypatch, work):
    monkeypatch.setenv("JPY_SESSION_NAME", "my_work/104_lora.ipynb")
    failed(says(ValueError, "first line\nsecond line"))
    assert "Written down in work/stuck.md." in stuck.stuck("a smaller batch")
    stuck.stuck("a larger one")
    kept = (work / "stuck.md").read_text()
    assert kept.count(f"## {datetime.now(UTC):%Y-%m-%d}") == 2
    assert kept.count("    Lesson 104, Python ") == kept.count("    Error: ValueError: first line") == 2
    assert kept.index("Tried: a smaller batch") < kept.index("Tried: a larger one")


HOSTILE = [
    "<script>alert(1)</script>", "# a heading\n\n## another", "```\nfence\n```\n~~~\n", "text\r# heading\u2028# heading\x0b# h",
    "![x](http://evil.invalid/x.png) [a](javascript:alert(1))", "| a |\n|---|\n\n1. list\n- list\n> quote\n---\n===",
    "\x00\x1b[2J\u202e\udc80", "\t\ttabs\n\n\n\nlines", "    \n# after spaces", "&lt;b&gt; $$x$$ <!-- -->",
]  # fmt: skip


def blocks_of_notes(work) -> set[str]:
    """The kinds of Markdown that the notes are made of."""
    tokens = mistune.create_markdown(renderer=None)((work / "stuck.md").read_text())
    return {token["type"] for token in tokens if token["type"] != "blank_line"} | {
        "other heading" for t in tokens if t["type"] == "heading" and not t["children"][0]["raw"].endswith(" UTC")
    }


def test_notes_stay_text_in_markdown(work):
    for text in HOSTILE:
        stuck.stuck(text)
        failed(says(ValueError, text))
    assert blocks_of_notes(work) == {"heading", "block_code"}
    kept = (work / "stuck.md").read_text()
    assert not set("\x00\x1b\u202e") & set(kept)


def test_the_check_of_notes_finds_text_that_is_not_indented(monkeypatch, work):
    monkeypatch.setattr(stuck, "_indented", str.splitlines)
    for text in HOSTILE:
        stuck.stuck(text)
    assert {"other heading", "paragraph"} <= blocks_of_notes(work)


def test_a_note_of_ten_megabytes_is_clipped_and_keeps_no_secret(work):
    secret = "hf" + "_" + "aB3" * 12
    said = stuck.stuck(f"{secret} " + "x" * 10**7)
    assert "Only its first 20,000 characters are kept." in said
    assert 20_000 < (work / "stuck.md").stat().st_size < 21_000
    assert secret[:8] not in (work / "stuck.md").read_text() + said


def test_where_nothing_can_be_written_the_note_is_printed(work):
    work.write_text("no folder")
    said = stuck.stuck("a smaller batch")
    assert "stuck.md could not be written" in said
    assert "Tried: a smaller batch" in said
    assert "15:00 left" in said
    timer._UNSAVED.clear()


def test_the_widget_does_the_same(work):
    widget = Stuck()
    assert widget.live.outputs == ()
    assert not work.exists()
    widget.write.click()
    assert "nothing to write down yet" in widget.message.value
    assert 'role="alert"' in widget.message.value
    failed(says(torch.OutOfMemoryError, CUDA_SAID))
    widget.explain.click()
    assert "out of memory" in widget.message.value
    assert 'role="status"' in widget.message.value
    assert "{left} left of 15 min for this" in widget.live.outputs[0]["data"]["text/html"]
    widget.tried.value = "<img src=x onerror=alert(1)>"
    widget.write.click()
    assert "Written down in work/stuck.md." in widget.message.value
    assert "Tried: <img src=x" in (work / "stuck.md").read_text()
    failed(says(ValueError, widget.tried.value))
    widget.explain.click()
    assert "<img" not in widget.message.value
    assert "&lt;img" in widget.message.value


def test_the_widget_as_a_still_page_and_its_own_errors(monkeypatch):
    widget = Stuck()
    bundle = widget._repr_mimebundle_()
    assert "Run the cell to use it" in bundle["text/plain"]
    assert "Run the cell to use it" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    monkeypatch.setattr(stuck, "help_words", lambda _: 1 / 0)
    widget.explain.click()
    assert "Something went wrong here (our fault): ZeroDivisionError" in widget.message.value
