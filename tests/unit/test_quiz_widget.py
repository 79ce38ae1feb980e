"""The quiz as widgets, without a browser: what is pressed and typed in Python is what `answer` does."""

import re

import ipywidgets
import pytest

from course_lib import CourseError
from course_lib.learn.progress import Progress, mine
from course_lib.learn.quiz import Quiz
from course_lib.learn.quiz_bank import Bank
from course_lib.widgets import quiz as quiz_module
from course_lib.widgets.quiz import QuizView, quiz

HOSTILE = "<img src=x onerror=alert(1)>"
SHOWN = (ipywidgets.Button, ipywidgets.Checkbox, ipywidgets.HBox, ipywidgets.HTML, ipywidgets.Text, ipywidgets.VBox)


@pytest.fixture(autouse=True)
def no_view_of_before(monkeypatch):
    monkeypatch.setattr(quiz_module, "_VIEWS", {})


@pytest.fixture
def panels():
    """The panels of quiz 104 by the ids of their questions."""
    view = quiz("104")
    return dict(zip((q.id for q in view.quiz.questions), view.panels, strict=True))


def everything(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def words(panel):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", panel.said.value)).strip()


def test_pressing_an_option_answers_at_once_and_marks_it(panels, capsys):
    panel = panels["zero-b"]
    panel.buttons[2].click()
    assert 'role="status"' in panel.said.value
    assert words(panel).startswith("Not yet: Both are trained.")
    assert panel.buttons[2].description == "✗ c) So that only A is trained and B stays as it is"
    assert "(not yet correct)" in panel.head.value
    panel.buttons[1].click()
    assert words(panel).startswith("Correct: ")
    assert [one.description[:2] for one in panel.buttons] == ["a)", "✓ ", "c)", "d)"]
    assert "(correct)" in panel.head.value
    assert mine().state() == {"104.quiz.zero-b": "correct"}
    assert capsys.readouterr().out == ""  # a callback's prints would go to a log that nobody reads


def test_check_boxes_are_checked_together(panels):
    panel = panels["in-memory"]
    panel.check.click()
    assert 'role="alert"' in panel.said.value
    assert "Nothing is chosen" in words(panel)
    assert mine().events() == []
    for one in panel.boxes:
        one.value = True
    panel.check.click()
    assert words(panel).startswith("Not yet: b) is wrong.")
    panel.boxes[1].value = panel.boxes[2].value = False
    panel.check.click()
    assert "(correct)" in panel.head.value


def enter(text, value):
    """What a browser sends when Enter is pressed in a changed box: first the key, then the value."""
    text._handle_custom_msg({"event": "submit"}, [])
    text.value = value


def test_a_number_is_answered_by_enter_and_by_the_button_but_not_by_leaving_the_box(panels):
    panel = panels["count"]
    panel.box.value = "4608"
    assert mine().events() == []
    panel.check.click()
    assert words(panel).startswith("Not yet: That is A alone")
    enter(panel.box, "12288")
    assert words(panel).startswith("Not yet: That is B alone")
    enter(panel.box, "16,896")
    assert words(panel).startswith("Correct:")
    assert panel.box.value == "16,896"
    assert [event["given"] for event in mine().events()] == ["4608", "12288", "16896"]
    panel.box.value = "typed, left"
    panel.box._handle_custom_msg({"event": "submit"}, [])
    assert "no answer to this question" in words(panel)
    assert 'role="alert"' in panel.said.value


def test_steps_are_placed_taken_back_and_judged_when_all_are_placed(panels):
    panel = panels["forward"]
    for i in (1, 3, 2):
        panel.buttons[i].click()
    assert words(panel) == "3 of 4 are placed."
    assert panel.buttons[2].description.startswith("3. c) ")
    panel.buttons[3].click()
    assert [panel.placed, panel.buttons[2].description[:3]] == [[1, 2], "2. "]
    assert mine().events() == []
    panel.again.click()
    assert panel.placed == []
    for i in (1, 3, 2, 0):
        panel.buttons[i].click()
    assert words(panel).startswith("Not yet: Place 3 is the first that is wrong")
    panel.buttons[2].click()
    assert words(panel) == "3 of 4 are placed."
    panel.buttons[2].click()
    assert words(panel).startswith("Correct: ")


def test_the_function_prints_and_the_same_view_shows_it(panels, capsys):
    feedback = quiz(104).answer(1, "b")
    assert capsys.readouterr().out == f"{feedback}\n"
    assert feedback.correct
    assert feedback._ipython_display_() is None
    assert words(panels["zero-b"]) == str(feedback)
    assert panels["zero-b"].buttons[1].description.startswith("✓ ")
    quiz("104").answer(3, 4608)
    assert panels["count"].box.value == "4608"
    assert words(panels["count"]).startswith("Not yet: That is A alone")


def test_no_answer_raises_in_the_function_and_changes_nothing(panels):
    before = panels["zero-b"].said.value
    for n, given in ((1, "z"), (1, ""), (9, "a"), (3, "b" * 10**7)):
        with pytest.raises(CourseError):
            quiz("104").answer(n, given)
    assert panels["zero-b"].said.value == before
    assert mine().events() == []


def test_a_new_kernel_finds_states_answers_and_feedback(panels):
    view = quiz("104")
    for n, given in ((1, "b"), (2, "a"), (3, "16 896"), (4, "abcd"), (6, "ab")):
        view.answer(n, given)
    quiz_module._VIEWS.clear()
    again = quiz("104")
    assert again is not view
    found = [(panel.head.value, panel.said.value) for panel in again.panels]
    assert found == [(panel.head.value, panel.said.value) for panel in view.panels]
    assert again.panels[0].buttons[1].description.startswith("✓ b)")
    assert again.panels[2].box.value == "16896"
    assert [one.value for one in again.panels[5].boxes] == [True, True, False, False, False]
    assert again.text() == view.text()
    assert "is not passed yet: 2 of 6 questions correct." in again.head.value


def test_a_closed_view_is_made_anew(panels):
    view = quiz("104")
    assert quiz("104") is view
    view.close()
    assert quiz("104") is not view


def test_what_goes_wrong_in_a_callback_is_said_below_the_question(panels, monkeypatch):
    def broken(self, item, outcome, **more):
        raise ValueError(HOSTILE)

    monkeypatch.setattr(Progress, "record", broken)
    panels["zero-b"].buttons[0].click()
    assert "(our fault): ValueError: &lt;img" in panels["zero-b"].said.value
    assert 'role="alert"' in panels["zero-b"].said.value


def test_only_controls_whose_keys_jupyterlab_leaves_alone_and_each_button_has_words():
    for number in ("100", "102", "104"):
        for widget in everything(quiz(number)):
            assert type(widget) in SHOWN or isinstance(widget, ipywidgets.VBox), type(widget)
            assert not isinstance(widget, ipywidgets.Button) or (widget.description and widget.tooltip)


def test_pressing_neither_rebuilds_nor_disables_a_control(panels):
    before = {id: list(everything(panel)) for id, panel in panels.items()}
    for panel in panels.values():
        for one in [*getattr(panel, "buttons", ()), *([panel.check] if hasattr(panel, "check") else [])]:
            one.click()
    assert before == {id: list(everything(panel)) for id, panel in panels.items()}
    assert not any(getattr(widget, "disabled", False) for panel in panels.values() for widget in everything(panel))


def hostile_quiz() -> Quiz:
    option = {"answer": HOSTILE, "feedback": HOSTILE}
    asked = {"question": HOSTILE, "after": HOSTILE}
    chosen = [{**option, "correct": True}, {**option, "correct": False}]
    number = [{"type": "default", "feedback": HOSTILE}]
    kinds = {"multiple_choice": chosen, "many_choice": chosen, "numeric": number, "ordering": [option, option]}
    questions = [{"id": f"q{i}", "type": kind, **asked, "answers": kinds[kind]} for i, kind in enumerate(kinds)]
    questions[2]["unit"], questions[3]["shown"] = HOSTILE, [2, 1]
    return Quiz("999", Bank.model_validate({"questions": questions}).questions)


def test_hostile_words_of_a_bank_are_shown_as_text():
    view = QuizView(hostile_quiz())
    for n, given in ((1, "a"), (2, "ab"), (3, 5), (4, "ab")):
        view.answer(n, given)
    markup = [widget.value for widget in everything(view) if isinstance(widget, ipywidgets.HTML)]
    markup.append(view._repr_mimebundle_()["text/html"])
    assert all("<img" not in value for value in markup)
    assert sum(value.count("&lt;img") for value in markup) > 10
    assert HOSTILE in view.text()


def given_away(view: QuizView, shown: str) -> list[str]:
    """What is shown though it would tell which answers are right."""
    questions = view.quiz.questions
    secrets = [words for q in questions for words in (q.after, *(answer.feedback for answer in q.answers)) if words]
    secrets += [
        str(answer.value) for q in questions if q.type == "numeric" for answer in q.answers if answer.type == "value"
    ]
    return [words for words in secrets if re.search(rf"(?<!\d){re.escape(words)}(?!\d)", shown)]


@pytest.mark.parametrize("number", ["100", "102", "104"])
def test_the_stored_page_and_the_text_ask_and_give_nothing_away(number):
    view = quiz(number)
    for n, question in enumerate(view.quiz.questions, 1):
        kept = {"multiple_choice": "b", "many_choice": "ab", "numeric": "1"}.get(question.type, "abcd")
        view.answer(n, kept)
    bundle = view._repr_mimebundle_()
    for shown in (bundle["text/html"], bundle["text/plain"]):
        assert given_away(view, shown) == []
        assert shown.count("Question ") == len(view.panels)
        assert f'quiz("{number}").answer(1, "b")'.replace('"', "&quot;") in shown.replace('"', "&quot;")
        assert all(
            option in shown.replace("&#x27;", "'") for question in view.quiz.questions for option in question.options
        )
    assert bundle["text/plain"] == view.text()
    assert "✓" not in bundle["text/html"]


def test_a_page_that_gave_answers_away_would_be_found(monkeypatch):
    view = quiz("104")
    assert given_away(
        view, view.text() + "Both are trained. B is even the first to change: while it is zero, A gets no gradient."
    )
    assert given_away(view, view.text() + "it is 16896.0")


def test_the_lesson_without_a_quiz_gets_a_sentence():
    with pytest.raises(CourseError, match="There is no quiz for '201'"):
        quiz("201")
