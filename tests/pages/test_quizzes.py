"""Every quiz keeps the rules of its kind; each rule can fail; the numbers in the answers are those of the library."""

import inspect

import pytest

from course_lib import ModelShape, Plan, estimate, recommend
from course_lib.authoring.quiz_lint import faults, faults_of_all
from course_lib.choose.guides import SCENARIOS
from course_lib.learn.quiz import FOLDER, Quiz, load, numbers
from course_lib.learn.quiz_bank import Default, Range, Value

ALL = [load(number) for number in numbers()]
KINDS = {"multiple_choice", "many_choice", "numeric", "ordering"}


@pytest.mark.parametrize("number", numbers())
def test_a_bank_keeps_the_rules(number):
    assert faults(load(number)) == []


def test_the_banks_together_do_not_give_the_right_answers_away():
    assert faults_of_all(ALL) == []


def test_lessons_102_and_104_have_quizzes_of_at_least_three_kinds_and_all_kinds_together():
    kinds = {number: {q.type for q in load(number).questions} for number in ("102", "104")}
    assert min(map(len, kinds.values())) >= 3
    assert kinds["102"] | kinds["104"] == KINDS


def test_each_bank_is_a_file_of_the_package():
    assert FOLDER.parent.name == "learn"
    assert {path.stem for path in FOLDER.iterdir()} == set(numbers())


GOOD = load("104")
ONE, MANY, NUMBER, ORDER = (GOOD.questions[i] for i in (0, 5, 2, 3))


def with_answers(question, **changes):
    """The question with other answers: `a0={...}` changes fields of its first one."""
    answers = [a.model_copy(update=changes.get(f"a{i}", {})) for i, a in enumerate(question.answers)]
    return question.model_copy(update={"answers": tuple(answers)})


def but(asked, /, **changes):
    return asked.model_copy(update=changes)


DEFAULT = Default(type="default", feedback="That is for any other number.")
RIGHT = Value(type="value", value=2, correct=True, feedback="That is the right number, two.")
SLIP = Range(type="range", range=(0, 9), correct=False, feedback="That is a wide range around it.")
PLANTED = {
    "2 questions; 3 to 6": (ONE, MANY),
    "7 questions; 3 to 6": (*GOOD.questions, but(ONE, id="x")),
    "the id zero-b is there twice": (ONE, MANY, but(NUMBER, id=ONE.id)),
    "zero-b: it neither asks": (but(ONE, question="B starts at zero."), MANY, NUMBER),
    "a question of 305 characters": (but(ONE, question="a" * 304 + "?"), MANY, NUMBER),
    "an answer of 0 characters": (with_answers(ONE, a0={"answer": ""}), MANY, NUMBER),
    "an answer of 81 characters": (with_answers(ONE, a0={"answer": "a" * 81}), MANY, NUMBER),
    "speaks of the other answers": (with_answers(ONE, a0={"answer": "None of the above"}), MANY, NUMBER),
    "the answer 'zero' is there twice": (with_answers(ONE, a0={"answer": "zero"}, a1={"answer": " Zero"}), MANY, NUMBER),
    "feedback of 0 characters": (with_answers(ONE, a0={"feedback": " "}), MANY, NUMBER),
    "feedback of 5 characters": (with_answers(NUMBER, a0={"feedback": "Wrong"}), MANY, ONE),
    "feedback of 301 characters": (with_answers(ORDER, a0={"feedback": "a" * 301}), MANY, ONE),
    "two answers have the same feedback": (with_answers(ONE, a0={"feedback": ONE.answers[1].feedback}), MANY, NUMBER),
    "`after` has 301 characters": (but(ONE, after="a" * 301), MANY, NUMBER),
    "2 things to put in order": (but(ORDER, answers=ORDER.answers[:2], shown=(2, 1)), MANY, ONE),
    "it is shown in the right order": (but(ORDER, shown=(1, 2, 3, 4)), MANY, ONE),
    "`after` is missing": (but(ORDER, after=""), MANY, ONE),
    "2 right answers; a multiple_choice question has one": (with_answers(ONE, a0={"correct": True}), MANY, NUMBER),
    "0 right and 4 wrong": (with_answers(ONE, a1={"correct": False}), MANY, NUMBER),
    "5 right and 0 wrong": (with_answers(MANY, a1={"correct": True}, a2={"correct": True}), ONE, NUMBER),
    "1 right and 0 wrong": (but(NUMBER, answers=(RIGHT, DEFAULT)), ONE, MANY),
    "its last answer is not the default": (but(NUMBER, answers=NUMBER.answers[:-1]), ONE, MANY),
    "2 is never told": (but(NUMBER, answers=(SLIP, RIGHT, DEFAULT)), ONE, MANY),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_and_is_the_only_one(fault):
    found = faults(Quiz("104", PLANTED[fault]))
    assert any(fault in sentence for sentence in found), found
    assert len(found) <= 2  # a multiple_choice question without a right answer breaks two rules


def turned(question, by: int):
    """The question with its right answer in place `by`."""
    right = next(a for a in question.answers if a.correct)
    wrong = [a for a in question.answers if not a.correct]
    return but(question, answers=(*wrong[:by], right, *wrong[by:]))


def test_right_answers_that_stand_in_one_place_or_are_the_longest_are_found():
    single = [q for quiz in ALL for q in quiz.questions if q.type == "multiple_choice"]
    first = [Quiz("104", tuple(turned(q, 0) for q in single))]
    assert faults_of_all(first) == [f"the right answer is a) in {len(single)} of {len(single)} single-choice questions"]
    half = [Quiz("104", tuple(turned(q, i % 2) for i, q in enumerate(single[:6])))]
    assert faults_of_all(half) == []
    assert faults_of_all([Quiz("104", first[0].questions[:3])]) == []
    longest = [with_answers(turned(q, i % 3), **{f"a{i % 3}": {"answer": "b" * 80}}) for i, q in enumerate(single)]
    assert "the right answer is the longest in" in faults_of_all([Quiz("104", tuple(longest))])[0]


def by_id(number: str, id: str):
    return next((n, q) for n, q in enumerate(load(number).questions, 1) if q.id == id)


def test_the_count_of_parameters_and_its_slips_are_computed():
    d_in, d_out, rank = 576, 1536, 8
    n, question = by_id("104", "count")
    assert all(f"{size:,}" in question.question for size in (d_in, d_out, rank))
    assert load("104").judge(n, rank * (d_in + d_out)).correct
    assert (
        f"{d_in * d_out:,} weights, so that is {rank * (d_in + d_out) / d_in / d_out:.1%}".replace("%", " %")
        in question.after
    )
    slips = {
        rank * d_in,
        rank * d_out,
        d_in * d_out,
        d_in * d_out * rank,
        2 * rank * (d_in + d_out),
        2 * rank * d_in,
        2 * rank * d_out,
    }
    assert slips == {a.value for a in question.answers if a.type == "value" and not a.correct}


def test_the_order_of_the_layers_steps_is_that_of_its_code():
    from course_lib.run.lora import LoRALinear

    (line,) = (line for line in inspect.getsource(LoRALinear.forward).splitlines() if "return" in line)
    assert line.strip() == "return self.base(x) + F.linear(F.linear(x, self.A), self.B) * self.scale"
    _, question = by_id("104", "forward")
    assert [step.answer.split()[0] for step in question.answers] == ["A", "B", "What", "The"]


def test_what_102_says_of_memory_is_what_the_memory_model_says():
    shape = ModelShape.of("meta-llama/Llama-3.1-8B")
    thrifty = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"}

    def needs(method="qlora", **other):
        return estimate(Plan(method=method, **{**thrifty, **other}), shape)

    lora, qlora = needs("lora"), needs()
    apart = lora.parts["weights"] - qlora.parts["weights"]
    assert qlora.parts["weights"] / lora.parts["weights"] == pytest.approx(1 / 3, abs=0.05)
    assert apart == pytest.approx(lora.device_gib - qlora.device_gib, rel=0.1)
    for method in ("adapters", "prompt_tuning"):
        assert needs(method).device_gib == pytest.approx(lora.device_gib, rel=0.02)
    changes = {"How many": {"n_train": 50_000}, "The learning": {"lr": 1e-5}, "The length": {"max_len": 2048}}
    changes |= {"Whether": {"gradient_checkpointing": False}, "The method": {"method": "lora"}}
    for option in by_id("102", "before-13b")[1].answers:
        change = next((change for words, change in changes.items() if option.answer.startswith(words)), None)
        assert change is None or option.correct == (needs(**change).device_gib != qlora.device_gib)
    n, _ = by_id("102", "bytes")
    assert load("102").judge(n, 8e9 * 2 / 1e9).correct
    assert load("102").judge(n, 8e9 * 2 / 2**30).correct


def test_what_102_says_of_recommend_is_what_it_says():
    assert recommend(gpu_gib=80, n_examples=60).method == "prompting"
    assert all(recommend(story.situation).method == story.method for story in SCENARIOS)
