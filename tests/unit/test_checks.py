"""The five outcomes of a check, hints, solution, reset; hostile answers; and the same in a real kernel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from exercise_harness import HOSTILE, assert_exercise, assert_outcome, assert_readable, reader
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from course_lib.learn import blame
from course_lib.learn.checks import HOLE, Exercise, NotYet, Outcome
from course_lib.learn.progress import mine

ROOT = Path(__file__).parents[2]


def check_area(area):
    for width, height in ((2, 3), (5, 7), (0, 4)):
        got = area(width, height=height)
        if not isinstance(got, int):
            raise NotYet(f"area returned a {type(got).__name__}; return a whole number")
        if got == width + height:
            raise NotYet("that adds the sides; multiply them")
        if got != width * height:
            shown = got if abs(got) < 10**9 else "so much"
            raise NotYet(f"area of {width} x {height} is not {shown}; try it on squared paper")


def exercise(test=check_area, wants=("area",)) -> Exercise:
    return Exercise(
        id="104.2", wants=wants, test=test, hints=("count", "multiply", "return width * ..."), answer="width * height"
    )


def test_right_answer(capsys):
    names = reader("def area(width, height): return width * height") | {"q2": exercise()}
    exec("outcome = q2.check()", names)
    assert names["outcome"] is Outcome.CORRECT
    assert names["q2"].outcome is Outcome.CORRECT
    assert capsys.readouterr().out == "Correct: 104.2 is done.\n"


def test_wrong_answer():
    names = reader("def area(width, height): return width + height")
    outcome, message = exercise().judge(names)
    assert outcome is Outcome.NOT_YET
    assert message == "Not yet: that adds the sides; multiply them"


@pytest.mark.parametrize(
    "code",
    [
        "",
        "area = None",
        "area = ...",
        "def area(width, height): ...",
        "def area(width, height): pass",
        "def area(width, height):\n    '''Width times height.'''\n    ...  # your code here",
        "def area(width, height):\n    '''Width times height.'''",
        "def area(width, height=3, *rest, deep: int = 0, **more) -> int: ...",
        "def area(width, height): return None",
        "def outer():\n    unit = 1\n    def area(width, height):\n        ...\n    return area\narea = outer()",
        "import functools\n@functools.cache\ndef other(): ...\n@functools.wraps(other)\ndef area(): ...",
        "area = lambda width, height: ...",
    ],
)
def test_untouched_is_not_attempted(code):
    def never(area):
        raise AssertionError("the test ran on an empty answer")

    assert_outcome(exercise(never), reader(code), Outcome.NOT_ATTEMPTED, "`area`")


@pytest.mark.parametrize(
    "code",
    [
        "def area(width, height): return 4",
        "def area(width, height): return 'text'",
        "def area(width, height): print(width)",
        "def area(width, height): return width",
        "area = lambda width, height: 0.5",
    ],
)
def test_a_small_answer_is_an_attempt(code):
    assert_outcome(exercise(), reader(code), Outcome.NOT_YET, "area")


def with_hole(width, height):
    result = width + height
    ...  # your code here
    return result


def filled_but_comment_left(width, height):
    ...  # your code here
    return width * height


class Rectangle:
    def area(self, width, height): ...  # your code here


def test_a_hole_among_other_lines_is_not_attempted():
    assert_outcome(exercise(), {"area": with_hole}, Outcome.NOT_ATTEMPTED, HOLE)


def test_a_hole_left_beside_a_right_answer_does_no_harm():
    assert_outcome(exercise(), {"area": filled_but_comment_left}, Outcome.CORRECT)


def test_a_class_with_a_hole_is_not_attempted():
    q = exercise(lambda Rectangle: check_area(Rectangle().area), wants=("Rectangle",))
    assert_outcome(q, {"Rectangle": Rectangle}, Outcome.NOT_ATTEMPTED, "`Rectangle`")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def area(width, height): return width / 0", "ZeroDivisionError: division by zero\nIn `area`, line 1"),
        ("def help(x): return x.size\ndef area(width, height): return help(width)", "AttributeError"),
        ("import json\ndef area(width, height): return json.loads('{')", "JSONDecodeError"),
        ("import sys\ndef area(width, height): sys.exit(3)", "SystemExit: 3"),
        ("def area(width): return width", "TypeError: area() got an unexpected keyword argument 'height'"),
        ("def area(): return 1", "TypeError: area()"),
        ("area = 6", "TypeError: 'int' object is not callable"),
        ("class area:\n    def __init__(self): print(1)", "TypeError: area.__init__()"),
        ("class Area:\n    def __call__(self, width, height): return {}['x']\narea = Area()", "KeyError: 'x'"),
        ("class Area:\n    def __call__(self): return 1\narea = Area()", "TypeError: Area.__call__()"),
        ("class Area:\n    def size(self): return 1\narea = Area().size", "TypeError: Area.size()"),
        ("import functools\narea = functools.partial(lambda unit, x: x, 1)", "TypeError: <lambda>()"),
        ("import functools\n@functools.wraps(len)\ndef area(width, height): return {}['x']", "KeyError: 'x'"),
        ("area = len", "TypeError: len()"),
        ("import math\narea = math.sqrt", "TypeError: math.sqrt()"),
        ("area = object", "TypeError: object()"),
        ("import numpy\narea = numpy.zeros(3)", "'numpy.ndarray' object is not callable"),
        ("import asyncio\ndef area(width, height): raise asyncio.CancelledError('stop')", "CancelledError: stop"),
        ("def area(width, height): return open('/no/such/file')", "FileNotFoundError"),
    ],
)
def test_an_error_in_the_readers_code_is_theirs(code, words):
    assert_outcome(exercise(), reader(code), Outcome.RAISED, words)


def test_the_readers_line_is_named():
    def area(width, height):
        return {}[width]

    _, message = exercise().judge({"area": area})
    assert "In `area`, line" in message
    assert "`return {}[width]`" in message


RIGHT = "def area(width, height): return width * height"


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (lambda area: {}["x"], "KeyError"),
        (lambda area: area(2, height=3) + "text", "TypeError"),
        (lambda area: False, "returned False"),
    ],
)
def test_an_error_in_our_test_is_ours(fault, word):
    assert_outcome(exercise(fault), reader(RIGHT), Outcome.OUR_FAULT, word)


def test_a_check_can_be_stopped():
    with pytest.raises(KeyboardInterrupt):
        exercise().judge(reader("def area(width, height): raise KeyboardInterrupt"))


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("def area(width, height): raise ValueError('x' * 10**7)", "10,000,0"),
        ("area = type('N' * 10**7, (), {})()", "NNN"),
        ("def area(width, height): raise type('N' * 10**7, (Exception,), {})", "NNN"),
        ("exec('def area(width, height): return 1 / 0' + ' ' * 10**6 + '# end')", "ZeroDivisionError"),
        ("def area(width, height): raise ValueError('\\x1b[2J\\x00\\r')", r"\x1b[2J\x00\r"),
        ("def area(width, height): raise ValueError('<script>alert(1)</script>')", "<script>"),
        ("def area(width, height): raise Odd", "Odd: (cannot be shown)"),
        ("def area(width, height): return area(width, height)", "RecursionError"),
        ("def area(width, height): return input('how wide? ')", "it take what it needs as an argument"),
        ("import sys\ndef area(width, height): return [][sys.stdin.read() == '']", "IndexError"),
    ],
)
def test_whatever_is_raised_is_told_in_a_few_plain_words(code, word):
    names = reader(HOSTILE, "class Odd(Exception): __str__ = fail", code)
    assert_outcome(exercise(), names, Outcome.RAISED, word)


def test_control_a_message_that_is_not_shortened_is_flagged(monkeypatch):
    monkeypatch.setattr(blame, "shorten", lambda text, longest=0: text)
    names = reader("def area(width, height): raise ValueError('x' * 10**7)")
    with pytest.raises(AssertionError):
        assert_readable(exercise().judge(names)[1])


def test_the_end_of_a_long_message_is_kept():
    def long(area):
        raise NotYet(f"not {'x' * 10**7}: draw it.")

    assert exercise(long).judge(reader(RIGHT))[1].endswith("xxx: draw it.")


def test_what_the_answer_prints_is_shown_after_the_result_and_cut(capsys):
    names = reader("def area(width, height):\n    print('<', 'x' * 10**7)\n    return 1") | {"q2": exercise()}
    exec("q2.check()", names)
    first, then, printed = capsys.readouterr().out.splitlines()
    assert first.startswith("Not yet: area of 2 x 3 is not 1")
    assert then == "Your code printed:"
    assert printed.startswith("< xxx")
    assert printed.endswith(" ... (10,000,003 characters)")
    assert len(printed) < 3000


def test_a_check_gives_back_input_and_output():
    before = sys.stdin, sys.stdout, sys.stderr, input
    exercise().judge(reader("def area(width, height): raise SystemExit"))
    with pytest.raises(KeyboardInterrupt):
        exercise().judge(reader("def area(width, height): raise KeyboardInterrupt"))
    assert before == (sys.stdin, sys.stdout, sys.stderr, input)


def test_an_exercise_shows_no_answer_by_itself():
    assert repr(exercise()) == "Exercise(id='104.2', wants=('area',), outcome=None)"


ATTEMPTS = [
    ("", "not attempted"),
    ("def area(width, height): return 1", "not yet"),
    ("def area(width, height): return 1 / 0", "your code raised"),
    (RIGHT, "correct"),
    ("def area(width, height): return 1", "correct"),
]


def test_check_records_what_it_found_and_judge_does_not():
    q = exercise()
    for code, recorded in ATTEMPTS:
        exec("q2.check()", reader(code) | {"q2": q})
        assert mine().state() == {"104.2": recorded}
    count = len(mine().events())
    q.judge(reader(RIGHT))
    assert len(mine().events()) == count == len(ATTEMPTS)
    exec("q2.check()", reader(RIGHT) | {"q2": exercise(lambda area: 1)})
    assert mine().events()[-1]["outcome"] == "could not check (our fault)"


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Progress that cannot be saved."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "file" / "progress"))


def test_what_cannot_be_saved_is_said_after_the_result(nowhere, capsys):
    q = exercise()
    exec("q2.check()", reader(RIGHT) | {"q2": q})
    q.hint()
    q.solution()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Correct: 104.2 is done."
    assert [i for i, line in enumerate(lines) if line.startswith("Your progress could not be saved")] == [1, 3, 6]
    assert q.outcome is Outcome.CORRECT


def test_progress_that_cannot_be_had_stops_nothing(monkeypatch, tmp_path, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.delenv("COURSE_PROGRESS")
    gone.rmdir()
    q = exercise()
    for call in (q.hint, q.solution, q.reset, q.check):
        call()
    assert "Hint 1 of 3" in capsys.readouterr().out


def test_hints(capsys):
    q = exercise()
    for call in (q.hint, q.hint, q.hint, q.hint, lambda: q.hint(2)):
        said = call()
        assert capsys.readouterr().out == f"{said}\n"
    q = exercise()  # another kernel
    assert [q.hint(1), q.hint(), q.hint(3)] == [
        "Hint 1 of 3: count",
        "No more hints: try q2.solution().",
        "Hint 3 of 3: return width * ...",
    ]
    assert mine().state() == {"104.2.hint": "3"}


def test_a_hint_that_is_not_there_is_one_sentence_whatever_was_asked_for(capsys):
    for n in [0, -1, 4, 9, 10**5000, "x", "2", 2.5, 2.0, True, [], *reader(HOSTILE)["hostile"]]:
        exercise().hint(n)
        assert capsys.readouterr().out == "There is no such hint: 104.2 has 3, and q2.hint(3) is the last.\n"
    assert mine().state() == {}


def test_hint_gives_the_next_one_not_seen_here_or_in_an_earlier_kernel():
    q = exercise()
    q.hint(1)
    q.hint(3)
    assert q.hint() == "Hint 2 of 3: multiply"
    assert exercise().hint() == "No more hints: try q2.solution()."


def test_hints_are_shown_again_after_success():
    q = exercise()
    exec("q2.check()", reader(RIGHT) | {"q2": q})
    assert q.hint(1) == "Hint 1 of 3: count"


def test_solution_points_to_the_hints_before_the_first_try_only():
    untried = "You have not tried 104.2 yet: q2.hint() gives a nudge first.\n"
    plain = "Solution of 104.2:\nwidth * height"
    assert exercise().solution() == untried + plain
    exec("q2.check()", reader("") | {"q2": exercise()})
    assert exercise().solution() == untried + plain
    exec("q2.check()", reader("def area(width, height): return 1") | {"q2": exercise()})
    exec("q2.check()", reader("") | {"q2": exercise()})
    assert exercise().solution() == plain
    assert mine().state() == {"104.2": "not attempted", "104.2.solution": "seen"}


def test_reset_starts_afresh_and_overwrites_nothing(capsys):
    q, names = exercise(), reader(RIGHT)
    names |= {"q2": q, "other": 1}
    assert "stays done" not in q.reset()
    exec("q2.hint(); q2.check(); said = q2.reset()", names)
    assert q.outcome is None
    assert "area" not in names
    assert names["other"] == 1
    assert names["said"].startswith("104.2 starts afresh: no hint seen, no result. `area` forgotten. ")
    assert "In your progress it stays done." in names["said"]
    assert mine().state()["104.2"] == "correct"
    assert q.hint() == "Hint 1 of 3: count"
    exec("q2.check()", names)
    assert q.outcome is Outcome.NOT_ATTEMPTED


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder whose exercise 104 has one cell; the current folder is its my_work."""
    page = tmp_path / "exercises" / "beginner" / "104_area.ipynb"
    page.parent.mkdir(parents=True)
    cells = [new_code_cell(text) for text in ("import course_lib", "area = None\n...", "q2.check()")]
    page.write_text(json.dumps(new_notebook(cells=cells)))
    (tmp_path / "my_work").mkdir()
    monkeypatch.chdir(tmp_path / "my_work")
    return page


def test_reset_shows_the_cell_as_it_came(course):
    assert exercise().reset().endswith("Your cell is as you left it; as it came, it was:\narea = None\n...")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"cells": 5}', '{"cells": [{"cell_type": "code"}]}', "[" * 10**5, b"\xff"]
)
def test_reset_says_where_the_cell_is_when_it_is_not_found(course, text):
    course.write_bytes(text if isinstance(text, bytes) else text.encode())
    course.rename(course.with_name("199_area.ipynb"))
    said = Exercise(id="199.2", wants=("area",), test=check_area, hints=("a",), answer="").reset()
    assert said.endswith(f"put `{HOLE}` in place of your lines, or copy the cell from the notebook 199 in exercises/.")


WRONGS = [
    ({"area": lambda width, height: width + height}, "multiply"),
    ({"area": lambda width, height: float(width * height)}, "float"),
    ({"area": lambda width, height: width * height + 1}, "not 7"),
    ({"area": lambda width, height: -width * height}, "not -6"),
    ({"area": lambda width, height: print(end="")}, "NoneType"),
]


def right_area(width, height):
    return width * height


def test_harness_passes_a_good_exercise():
    assert_exercise(exercise(), {"area": right_area}, WRONGS)


def lenient(area):
    if area(2, height=3) == 5:
        raise NotYet("multiply")


def swallows(area):
    try:
        check_area(area)
    except ZeroDivisionError:
        raise NotYet("something is wrong") from None


def unguarded(area):
    if round(area(2, height=3)) != 6:
        raise NotYet("multiply float NoneType not 7 not -6")


def loose(area):
    if not isinstance(area(2, height=3), int | str):
        raise NotYet("a number, please")


@pytest.mark.parametrize(
    ("test", "right", "wrongs", "fault"),
    [
        (check_area, WRONGS[0][0], WRONGS, "Correct expected"),
        (check_area, {"area": right_area}, WRONGS[:4], "at least five"),
        (
            check_area,
            {"area": right_area},
            [*WRONGS, (WRONGS[0][0], "a word it does not say")],
            "a word it does not say",
        ),
        (lenient, {"area": right_area}, WRONGS, "Not yet expected"),
        (swallows, {"area": right_area}, WRONGS, "Your code raised expected"),
        (unguarded, {"area": right_area}, [WRONGS[0]] * 5, "our fault"),
        (loose, {"area": right_area}, [({"area": print}, "a number")] * 5, "104.2"),
    ],
)
def test_harness_flags_a_bad_exercise(test, right, wrongs, fault):
    with pytest.raises(AssertionError, match=fault):
        assert_exercise(exercise(test), right, wrongs)


def test_harness_flags_a_slow_check(monkeypatch):
    monkeypatch.setattr("exercise_harness.SECONDS", 0)
    with pytest.raises(AssertionError, match="takes 0 s"):
        assert_exercise(exercise(), {"area": right_area}, WRONGS)


NOTEBOOK = [
    """
from course_lib.learn.checks import Exercise, NotYet
def test(double):
    if double(2) != 4:
        raise NotYet("2 doubled is 4; add x to itself")
q1 = Exercise(id="104.1", wants=("double",), test=test, hints=("a", "b", "c"), answer="<b>2 * x</b>")""",
    "q1.check()",
    "q1.solution()",
    "def double(x):\n    y = x\n    ...  # your code here\n    return y",
    "q1.check()",
    "def double(x):\n    return x",
    "q1.check()",
    "def double(x):\n    raise ValueError('<script>alert(1)</script>\\ud800')",
    "q1.check()",
    "q1.solution()",
    "class Doubler:\n    def __call__(self, x): return 2 * x\ndouble = Doubler()",
    "q1.check()",
    "q1.hint()",
    "q1.reset()",
    "q1.check()",
]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """What each `q1` cell of NOTEBOOK showed, as (source, outputs), and the payloads of its replies."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path_factory.mktemp("progress")))
    payloads = []
    nb = new_notebook(cells=[new_code_cell(source) for source in NOTEBOOK])
    client = NotebookClient(nb, kernel_name="python3", timeout=60, resources={"metadata": {"path": str(ROOT)}})
    client.on_cell_executed = lambda cell, cell_index, execute_reply: payloads.extend(
        execute_reply["content"]["payload"]
    )
    client.execute()
    monkeypatch.undo()
    return [(cell.source, cell.outputs) for cell in nb.cells if cell.source.startswith("q1")], payloads


def test_in_a_notebook(notebook):
    shown = [
        (source[3:8], outputs[0].text.splitlines()[0].partition(" Your cell is")[0]) for source, outputs in notebook[0]
    ]
    assert shown == [
        ("check", "Not attempted: there is no `double` yet. Write it in the cell above and run it."),
        ("solut", "You have not tried 104.1 yet: q1.hint() gives a nudge first. The answer is folded below."),
        ("check", "Not attempted: `double` still holds `...  # your code here`. Put your code there."),
        ("check", "Not yet: 2 doubled is 4; add x to itself"),
        ("check", "Your code raised ValueError: <script>alert(1)</script>\\ud800"),
        ("solut", "Solution of 104.1:"),
        ("check", "Correct: 104.1 is done."),
        ("hint(", "Hint 1 of 3: a"),
        ("reset", "104.1 starts afresh: no hint seen, no result. `double` forgotten. In your progress it stays done."),
        ("check", "Not attempted: there is no `double` yet. Write it in the cell above and run it."),
    ]
    assert [len(outputs) for _, outputs in notebook[0]] == [1, 2, 1, 1, 2, 1, 1, 1, 1, 1]


def test_in_a_notebook_the_answer_is_folded_before_the_first_try(notebook):
    folded = notebook[0][1][1][1].data
    assert folded["text/plain"] == "Solution of 104.1:\n<b>2 * x</b>"
    assert folded["text/html"].startswith("<details><summary>Solution of 104.1</summary>")
    assert "&lt;b&gt;2 * x&lt;/b&gt;" in folded["text/html"]
    assert "<b>" not in folded["text/html"]


def test_in_a_notebook_the_readers_own_lines_are_folded_below_the_sentence(notebook):
    said, folded = notebook[0][4][1]
    assert "In `double`, line 2: `raise ValueError(" in said.text
    assert folded.data["text/html"].startswith("<details><summary>The lines of your code that led there</summary>")
    assert "line 2, in double" in folded.data["text/plain"]
    assert "<script" not in folded.data["text/html"]
    assert "checks.py" not in folded.data["text/html"]


def test_in_a_notebook_the_cell_as_it_came_is_put_below(notebook):
    (payload,) = [payload for payload in notebook[1] if payload["source"] == "set_next_input"]
    assert payload["replace"] is False
    assert payload["text"].startswith("def lora_parameters(d_in, d_out, rank):")
    assert payload["text"].endswith(HOLE)


def test_checks_load_quickly():
    code = (
        "import sys, course_lib.learn.check_all; print([m for m in ('torch', 'IPython', 'numpy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
