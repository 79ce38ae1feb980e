"""The five outcomes of a check, hints, solution, reset; and the same in a real kernel."""

import os
from pathlib import Path

import pytest
from exercise_harness import assert_exercise, assert_outcome
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from course_lib.learn.checks import HOLE, Exercise, NotYet, Outcome

ROOT = Path(__file__).parents[2]


def check_area(area):
    for width, height in ((2, 3), (5, 7), (0, 4)):
        got = area(width, height=height)
        if not isinstance(got, int):
            raise NotYet(f"area returned a {type(got).__name__}; return a whole number")
        if got == width + height:
            raise NotYet("that adds the sides; multiply them")
        if got != width * height:
            raise NotYet(f"area of {width} x {height} is not {got}; try it on squared paper")


def exercise(test=check_area, wants=("area",)) -> Exercise:
    return Exercise(
        id="104.2", wants=wants, test=test, hints=("count", "multiply", "return width * ..."), answer="width * height"
    )


def reader(code: str) -> dict:
    """The globals of a notebook whose cells hold `code`."""
    names = {"__name__": "__main__"}
    exec(code, names)
    return names


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


def test_hints(capsys):
    q = exercise()
    for call in (q.hint, q.hint, q.hint, q.hint, lambda: q.hint(2), lambda: q.hint(9), lambda: q.hint(0)):
        assert call() is None
    assert capsys.readouterr().out.splitlines() == [
        "Hint 1 of 3: count",
        "Hint 2 of 3: multiply",
        "Hint 3 of 3: return width * ...",
        "No more hints: try q2.solution().",
        "Hint 2 of 3: multiply",
        "There is no hint 9: this exercise has 3, so q2.hint(3) is the last.",
        "There is no hint 0: this exercise has 3, so q2.hint(3) is the last.",
    ]


def test_hint_gives_the_next_one_not_seen(capsys):
    q = exercise()
    q.hint(1)
    q.hint(3)
    q.hint()
    assert capsys.readouterr().out.splitlines()[-1] == "Hint 2 of 3: multiply"


def test_solution_and_reset(capsys):
    q = exercise()
    q.solution()
    assert "width * height" in capsys.readouterr().out
    q.hint()
    q.check()
    assert q.outcome is Outcome.NOT_ATTEMPTED
    capsys.readouterr()
    q.reset()
    assert q.outcome is None
    assert "exercises/" in capsys.readouterr().out
    q.hint()
    assert capsys.readouterr().out == "Hint 1 of 3: count\n"


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


@pytest.mark.parametrize(
    ("test", "right", "wrongs"),
    [
        (check_area, WRONGS[0][0], WRONGS),
        (check_area, {"area": right_area}, WRONGS[:4]),
        (check_area, {"area": right_area}, [*WRONGS, (WRONGS[0][0], "a word it does not say")]),
        (lenient, {"area": right_area}, WRONGS),
        (swallows, {"area": right_area}, WRONGS),
        (unguarded, {"area": right_area}, [WRONGS[0]] * 5),
    ],
)
def test_harness_flags_a_bad_exercise(test, right, wrongs):
    with pytest.raises(AssertionError):
        assert_exercise(exercise(test), right, wrongs)


NOTEBOOK = [
    """
from course_lib.learn.checks import Exercise, NotYet
def test(double):
    if double(2) != 4:
        raise NotYet("2 doubled is 4; add x to itself")
q1 = Exercise(id="104.1", wants=("double",), test=test, hints=("a", "b", "c"), answer="2 * x")""",
    "q1.check()",
    "def double(x):\n    y = x\n    ...  # your code here\n    return y",
    "q1.check()",
    "def double(x):\n    return x",
    "q1.check()",
    "def double(x):\n    return x / 0",
    "q1.check()",
    "class Doubler:\n    def __call__(self, x): return 2 * x\ndouble = Doubler()",
    "q1.check()",
    "q1.hint()",
]


def test_in_a_notebook(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    nb = new_notebook(cells=[new_code_cell(source) for source in NOTEBOOK])
    NotebookClient(nb, kernel_name="python3", timeout=60).execute()
    printed = [[o.text for o in cell.outputs] for cell in nb.cells if cell.source.startswith("q1")]
    assert all(len(texts) == 1 for texts in printed), printed
    assert [texts[0].splitlines()[0] for texts in printed] == [
        "Not attempted: there is no `double` yet. Write it in the cell above and run it.",
        "Not attempted: `double` still holds `...  # your code here`. Put your code there.",
        "Not yet: 2 doubled is 4; add x to itself",
        "Your code raised ZeroDivisionError: division by zero",
        "Correct: 104.1 is done.",
        "Hint 1 of 3: a",
    ]
    assert "In `double`, line 2: `return x / 0`." in printed[3][0]
