"""Texts become blocks in which every token is learned and none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib import CourseError
from course_lib.run.methods import load_tokenizer
from course_lib.run.plain_text import blocks


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return load_tokenizer(tiny)


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), min_size=1, max_size=8), st.integers(2, 9)
)
def test_the_blocks_joined_are_the_texts(tokenizer, texts, max_len):
    made = blocks(tokenizer, [{"text": text} for text in texts], max_len)
    ids = [token for block in made for token in block.input_ids]
    whole = [
        t for text in texts for t in (*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id)
    ]
    assert whole[: len(ids)] == ids
    assert len(whole) - len(ids) <= 1  # one token alone predicts nothing
    assert all(len(block) == max_len for block in made[:-1])
    assert all(block.labels == block.input_ids for block in made)


def test_no_texts_and_no_end_are_refused(tokenizer, tiny):
    with pytest.raises(CourseError, match="no texts"):
        blocks(tokenizer, [], 8)
    endless = load_tokenizer(tiny)
    endless.eos_token = None
    with pytest.raises(CourseError, match="end-of-sequence"):
        blocks(endless, [{"text": "a"}], 8)
