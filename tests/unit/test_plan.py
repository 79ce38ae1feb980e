import pytest

from course_lib import CourseError, Plan


def test_a_plan_survives_yaml(tmp_path):
    plan = Plan(method="qlora", rank=8, targets=("q_proj", "v_proj"), lr=1e-4)
    assert Plan.from_yaml(plan.to_yaml(tmp_path / "plan.yaml")) == plan


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rnk": 8}, "did you mean rank?"),
        ({"colour": "red"}, "the fields are model"),
        ({"rank": 0}, "rank = 0: it must be greater than or equal to 1"),
        ({"method": "qlora", "base_bits": 16}, "set base_bits to 4, or method to lora"),
        ({"method": "full", "base_bits": 4}, "set method to qlora, or base_bits to 16"),
        ({"sharding": "fsdp"}, "needs n_gpus of 2 or more"),
        ({"method": "qlora", "variant": "pissa"}, "set variant to plain, dora or rslora"),
        ({"variant": "dorra"}, "did you mean dora?"),
        ({"placement": "before"}, "must be 'houlsby' or 'pfeiffer'"),
        ({"lr": "fast"}, "lr = 'fast': it must be a valid number"),
    ],
)
def test_a_bad_plan_gets_one_sentence(fields, says):
    with pytest.raises(CourseError) as error:
        Plan(**fields)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"), [(None, "There is no plan file"), ("{: a", "is not YAML"), ("just text", "holds no plan")]
)
def test_a_bad_plan_file_gets_one_sentence(tmp_path, text, says):
    path = tmp_path / "plan.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CourseError, match=says):
        Plan.from_yaml(path)


def test_a_changed_copy_is_checked_and_has_another_id():
    plan = Plan(method="qlora", rank=8)
    assert plan.base_bits == 4
    assert plan.but(method="lora") == Plan(method="lora", rank=8)
    assert plan.but(rank=4).id != plan.id == Plan(method="qlora", rank=8).id
    with pytest.raises(CourseError):
        plan.but(rank=-1)
