import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.choose.situation import Situation
from course_lib.errors import CourseError


def test_the_defaults_are_those_that_are_documented():
    assert Situation().model_dump() == {
        "gpu_gib": 0.0,
        "n_gpus": 1,
        "model_b": None,
        "n_examples": 1000,
        "preference_pairs": 0,
        "n_tasks": 1,
        "goal": "output_format",
        "task": "instruction",
        "quality": "good",
        "domain_shift": "small",
        "latency_critical": False,
        "on_device": False,
        "rapid_iteration": False,
        "first_time": False,
        "prompting_tried": True,
        "has_eval_set": True,
        "composable": False,
        "simple_task": False,
    }


def test_every_field_is_described():
    assert all(field.description for field in Situation.model_fields.values())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"gpu_gib": -1}, "gpu_gib = -1: it must be greater than or equal to 0 (memory of one GPU in GiB"),
        ({"gpu_gib": 80_000}, "gpu_gib = 80000: it must be less than or equal to 1024"),
        ({"gpu_gib": float("nan")}, "gpu_gib = nan: it must be a finite number"),
        ({"gpu_gib": float("inf")}, "gpu_gib = inf: it must be a finite number"),
        ({"gpu_gib": "16"}, "gpu_gib = '16': it must be a valid number"),
        ({"gpu_gib": True}, "gpu_gib = True: it must be a valid number"),
        ({"gpu_gib": None}, "gpu_gib = None: it must be a valid number"),
        ({"n_gpus": 0}, "n_gpus = 0: it must be greater than or equal to 1"),
        ({"n_gpus": 100_001}, "n_gpus = 100001: it must be less than or equal to 100000"),
        ({"n_gpus": True}, "n_gpus = True: it must be a whole number"),
        ({"n_gpus": "2"}, "n_gpus = '2': it must be a whole number"),
        ({"n_gpus": 1.5}, "n_gpus = 1.5: it must be a valid integer"),
        ({"model_b": 0}, "model_b = 0: it must be greater than 0"),
        ({"model_b": 10_001}, "model_b = 10001: it must be less than or equal to 10000"),
        ({"n_examples": -1}, "n_examples = -1: it must be greater"),
        ({"n_examples": 1e13}, "n_examples = 10000000000000: it must be less"),
        ({"n_examples": 10**5000}, "n_examples = a value of type int: it must be less"),
        ({"n_examples": float("inf")}, "n_examples = inf: it must be a finite number"),
        ({"first_time": 1}, "first_time = 1: it must be True or False"),
        ({"first_time": "yes"}, "first_time = 'yes': it must be True or False"),
        ({"goal": "output_fromat"}, "did you mean output_format?"),
        ({"goal": "Reduce_Harm"}, "did you mean reduce_harm?"),
        (
            {"task": "cooking"},
            "it must be 'instruction', 'classification', 'code' or 'domain_adaptation' (kind of task).",
        ),
        ({"quality": 3}, "it must be 'good' or 'best'"),
        ({"gpu_gb": 16}, "A situation has no field gpu_gb: did you mean gpu_gib?"),
        ({"colour": "red"}, "A situation has no field colour: the fields are gpu_gib, n_gpus"),
        ({"goal": "x" * 500}, "x..."),
    ],
)
def test_bad_input_gets_one_sentence(fields, says):
    with pytest.raises(CourseError) as error:
        Situation(**fields)
    sentence = str(error.value)
    assert says in sentence
    assert "\n" not in sentence
    assert len(sentence) < 350
    assert sentence[-1] in ".?"


@settings(deadline=None)
@given(
    st.sampled_from(sorted(Situation.model_fields)),
    st.one_of(
        st.integers(),
        st.floats(),
        st.text(),
        st.booleans(),
        st.none(),
        st.binary(),
        st.lists(st.integers()),
        st.complex_numbers(),
    ),
)
def test_any_value_is_taken_or_refused_in_one_sentence(name, value):
    try:
        outcome = getattr(Situation(**{name: value}), name)
    except CourseError as error:
        outcome = str(error)
    assert outcome == value or (f"field {name} = " in outcome and "\n" not in outcome)


def test_a_whole_float_counts_as_a_whole_number():
    assert Situation(n_examples=1e4) == Situation(n_examples=10_000)
    assert isinstance(Situation(n_examples=1e4).n_examples, int)


def test_the_largest_and_smallest_values_are_taken():
    assert Situation(gpu_gib=1024, n_gpus=100_000, model_b=10_000, n_examples=10**12, n_tasks=10**6).n_gpus == 100_000
    assert Situation(gpu_gib=0, n_examples=0, model_b=1e-6).n_examples == 0


def test_a_changed_copy_is_checked_and_leaves_the_first_as_it_was():
    situation = Situation(gpu_gib=24, n_tasks=3)
    assert situation.but(n_tasks=5) == Situation(gpu_gib=24, n_tasks=5)
    assert situation.n_tasks == 3
    with pytest.raises(CourseError, match="n_tasks = 0"):
        situation.but(n_tasks=0)
    with pytest.raises(CourseError, match="did you mean n_tasks"):
        situation.but(n_task=2)


def test_a_situation_cannot_be_changed_and_can_be_a_key():
    situation = Situation()
    with pytest.raises(Exception, match="frozen"):
        situation.n_tasks = 2
    assert {situation: 1}[Situation()] == 1
