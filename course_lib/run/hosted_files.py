"""Files for fine-tuning at a service (OpenAI, Together): written, checked before anything is uploaded, counted and priced.

The rules are those of the services' public pages; the services themselves were never tried from here. Tokens are counted with
a tokenizer at hand, not with the service's own: an approximation.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from course_lib.choose.cost import hosted_price
from course_lib.choose.gpus import prices
from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.run.assets import model_folder
from course_lib.run.chat_row import Fault, from_json, quote, to_messages
from course_lib.run.data import load
from course_lib.said import clip

COUNTER = "smollm2-135m"  # whose tokenizer counts, unless the caller gives one
LEAST = {"openai": 10, "together": 1}  # rows of a training file
LARGEST_MB = {"openai": 512, "together": 100_000}  # of one file
SHOWN = 100  # faults of one file
DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")  # gpt-4o-mini-2024-07-18 is priced as gpt-4o-mini


@dataclass(frozen=True)
class HostedFiles:
    """What `write_files` wrote.

    train, validation: the files; validation is None where there is none. rows, validation_rows: examples in each.
    tokens: of the training rows, one epoch, chat template included. counted_by: whose tokenizer counted them.
    """

    folder: Path
    provider: str
    train: Path
    validation: Path | None
    rows: int
    validation_rows: int
    tokens: int
    counted_by: str

    def __str__(self) -> str:
        held = f", {self.validation_rows:,} rows in {self.validation.name}" if self.validation else ""
        return (
            f"{self.rows:,} rows in {self.train.name}{held}, in {self.folder}. About {self.tokens:,} training tokens an epoch, "
            f"counted with the tokenizer of {self.counted_by}; the service counts with its own, and bills by that."
        )


@dataclass(frozen=True)
class Price:
    """dollars: US dollars before tax, None where no price is known. tokens: training tokens, all epochs counted."""

    dollars: float | None
    tokens: int
    words: str

    def __str__(self) -> str:
        return self.words


def write_files(
    data: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    provider: Literal["openai", "together"] = "openai",
    validation: bool = True,
    n_train: int | None = None,
    seed: int = 0,
    on_reject: Literal["stop", "drop"] = "stop",
    tokenizer=None,
) -> HostedFiles:
    """Write train.jsonl and validation.jsonl of a data set, one chat a line, as both services read them.

    The parts are those of `data.load`, so the test rows stay out of both files, and a model of the service can be scored on
    the same test as one trained here.

    Args:
        data, n_train, seed, on_reject: as in `data.load`.
        folder: where the files go; made if need be. Files of these names are replaced.
        validation: whether to write the data set's validation rows (a tenth of one's own file) as well.
        tokenizer: a chat tokenizer of `transformers` to count with; None = that of the course's own model.

    Raises:
        CourseError: as `data.load` (rows that cannot be used are named by line and reason), an unknown provider, fewer rows
            than the service takes, a tokenizer without a chat template, or a folder that cannot be written.
    """
    _check_provider(provider)
    parts = load(data, n_train, seed, on_reject)
    if len(parts.train) < LEAST[provider]:
        raise CourseError(
            f"{parts.name} leaves {len(parts.train)} training rows, and {provider} takes no fewer than {LEAST[provider]}: add rows."
        )
    counted_by = COUNTER if tokenizer is None else str(getattr(tokenizer, "name_or_path", "") or "the caller's choice")
    tokens = _count(parts.train, tokenizer or _own_tokenizer())
    folder = Path(folder).expanduser()
    train, held = folder / "train.jsonl", folder / "validation.jsonl" if validation else None
    try:
        write_whole(train, _lines(parts.train))
        if held:
            write_whole(held, _lines(parts.valid))
    except OSError as error:
        raise CourseError(
            f"The files could not be written to {folder} ({error.strerror}): give a folder with room that you may write to."
        ) from None
    rows_held = len(parts.valid) if held else 0
    return HostedFiles(folder, provider, train, held, len(parts.train), rows_held, tokens, counted_by)


def check_file(
    path: str | os.PathLike, provider: Literal["openai", "together"] = "openai", *, training: bool = True
) -> list[str]:
    """What a service would refuse in a file, in words, each with its line; an empty list when nothing is found.

    It reads as strictly as the course reads a reader's own file, so it may refuse what a service would let pass (two user
    messages in a row, a row of more than 1 MB). It does not know the longest example of each model, nor judge the contents.

    training: False for a validation file, which may hold fewer rows.

    Raises:
        CourseError: an unknown provider, or a file that cannot be read.
    """
    _check_provider(provider)
    path = Path(path).expanduser()
    if path.suffix.lower() != ".jsonl":
        return [f"{path.name} must end in .jsonl, with one JSON object a line."]
    faults, more, good = [], 0, 0
    try:
        if (size := path.stat().st_size / 1e6) > LARGEST_MB[provider]:
            return [f"{path.name} has {size:,.0f} MB; {provider} takes {LARGEST_MB[provider]:,} MB at most."]
        with path.open("rb") as file:
            for fault in _faults(file, provider):
                if fault is None:
                    good += 1
                elif len(faults) < SHOWN:
                    faults.append(f"{path.name}:{fault}")
                else:
                    more += 1
    except OSError as error:
        raise CourseError(
            f"{path} could not be read ({error.strerror}): check the path, or write the files anew."
        ) from None
    if more:
        faults.append(f"... and {more:,} more lines of {path.name}.")
    least = LEAST[provider] if training else 1
    if good < least:
        faults.append(f"{path.name} has {good} good rows; {provider} takes no fewer than {least}.")
    return faults


def price(
    files: HostedFiles, epochs: int, price_per_million_tokens: float | None = None, model: str | None = None
) -> Price:
    """About what training costs: tokens of the training rows x epochs x price.

    Args:
        epochs: passes over the training rows, 1 or more.
        price_per_million_tokens: US dollars, from the service's own page; None = the course's price table, which is from memory.
        model: looked up in that table, with or without a date at its end.

    Raises:
        CourseError: epochs below 1, or a price that is no number of 0 or more.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise CourseError(f"epochs is {quote(epochs)}: give a whole number of 1 or more.")
    tokens = files.tokens * epochs
    counted = f"{files.tokens:,} tokens x {epochs} {'epoch' if epochs == 1 else 'epochs'}, counted approximately"
    if price_per_million_tokens is not None:
        if not isinstance(price_per_million_tokens, int | float) or not 0 <= price_per_million_tokens < float("inf"):
            raise CourseError(
                f"A price of {quote(price_per_million_tokens)} is none: give US dollars per million tokens."
            )
        dollars = tokens / 1e6 * price_per_million_tokens
        return Price(
            dollars, tokens, f"About ${dollars:,.2f}: {counted}, at ${price_per_million_tokens:g} per million."
        )
    name = DATED.sub("", model or "")
    method = "sft" if files.provider == "openai" else "lora"
    if (name, method) in prices().hosted:
        dollars, table = hosted_price(tokens, name, method), prices()
        words = f"About ${dollars:,.2f}: {counted}, at the price of {table.as_of} for {name} ({table.note})."
        return Price(dollars, tokens, words)
    which = f"for {clip(model, 60)}" if model else "without a model's name"
    return Price(
        None,
        tokens,
        f"No price is known {which}: {counted}. Give price_per_million_tokens from the service's own page.",
    )


def _faults(file, provider: str) -> Iterator[str | None]:
    """For each line None, or "line place: reason"."""
    for number, line in enumerate(file, 1):
        raw = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            if not raw.strip():
                raise Fault("blank line", "", "is blank; remove the line")
            record = from_json(raw)
            if "messages" not in record:
                raise Fault("missing key", "messages", "is missing")
            _, extra = to_messages(record)
            unknown = [key for key in extra if not key.startswith("messages.")]
            if unknown and provider == "together":
                raise Fault("extra key", "", f"has the key {quote(unknown[0])}, which together refuses; remove it")
        except Fault as fault:
            yield f"{f'{number} {fault.path}'.rstrip()}: {fault.reason}"
        else:
            yield None


def _count(rows: list[dict], tokenizer) -> int:
    if not getattr(tokenizer, "chat_template", None):
        raise CourseError(
            "This tokenizer has no chat template to count chats with: give that of an instruction-tuned model."
        )
    return sum(len(tokenizer.apply_chat_template(row["messages"], return_dict=True)["input_ids"]) for row in rows)


def _own_tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_folder(COUNTER))


def _lines(rows: list[dict]) -> str:
    return "".join(json.dumps({"messages": row["messages"]}, ensure_ascii=False) + "\n" for row in rows)


def _check_provider(provider: str) -> None:
    if provider not in LEAST:
        raise CourseError(f"provider is {quote(provider)}: choose one of {', '.join(LEAST)}.")
