"""What lesson 102 has beside its exercises' wrong answers (`wrong_answers/lesson_102.py`)."""

from wrong_answers.lesson_102 import CARD_GIB, SIZES, THRIFTY, changed, of

from course_lib import largest_model
from course_lib.choose.guides import lesson4
from course_lib.learn.lesson_102 import q3
from course_lib.prove.tables import table


def test_the_base_does_not_get_full_fine_tuning_and_no_two_changes_do():
    assert changed().method != "full"
    assert changed(n_examples=10**6, quality="best").method != "full"


def test_every_pair_on_size_can_be_the_answer():
    largest = largest_model(CARD_GIB, "qlora", **THRIFTY)
    for pair in SIZES:
        found = [
            s
            for s in ("first", "second", "neither")
            if q3.judge({"largest": largest, "verdict": of(pair, s)})[0] == "Correct"
        ]
        assert len(found) == 1, pair.text


def test_a_table_of_the_page_in_a_terminal_and_in_a_notebook():
    shown = table([{"claim": "<8GB", "verdict": "partly"}, {"claim": "word " * 12, "verdict": "holds"}], "memory")
    assert str(shown).splitlines()[:2] == ["memory", f"{'claim':<39}  verdict"]
    assert len(str(shown).splitlines()) == 5  # the long cell takes two lines
    assert '<th scope="row"' in shown._repr_html_()
    assert "&lt;8GB" in shown._repr_html_()
    assert "<8GB" not in shown._repr_html_()


def test_a_table_of_a_guide_says_where_it_stands():
    shown = table(lesson4.TABLES["goal"], "lesson4")
    assert shown.caption == "lesson4: 2. What's Your Goal?"
    assert len(shown.rows) == 5
