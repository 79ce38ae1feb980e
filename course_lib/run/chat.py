"""From chat rows to tokens, with the loss mask in sight: which tokens a model is trained on."""

from dataclasses import dataclass
from html import escape

from jinja2 import TemplateError

from course_lib.errors import CourseError

IGNORED = -100  # the label that torch's cross_entropy skips


@dataclass(frozen=True)
class Encoded:
    """One row as tokens. `labels` equals `input_ids` where the model is trained and -100 elsewhere; both (seq,)."""

    input_ids: list[int]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.input_ids)


class TooLong(CourseError):
    """Some of the rows, which have `lengths`, are longer than max_len; `place`: where the longest stands, once that is known."""

    def __init__(self, lengths: list[int], max_len: int, place: str = ""):
        self.lengths, self.max_len, self.most = lengths, max_len, max(lengths)
        n = sum(length > max_len for length in lengths)
        super().__init__(
            f"{n} of {len(lengths)} rows are longer than max_len = {max_len} tokens (the longest{place and f', {place},'} has "
            f"{self.most}): raise max_len to {self.most} if the model reads so many, or shorten these rows; they are not cut, since "
            "that would cut their answers."
        )


@dataclass(frozen=True)
class Mask:
    """A row's tokens and whether each is trained on; shows itself as text or, in a notebook, as marked-up text."""

    pieces: tuple[tuple[str, bool], ...]

    def __str__(self) -> str:
        return "".join(f"⟦{text}⟧" if trained else text for text, trained in self.pieces)

    def _repr_html_(self) -> str:
        spans = (
            f'<mark title="trained on" style="outline: 1px solid #0072B2; background: none; color: inherit">{escape(text)}</mark>'
            if trained
            else escape(text)
            for text, trained in self.pieces
        )
        return f'<pre style="white-space: pre-wrap">{"".join(spans)}</pre>'

    __repr__ = __str__


def encode(tokenizer, row: dict) -> Encoded:
    """Tokens and labels of one chat row; only what the assistant says, its end-of-turn token included, is trained on.

    A chat template says where the assistant speaks with a `{% generation %}` block. Without one, the last answer is
    what the rendered chat adds to the rendered prompt.

    Raises:
        CourseError: the tokenizer has no chat template, or the template rewrites the prompt once the answer is there.
    """
    if not tokenizer.chat_template:
        raise CourseError(
            "This model's tokenizer has no chat template: take an instruction-tuned model, or set tokenizer.chat_template."
        )
    try:
        return _encode(tokenizer, row)
    except TemplateError as error:
        raise CourseError(
            f"This model's chat template refuses a row ({str(error).rstrip('.')}): write what it does not take, such as a system message, "
            "into the user's message."
        ) from None


def _encode(tokenizer, row: dict) -> Encoded:
    if "{% generation %}" in tokenizer.chat_template:
        chat = tokenizer.apply_chat_template(row["messages"], return_dict=True, return_assistant_tokens_mask=True)
        ids, trained = chat["input_ids"], chat["assistant_masks"]
    else:
        ids = tokenizer.apply_chat_template(row["messages"], return_dict=True)["input_ids"]
        prompt = prompt_ids(tokenizer, row)
        if ids[: len(prompt)] != prompt:
            raise CourseError(
                "This model's chat template changes the prompt once the answer is there: "
                "mark the answer with {% generation %} in the template."
            )
        trained = [i >= len(prompt) for i in range(len(ids))]
    return Encoded(ids, [token if on else IGNORED for token, on in zip(ids, trained, strict=True)])


def prompt_ids(tokenizer, row: dict) -> list[int]:
    """Tokens of a row without its last answer, ending where the assistant starts to speak."""
    return tokenizer.apply_chat_template(row["messages"][:-1], add_generation_prompt=True, return_dict=True)[
        "input_ids"
    ]


def encode_rows(tokenizer, rows: list[dict], max_len: int) -> list[Encoded]:
    """Encode rows for training and refuse those that would teach the wrong thing.

    Raises:
        TooLong: a row longer than `max_len` tokens (cutting it would cut its answer).
        CourseError: no rows; a row with nothing to train on; a row whose trained part never ends, so that the model would not
            learn to stop.
    """
    if not rows:
        raise CourseError("There are no training rows: give a file or data set with at least one row.")
    encoded = [encode(tokenizer, row) for row in rows]
    if max(lengths := [len(row) for row in encoded]) > max_len:
        raise TooLong(lengths, max_len)
    stops = _stop_ids(tokenizer)
    for number, row in enumerate(encoded, 1):
        trained = [token for token in row.labels[1:] if token != IGNORED]
        if not trained:
            raise CourseError(
                f"Row {number} has nothing to train on (no token is the assistant's): check its roles and the chat template."
            )
        if stops and not stops & set(trained):
            raise CourseError(
                f"Row {number} never ends: the trained part {tokenizer.decode(trained)!r} has no end-of-turn token, so the model would not "
                "learn to stop. Put the end token inside the template's {% generation %} block."
            )
    return encoded


def _stop_ids(tokenizer) -> set[int]:
    """Tokens that end a turn: the end-of-sequence token and common end-of-turn markers of chat templates."""
    names = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>")
    known = {tokenizer.convert_tokens_to_ids(name) for name in names if name in tokenizer.get_vocab()}
    return known | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())


def show_mask(tokenizer, row: dict) -> Mask:
    """Which tokens of a chat row are trained on: print it for text with ⟦trained⟧ marks, or end a notebook cell with it."""
    encoded = encode(tokenizer, row)
    runs: list[tuple[list[int], bool]] = []
    for token, label in zip(encoded.input_ids, encoded.labels, strict=True):
        trained = label != IGNORED
        if runs and runs[-1][1] == trained:
            runs[-1][0].append(token)
        else:
            runs.append(([token], trained))
    return Mask(tuple((tokenizer.decode(tokens), trained) for tokens, trained in runs))


def common_prefix(sequences: list[list[int]]) -> int:
    """How many leading tokens all sequences share."""
    first, last = min(sequences), max(sequences)
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
