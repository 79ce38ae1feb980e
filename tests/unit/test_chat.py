import pytest

from course_lib import CourseError
from course_lib.run.chat import IGNORED, common_prefix, encode, encode_rows, show_mask
from course_lib.run.mails import mails
from course_lib.run.methods import load_tokenizer

ROW = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "3+3?"},
        {"role": "assistant", "content": "6"},
    ]
}
NO_MARKS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def tokenizer(tiny):
    return load_tokenizer(tiny)


def trained_text(tokenizer, row):
    return tokenizer.decode([label for label in encode(tokenizer, row).labels if label != IGNORED])


def test_answers_and_their_end_are_trained_on_and_nothing_else(tokenizer):
    assert trained_text(tokenizer, ROW) == "4<|im_end|>6<|im_end|>"


def test_a_template_without_marks_trains_on_the_last_answer(tokenizer):
    tokenizer.chat_template = NO_MARKS
    assert trained_text(tokenizer, ROW) == "6<|im_end|>\n"


def test_the_mask_can_be_seen_as_text_and_as_html(tokenizer):
    mask = show_mask(tokenizer, {"messages": [*ROW["messages"][:2], {"role": "assistant", "content": "<b>4"}]})
    assert "⟦<b>4<|im_end|>⟧" in str(mask)
    assert "&lt;b&gt;4" in mask._repr_html_()
    assert "<b>4" not in mask._repr_html_()


def test_a_row_that_never_ends_is_refused(tokenizer):
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{ message['content'] + '<|im_end|>' }}{% endgeneration %}",
        "{{ message['content'] }}{% endgeneration %}{{ '<|im_end|>' }}",
    )
    with pytest.raises(CourseError, match=r"Row 1 never ends: the trained part '46'"):
        encode_rows(tokenizer, [ROW], 512)


def test_a_row_with_nothing_to_train_on_is_refused(tokenizer):
    tokenizer.chat_template = tokenizer.chat_template.replace("== 'assistant'", "== 'model'")
    with pytest.raises(CourseError, match="Row 2 has nothing to train on"):
        encode_rows(
            tokenizer,
            [{"messages": [{**m, "role": m["role"].replace("assistant", "model")} for m in ROW["messages"]]}, ROW],
            512,
        )


def test_long_rows_are_refused_not_cut(tokenizer):
    with pytest.raises(CourseError, match="1 of 1 rows are longer than max_len = 20"):
        encode_rows(tokenizer, [ROW], 20)
    with pytest.raises(CourseError, match="no training rows"):
        encode_rows(tokenizer, [], 20)


def test_good_rows_raise_no_alarm(tokenizer):
    rows = mails(50, "train")
    assert len(encode_rows(tokenizer, rows, 2048)) == 50


def test_common_prefix():
    assert common_prefix([[1, 2, 3], [1, 2, 4, 5], [1, 2]]) == 2
    assert common_prefix([[1], [2]]) == 0
    assert common_prefix([[1, 2]]) == 2


def test_a_template_that_refuses_a_row_is_told_in_a_sentence(tiny):
    tokenizer = load_tokenizer(tiny)
    row = {"messages": [{"role": m, "content": "x"} for m in ("system", "user", "assistant")]}
    encode(tokenizer, row)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    )
    with pytest.raises(CourseError, match=r"refuses a row \(System role not supported\)"):
        encode(tokenizer, row)
