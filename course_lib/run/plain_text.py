"""Plain texts as training rows: joined, cut into blocks, every token learned (continued pretraining)."""

from course_lib.errors import CourseError
from course_lib.run.chat import Encoded


def blocks(tokenizer, rows: list[dict], max_len: int) -> list[Encoded]:
    """The texts of `{"text": ...}` rows, an end-of-sequence token after each, joined and cut every `max_len` tokens.

    The last block is what is left over; a leftover of one token, which predicts nothing, is left out.

    Raises:
        CourseError: no texts, or a tokenizer without an end-of-sequence token.
    """
    if not rows:
        raise CourseError("There are no texts to learn from: give a file or data set with at least one.")
    if tokenizer.eos_token_id is None:
        raise CourseError(
            "This model's tokenizer has no end-of-sequence token to put between texts: set tokenizer.eos_token."
        )
    texts = tokenizer([row["text"] for row in rows], add_special_tokens=False)["input_ids"]
    tokens = [token for text in texts for token in (*text, tokenizer.eos_token_id)]
    cut = [tokens[start : start + max_len] for start in range(0, len(tokens), max_len)]
    return [Encoded(block, block) for block in cut if len(block) > 1]
