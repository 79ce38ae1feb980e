"""The quizzes without widgets: answers as readers type them, what is said to them, and what is kept."""

import subprocess
import sys

import pytest

from course_lib.errors import CourseError
from course_lib.learn import quiz as quiz_module
from course_lib.learn.progress import Progress, keep, mine
from course_lib.learn.quiz import Quiz, load, numbers, passed, question_items
from course_lib.learn.quiz_bank import Bank, read
from course_lib.learn.quiz_judge import judge, read_number

HOSTILE = "<script>alert(1)</script>\x1b[2J\udc80"
CHOICES = [
    {"answer": "one", "correct": True, "feedback": "One is right."},
    {"answer": "two", "correct": False, "feedback": "Two is wrong."},
    {"answer": "three", "correct": True, "feedback": "Three is right."},
    {"answer": "four", "correct": False, "feedback": "Four is wrong."},
]
NUMBERS = [
    {"type": "range", "range": [1.9, 2.1], "correct": True, "feedback": "Near two."},
    {"type": "value", "value": 4, "correct": False, "feedback": "That is its square."},
    {"type": "default", "feedback": "Take the root."},
]
STEPS = [{"answer": f"step {n}", "feedback": f"Why {n}."} for n in (1, 2, 3)]


def kind(value) -> str:
    """A test's name where the value itself would be too long."""
    return type(value).__name__


def question(type_, answers, **more):
    found = Bank.model_validate(
        {"questions": [{"id": "q", "type": type_, "question": "?", "answers": answers, **more}]}
    )
    return found.questions[0]


ONE = question("multiple_choice", [CHOICES[1], CHOICES[0]], after="So it is.")
MANY = question("many_choice", CHOICES, after="So they are.")
NUMBER = question("numeric", NUMBERS, unit="MB", after="Root of four.")
ORDER = question("ordering", STEPS, shown=[2, 3, 1], after="Each needs the one before.")
SMALL = Quiz("999", (ONE, MANY.model_copy(update={"id": "m"}), NUMBER.model_copy(update={"id": "n"})))


@pytest.mark.parametrize("given", ["b", "B", " b) ", "(b)", "b.", ["b"], {"b"}])
def test_one_letter_in_any_dress(given):
    feedback = judge(ONE, given)
    assert (feedback.correct, feedback.given) == (True, "b")
    assert str(feedback) == "Correct: One is right. So it is."
    assert str(judge(ONE, "a")) == "Not yet: Two is wrong."


@pytest.mark.parametrize("given", ["ac", "CA", "a, c", "a) c)", ["a", "c"], ("c", "a"), {"a", "c"}, frozenset("ac")])
def test_several_letters_in_any_order(given):
    feedback = judge(MANY, given)
    assert (feedback.correct, feedback.given) == (True, "ac")
    assert feedback.words == "a) One is right. c) Three is right. So they are."


def test_several_wrong_are_each_explained_and_missing_ones_counted_but_not_named():
    assert judge(MANY, "abcd").words == "b) is wrong. Two is wrong. d) is wrong. Four is wrong."
    assert judge(MANY, "ab").words == "b) is wrong. Two is wrong. One right answer is still missing."
    assert judge(MANY, "a").words == judge(MANY, "c").words == "One right answer is still missing."
    assert judge(MANY, "d").words == "d) is wrong. Four is wrong. 2 right answers are still missing."


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (2, 2), (2.5, 2.5), ("2", 2), ("3.5", 3.5), ("3,5", 3.5), ("0,125", 0.125), ("16,896", 16896), ("16 896.5", 16896.5),
        ("1_000", 1000), ("2/3", 2 / 3), (" 1 / 4 ", 0.25), ("1e-3", 0.001), ("60 %", 0.6), ("\u22125", -5), (".5", 0.5), ("7 MB", 7),
    ],
)  # fmt: skip
def test_numbers_as_they_are_typed(given, number):
    assert read_number(given, "MB") == pytest.approx(number)


def test_per_cent_are_themselves_where_the_unit_says_so():
    assert read_number("60 %", "%") == read_number("60", "%") == 60


@pytest.mark.parametrize(
    "given",
    ["", "two", "nan", "inf", "1e999", "1/0", "1,2,3", "0x10", "2**3", float("nan"), 10**400, True, None, [2], b"2"],
    ids=kind,
)
def test_what_is_no_number_gets_a_sentence_that_says_what_to_type(given):
    with pytest.raises(CourseError, match=r"type a number \(MB\), such as 3.5\.$"):
        judge(NUMBER, given)


def test_a_number_its_slip_and_any_other():
    assert str(judge(NUMBER, "2.05 MB")) == "Correct: Near two. Root of four."
    assert str(judge(NUMBER, 4)) == "Not yet: That is its square."
    assert str(judge(NUMBER, "1,234")) == "Not yet: Take the root. Your answer was read as 1,234."
    rounded = question("numeric", [{"type": "value", "value": 0.667, "correct": True, "feedback": "."}], precision=2)
    assert judge(rounded, "2/3").correct
    assert not judge(rounded, 0.68).correct


def test_an_order_names_the_first_wrong_place_only():
    assert ORDER.options == ("step 2", "step 3", "step 1")
    assert str(judge(ORDER, "cab")) == "Correct: Each needs the one before."
    assert judge(ORDER, ["c", "a", "b"]).correct
    assert str(judge(ORDER, "cba")) == "Not yet: Place 2 is the first that is wrong: “step 3”. Why 3."
    assert "Place 1 is the first that is wrong: “step 2”. Why 2." in str(judge(ORDER, "abc"))


@pytest.mark.parametrize(
    "given",
    ["", " ", "e", "ab", "aa", 1, 1.5, True, None, {}, b"a", ["a", 1], [["a"]], set(), HOSTILE, "b" * 10**7],
    ids=kind,
)
@pytest.mark.parametrize("asked", [ONE, ORDER], ids=["one", "order"])
def test_no_answer_at_all_gets_one_sentence_short_and_printable(asked, given):
    with pytest.raises(CourseError, match=r"type (one letter, a to b|the letters a to c)") as error:
        judge(asked, given)
    assert len(str(error.value)) < 250
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "number", ["999", "", None, "../104", "a" * 10**7, 10**6000, 104.0, True, [], HOSTILE], ids=kind
)
def test_an_unknown_quiz_gets_a_sentence_that_names_those_there_are(number):
    with pytest.raises(CourseError, match="106, 107") as error:
        load(number)
    assert len(str(error.value)) < 200
    assert str(error.value).isprintable()


def test_a_quiz_is_found_by_text_and_by_number():
    assert load("104") == load(104) == load(" 104 ")
    assert set(numbers()) >= {"102", "104"}


@pytest.mark.parametrize("n", [0, -1, 7, "1", 1.0, True, None])
def test_a_question_that_is_not_there(n):
    with pytest.raises(CourseError, match="Quiz 104 has the questions 1 to 6"):
        load("104").judge(n, "a")


def written(type_, answers, id="q", more=""):
    return f"[[questions]]\nid = {id!r}\ntype = {type_!r}\nquestion = '?'\n{more}\nanswers = [{answers}]"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("questions = ?\n", "line 1, column 13"),
        ("questions = []", "at least 1"),
        ("\xff", "invalid start byte"),
        (written("essay", ""), "questions 1: Input tag 'essay'"),
        (written("multiple_choice", ""), "at least 1"),
        (written("multiple_choice", "{answer='a', feedback='b'}"), "answers 1 correct: Field required"),
        (written("multiple_choice", "{answer='a', correct='yes', feedback='b'}"), "valid boolean"),
        (written("multiple_choice", "{answer='a', correct=true, feedback='b', points=1}"), "points: Extra inputs"),
        (
            written("multiple_choice", "{answer='a', correct=true, feedback='b'}", id="../q"),
            "questions 1 multiple_choice id",
        ),
        (written("numeric", "{type='value', value=nan, correct=true, feedback=''}"), "finite"),
        (written("ordering", "{answer='a', feedback='b'}", more="shown = [2]"), "each of 1 to 1"),
        ("x = " + "[" * 5000, "recursion"),
    ],
    ids=range(12),
)
def test_a_damaged_bank_gives_one_sentence_with_file_and_fault(tmp_path, text, fault):
    path = tmp_path / "104.toml"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CourseError, match=r"^The quiz 104\.toml is damaged \((?s:.)*\): install") as error:
        read(path)
    assert fault in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_a_sentence_too(tmp_path):
    with pytest.raises(CourseError, match="No such file"):
        read(tmp_path / "105.toml")


def test_every_judged_answer_is_kept_and_a_passed_question_stays_passed():
    assert SMALL.so_far() == (("", None),) * 3
    assert str(SMALL.answer(1, "a")) == "Not yet: Two is wrong."
    assert SMALL.so_far()[0] == ("not yet", judge(ONE, "a"))
    SMALL.answer(1, "b")
    assert mine().state() == {"999.quiz.q": "correct"}
    assert str(SMALL.answer(1, "a")).endswith("so it stays passed.")
    assert mine().state() == {"999.quiz.q": "correct"}
    assert SMALL.so_far()[0] == ("correct", judge(ONE, "b"))
    assert [event["given"] for event in mine().events()] == ["a", "b", "a"]


def test_what_is_no_answer_is_not_kept():
    for n, given in ((1, "z"), (2, ""), (3, "two"), (9, "a")):
        with pytest.raises(CourseError):
            SMALL.answer(n, given)
    assert mine().events() == []


def test_the_last_right_answer_says_that_the_quiz_is_passed_and_only_once():
    said = [str(SMALL.answer(n, given)) for n, given in ((2, "ac"), (3, 2), (1, "a"), (1, "b"), (3, 2))]
    assert [("That was the last: quiz 999 is passed (3 of 3)." in words) for words in said] == [0, 0, 0, 1, 0]


def test_passed_and_items_are_derived_from_the_bank(monkeypatch):
    items = question_items("104")
    assert items[0] == "104.quiz.zero-b"
    assert len(items) == len(set(items)) == 6
    state = dict.fromkeys(items, "correct")
    assert passed(state, "104")
    assert not passed(state | {items[3]: "not yet"}, "104")
    assert not passed({}, "104")
    assert question_items("201") == ()
    assert not passed(state, "201")


def test_another_order_of_the_bank_loses_nothing():
    SMALL.answer(1, "b")
    turned = Quiz("999", SMALL.questions[::-1])
    assert [outcome for outcome, _ in turned.so_far()] == ["", "", "correct"]


@pytest.mark.parametrize(
    "more",
    [{}, {"given": None}, {"given": 10**9}, {"given": "a"}, {"given": HOSTILE}, {"given": {"x": 1}}],
    ids=range(6),
)
def test_a_kept_answer_that_no_longer_fits_its_outcome_is_left_out(more):
    keep("999.quiz.q", "correct", **more)
    assert SMALL.so_far()[0] == ("correct", None)


def test_a_full_disk_is_told_and_the_answer_still_counts(monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Progress, "_append", full)
    feedback = SMALL.answer(1, "b")
    assert feedback.correct
    assert "could not be saved (No space left on device)" in str(feedback)
    assert SMALL.so_far()[0][0] == "correct"


def test_the_bank_is_read_from_its_folder_alone(monkeypatch, tmp_path):
    (tmp_path / "777.toml").write_text("questions = [")
    monkeypatch.setattr(quiz_module, "FOLDER", tmp_path)
    with pytest.raises(CourseError, match=r"777\.toml is damaged"):
        question_items("777")
    with pytest.raises(CourseError, match="there are 777"):
        load("104")


def test_nothing_heavy_is_imported():
    code = "import course_lib.learn.quiz, sys; print([m for m in ('torch', 'IPython', 'ipywidgets', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
