"""What a reader calls: the first and the last cell of a lesson, next, progress, path, focus, tick, note; and the Markdown."""

import errno
import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import course_lib as course
from course_lib import CourseError
from course_lib.learn import acts, progress_text, reader
from course_lib.learn.paths import ITEMS, Lesson
from course_lib.learn.progress import Progress, keep, mine
from course_lib.learn.quiz import question_items
from course_lib.learn.reader import note

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:x) ![i](http://e.x) `c` **b** _i_ | a | b www.e.x $x$"


@pytest.fixture(autouse=True)
def early(monkeypatch, tmp_path):
    """A new kernel, an empty my_work, and the course when three lessons were written."""
    monkeypatch.setattr(Lesson, "ready", property(lambda lesson: lesson.number in ("100", "102", "104")))
    monkeypatch.setattr(reader, "_begun", set())
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "my_work"))


def run(number):
    course.lesson(number)
    return course.finish(number)


def test_the_first_cell_says_where_you_are_and_what_is_next(capsys):
    said = course.lesson("104")
    assert capsys.readouterr().out == f"{said}\n"
    assert said == f"You are in 104 · LoRA.\n{reader.next_words(mine().state())}"
    assert "notebooks/beginner/100_start_here.ipynb (about 15 min)" in said
    with pytest.raises(CourseError, match="There is no lesson '999': there are 100 to 107, 201 to 213, 301 to 312"):
        course.lesson("999")


def test_the_last_cell_needs_the_first():
    said = course.finish("104")
    assert said.startswith("104 · LoRA is not marked as run: run its first cell")
    assert mine().state() == {}
    course.path("quick")
    assert run(104).splitlines()[:2] == [
        "104 · LoRA is run.",
        "Ticked: Run beginner LoRA example. Quick Start: 1 of 6. Well done!",
    ]
    assert mine().state() == {"path": "quick", "104": "run"}
    assert "Ticked" not in course.finish("104")


def test_next_names_the_exercise_and_where_a_copy_of_it_comes_from(tmp_path):
    course.path("quick")
    course.focus("lora")
    run("104")
    for item in question_items("104"):
        mine().record(item, "correct")
    said = course.next()
    assert "the exercise my_work/104_lora.ipynb, from question 104.1 on (about 10 min)" in said
    assert said.endswith("It is not there yet: `course learn` copies it, or copy it yourself from exercises/beginner.")
    (tmp_path / "my_work").mkdir()
    (tmp_path / "my_work" / "104_lora.ipynb").touch()
    assert "not there yet" not in course.next()


def test_a_lesson_off_the_focus_says_so_and_how_to_end_it():
    course.path("quick")
    assert "\nNext: read and run notebooks/beginner/104_lora.ipynb" in course.focus("LoRA")
    assert (
        "Your focus is LoRA, and this lesson is about something else: course.focus(None) ends it.\nNext"
        in course.lesson("102")
    )
    assert "something else" not in course.lesson("104")
    assert course.focus().startswith("Your focus is LoRA. Choose one with")
    assert "100_start_here" in course.focus(None)
    assert course.focus().startswith("You have no focus.")
    assert "something else" not in course.lesson("102")
    for wrong, words in (("lorra", "did you mean lora"), (10**6000, "There is no technique 'int'")):
        with pytest.raises(CourseError, match=words):
            course.focus(wrong)


def test_path_describes_the_three_and_chooses_one():
    said = course.path()
    assert all(item.words in said for item in ITEMS.values() if not item.id.startswith("start."))
    assert all(
        words in said for words in ("Quick Start (1-2 weeks, 5-10 hours/week)", "0 of 8 items", "15-20 hours/week")
    )
    assert course.path("Deep dive").startswith(
        "Your path is Deep Dive: 21 lessons, 4-6 weeks, 10-15 hours/week.\nNext: "
    )
    assert "Deep Dive (4-6 weeks, 10-15 hours/week), your path" in course.path()
    with pytest.raises(CourseError, match="There is no path 'deeep': did you mean deep"):
        course.path("deeep")


def test_tick_and_untick_by_hand():
    assert (
        course.tick(1) == "Ticked: Understand what fine-tuning is and why it's useful. Quick Start: 1 of 6. Well done!"
    )
    assert course.tick("quick.what").startswith("Already ticked: Understand")
    assert course.untick("1").startswith("Unticked: Understand what fine-tuning is")
    assert course.untick(1).startswith("Not ticked")
    assert course.tick(1).startswith("Ticked")
    for number in range(2, 7):
        last = course.tick(number)
    assert last.endswith("Quick Start: 6 of 6, all done. Well done!")
    mine().record("celebrate", "off")
    assert course.tick("start.metrics").endswith("Before you start fine-tuning: 1 of 6.")


def test_untick_takes_back_the_hand_and_never_the_deed():
    course.tick("quick.lora")
    run("104")
    assert course.untick("quick.lora") == (
        "Your own tick is taken back; Run beginner LoRA example stays ticked (lesson 104 run)."
    )
    assert "only a tick by hand can be taken back" in course.untick("quick.lora")
    assert "[x] Run beginner LoRA example" in course.progress()


def test_a_note_is_kept_replaced_and_taken_away():
    assert note("lora", "done") == "Noted on LoRA: done"
    assert note("LoRA", "rank 8\nwas enough") == "Noted on LoRA: rank 8 was enough"
    assert "  Note: rank 8 was enough" in course.progress().splitlines()
    assert "Only its first 1,000 characters are kept." in note("qlora", "x" * 10**7)
    with pytest.raises(CourseError, match="A note is text"):
        note("lora", None)
    assert note("lora", " ") == "No note on LoRA."
    assert "rank 8" not in course.progress()


def test_a_note_that_is_the_word_of_an_outcome_can_be_replaced_only_because_of_its_space(monkeypatch):
    monkeypatch.setattr(acts, "keep", lambda item, outcome: keep(item, outcome.rstrip()))
    note("lora", "done")
    note("lora", "replaced")
    assert "Note: done" in course.progress()


def test_progress_is_good_to_read_at_80_columns():
    course.path("production")
    course.tick("deep.metrics")
    note("lora", HOSTILE)
    run("104")
    lines = course.progress().splitlines()
    assert max(map(len, lines)) <= 80
    assert f"Quick Start                [###{'.' * 17}] 1 of 6" in lines
    assert "  3 [x] Run beginner LoRA example" in lines
    assert "        lesson 104 run" in lines
    assert " 22 [ ] Deploy model to production endpoint" in lines
    assert "        run lesson 308 (not written yet)" in lines
    assert "LoRA              [x] 104       [ ] 204       [ ] 302" in lines
    assert "QLoRA             N/A           [ ] 205       [ ] 303" in lines
    assert any(line.startswith("Next: ") for line in lines)


def literal(markdown):
    """What is left of markup in Markdown that holds a reader's text: tags that we have not written."""
    rendered = MarkdownIt("commonmark").enable("table").render(markdown)
    ours = r"</?(h1|h2|ul|li|p|table|thead|tbody|tr|th|td)>"
    return re.findall(r"<[^>]*>", re.sub(ours, "", rendered)), rendered


def test_the_markdown_has_every_item_and_the_readers_text_stays_text():
    course.tick("quick.own")
    note("lora", HOSTILE)
    markdown = reader.checklist_markdown(mine().state())
    assert markdown.count("- [ ] ") == 31
    assert "- [x] Fine-tune a model on your own simple dataset (by hand)\n" in markdown
    assert "## Before you start fine-tuning: 0 of 6\n" in markdown
    tags, rendered = literal(markdown)
    assert tags == []
    (row,) = re.findall(r"<td>LoRA</td>(.*?)</tr>", rendered, re.S)
    cells = re.findall(r"<td>(.*?)</td>", row)
    assert html.unescape(cells[-1]) == HOSTILE
    assert len(cells) == 4


def test_without_the_escape_the_readers_text_would_be_markup(monkeypatch):
    monkeypatch.setattr(progress_text, "_literal", lambda text: text)
    note("lora", HOSTILE)
    assert literal(reader.checklist_markdown(mine().state()))[0] != []


def full_disk(self, data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failed_save_is_one_sentence_and_nothing_is_lost(monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(Progress, "_append", full_disk)
        said = run("104")
        assert "Your progress could not be saved (No space left on device)" in said
        assert "Ticked: Run beginner LoRA example." in said
        for said in (
            course.tick(1),
            course.path("quick"),
            course.focus("lora"),
            note("lora", "x"),
            course.untick(1),
        ):
            assert "could not be saved" in said
        assert mine().troubles()[0] in " ".join(course.progress().split())
    course.tick(2)
    state = Progress(mine().folder).state()
    assert (state["104"], state["path"], state["focus"], state["quick.what"]) == ("run", "quick", "lora", "unticked")


def test_the_first_cell_warns_of_what_is_damaged_and_of_a_place_that_cannot_be_written(monkeypatch, tmp_path):
    mine().record("104", "run")
    (mine().folder / "x.jsonl").write_bytes(b"\x00\xff garbage\n")
    trouble = course.lesson("104").splitlines()[-1]
    assert "damaged" in trouble
    assert trouble in " ".join(course.progress().split())
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "file" / "progress"))
    said = course.lesson("104").splitlines()
    refused = "Your progress cannot be saved (Not a directory): free some space or allow writing in"
    assert any(line.startswith(refused) for line in said)


def test_on_colab_the_first_cell_says_where_progress_is_kept(monkeypatch):
    monkeypatch.setattr(reader, "where_kept", lambda: "Your progress is kept in your Google Drive.")
    assert course.lesson("104").splitlines()[-1] == "Your progress is kept in your Google Drive."


def test_any_state_is_shown_and_never_raises():
    for item, outcome in (
        (HOSTILE, HOSTILE),
        ("path", HOSTILE),
        ("focus", "\udc80"),
        ("note.qlora", "\udc80\x1b[31m"),
        ("104", ""),
    ):
        mine().record(item, outcome)
    for said in (
        course.progress(),
        course.next(),
        course.path(),
        course.lesson("104"),
        reader.checklist_markdown(mine().state()),
    ):
        said.encode()
        assert "\x1b" not in said


def test_reading_is_quick_to_import_and_loads_no_torch_and_no_notebook():
    code = "import sys, course_lib; course_lib.next(); assert not {'torch', 'IPython', 'ipywidgets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
