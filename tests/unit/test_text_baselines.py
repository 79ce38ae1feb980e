"""Baselines without a language model answer as they should, on the rows that `evaluate` scores, and refuse what is no chat."""

import json

import pytest

from course_lib import Plan, Report, difference, evaluate
from course_lib.errors import CourseError
from course_lib.prove import untrained as untrained_module
from course_lib.prove.baselines import by_rule, most_frequent_label, nearest_row, tf_idf_classifier
from course_lib.prove.untrained import untrained
from course_lib.run.data import DataSet
from course_lib.run.methods import load_base

FRUIT = ("apple", "pear", "plum")
TOOLS = ("hammer", "saw", "drill")


def chat(question, answer):
    said = zip(("system", "user", "assistant"), ("Sort it.", question, answer), strict=True)
    return {"messages": [{"role": role, "content": content} for role, content in said]}


def data_set(train, test, answer="label"):
    return DataSet("things", [chat(*row) for row in train], [], [chat(*row) for row in test], "", answer)


LEARN = [(f"{size} {thing}", "fruit") for thing in FRUIT for size in ("a ripe", "a sweet", "one")]
LEARN += [(f"{size} {thing}", "tool") for thing in TOOLS for size in ("a heavy", "an old")]
ASK = [("the green apple", "fruit"), ("my saw", "tool"), ("a drill", "tool"), ("this plum", "fruit")]
THINGS = data_set(LEARN, ASK)


def said(scores):
    return [answer.said for answer in scores.answers]


@pytest.mark.parametrize("baseline", [tf_idf_classifier, nearest_row])
def test_what_was_learned_is_found_again_in_other_sentences(baseline):
    scores = baseline(THINGS)
    assert said(scores) == ["fruit", "tool", "tool", "fruit"]
    assert (scores["accuracy"].value, scores["macro_f1"].value, scores["accuracy"].n) == (1, 1, 4)
    assert said(baseline(THINGS, n=2)) == ["fruit", "tool"]


@pytest.mark.parametrize("baseline", [tf_idf_classifier, nearest_row])
def test_control_it_learns_from_the_training_rows_alone(baseline):
    other = {"fruit": "tool", "tool": "fruit"}
    turned = data_set(LEARN, [(question, other[label]) for question, label in ASK])
    assert baseline(turned)["accuracy"].value == 0


def test_a_rule_is_asked_each_question_and_may_know_nothing():
    scores = by_rule(lambda question: "fruit" if "apple" in question else "", THINGS)
    assert said(scores) == ["fruit", "", "", ""]
    assert scores["accuracy"].value == 1 / 4
    assert difference(scores, most_frequent_label(THINGS), "accuracy").value == -1 / 4


def test_the_most_frequent_label_is_that_of_training():
    scores = most_frequent_label(data_set(LEARN, [("a saw", "tool"), ("a drill", "tool"), ("a pear", "fruit")]))
    assert said(scores) == ["fruit"] * 3
    assert scores["accuracy"].value == pytest.approx(1 / 3)
    assert scores["macro_f1"].value == pytest.approx((2 * 1 / (1 + 3) + 0) / 2)


def test_the_nearest_row_is_copied_whole():
    learn = [("order 7 of tea", '{"item": "tea", "n": 7}'), ("send 2 cups", '{"item": "cup", "n": 2}')]
    ask = [("please send 9 cups", '{"item": "cup", "n": 9}'), ("order of tea", '{"item": "tea", "n": 7}')]
    scores = nearest_row(data_set(learn, ask, "json"))
    assert said(scores) == [learn[1][1], learn[0][1]]
    assert scores["field_accuracy"].value == pytest.approx(0.75)
    assert [answer.right for answer in scores.answers] == [False, True]
    texts = nearest_row(data_set([(q, json.loads(a)["item"]) for q, a in learn], [("cups", "cup")], "text"))
    assert texts["exact_match"].value == 1


@pytest.mark.parametrize("baseline", [tf_idf_classifier, nearest_row])
def test_texts_without_a_word_in_common_or_without_letters_get_an_answer(baseline):
    odd = data_set(
        [("?", "a"), ("\N{WHITE SMILING FACE}", "b"), ("...", "a")], [("!", "a"), ("\N{WHITE SMILING FACE}", "b")]
    )
    assert said(baseline(odd))[1] in ("a", "b")


def test_it_stands_beside_a_model_on_the_same_rows(tiny):
    model = load_base(tiny, Plan(model=str(tiny), precision="fp32")).eval()
    of_model = evaluate(model, THINGS, n=3, max_new_tokens=2)
    for baseline in (most_frequent_label, tf_idf_classifier, nearest_row):
        scores = baseline(THINGS, n=3)
        assert list(scores.scores) == list(of_model.scores)
        assert [(a.asked, a.wanted) for a in scores.answers] == [(a.asked, a.wanted) for a in of_model.answers]
        assert difference(scores, of_model, "macro_f1").n == 3
        assert str(scores["accuracy"]) in str(Report({"baseline": scores, "model": of_model}))
    with pytest.raises(CourseError, match="not of the same rows"):
        difference(tf_idf_classifier(THINGS, n=2), of_model, "accuracy")


PAIRS = DataSet("mail-pairs", [{"prompt": []}], [], [{"prompt": []}], "", "pair")
TEXTS = DataSet("python-docs", [{"text": "a"}], [], [{"text": "b"}], "", "plain")
ALL = (most_frequent_label, tf_idf_classifier, nearest_row)


@pytest.mark.parametrize(
    ("baselines", "data", "n", "says"),
    [
        (ALL, PAIRS, None, "mail-pairs holds preference pairs"),
        (ALL, TEXTS, None, "python-docs holds plain texts"),
        (ALL, data_set([], ASK), None, "no training rows"),
        (ALL, data_set(LEARN, []), None, "no rows to evaluate on"),
        (ALL, THINGS, 0, "n is 0"),
        (ALL[1:2], data_set([("a", "{}")], [("a", "{}")], "json"), None, "compare with nearest_row"),
        (ALL[1:2], data_set([("a", "b"), ("c", "b")], ASK), None, "same label"),
        (ALL[2:], data_set([("a", "{}")], [("a", "{}")], "json"), None, "row 1 has none"),
    ],
)
def test_what_has_no_baseline_gets_one_sentence(baselines, data, n, says):
    for baseline in baselines:
        with pytest.raises(CourseError, match=says) as told:
            baseline(data, n=n)
        assert str(told.value).endswith(".")
        assert ". " not in str(told.value)


@pytest.mark.parametrize("one_label", [False, True])
def test_a_pipeline_on_labels_has_the_classifier_among_its_rivals(one_label, tiny, monkeypatch):
    monkeypatch.setattr(untrained_module, "is_encoder", lambda config: True)  # no model answers
    data = data_set([("a", "b"), ("c", "b")], ASK) if one_label else THINGS
    found = untrained(Plan(model=str(tiny), data="things"), tiny, data, 2)
    assert list(found) == ["most frequent label"] + ["TF-IDF classifier"] * (not one_label)


def test_a_pipeline_on_other_answers_has_it_not(tiny, monkeypatch):
    monkeypatch.setattr(untrained_module, "is_encoder", lambda config: True)
    assert untrained(Plan(model=str(tiny)), tiny, data_set(LEARN, ASK, "text"), 2) == {}
