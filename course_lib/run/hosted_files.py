"""Files for fine-tuning at a service (OpenAI, Together): written, checked before anything is uploaded, counted.

The rules are those of the services' public pages; the services themselves were never tried from here. Tokens are counted with
a tokenizer at hand, not with the service's own: an approximation.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from course_lib.errors import CourseError
from course_lib.folders import write_whole
from course_lib.run.assets import model_folder
from course_lib.run.chat_row import Fault, quote
from course_lib.run.data import load
from course_lib.run.hosted_rows import TOP, HostedForm, chats, check_line, to_line

COUNTER = "smollm2-135m"  # whose tokenizer counts, unless the caller gives one
LEAST = {"openai": 10, "together": 1}  # rows of a training file
LARGEST_MB = {"openai": 512, "together": 100_000}  # of one file
SHOWN = 100  # faults of one file
TRAIN, VALIDATION = "train.jsonl", "validation.jsonl"
KEPT = "hosted_files.json"  # beside the files: what `read_files` reads
NOTED = {"provider": str, "rows": int, "validation_rows": int, "tokens": int, "counted_by": str, "form": str}


@dataclass(frozen=True)
class HostedFiles:
    """What `write_files` wrote.

    train, validation: the files; validation is None where there is none. rows, validation_rows: examples in each.
    tokens: of the training rows, one epoch, chat template included; a pair counts with its prompt twice, once for each
    answer. counted_by: whose tokenizer counted them. form: chats, or preference pairs for DPO.
    """

    folder: Path
    provider: str
    train: Path
    validation: Path | None
    rows: int
    validation_rows: int
    tokens: int
    counted_by: str
    form: HostedForm = "chat"

    def __str__(self) -> str:
        held = f", {self.validation_rows:,} rows in {self.validation.name}" if self.validation else ""
        pairs = " of preference pairs" if self.form == "pair" else ""
        return (
            f"{self.rows:,} rows{pairs} in {self.train.name}{held}, in {self.folder}. About {self.tokens:,} training tokens "
            f"an epoch, counted with the tokenizer of {self.counted_by}; the service counts with its own, and bills by that."
        )


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
    """Write train.jsonl and validation.jsonl of a data set, one chat or one preference pair a line, as both services read them.

    The parts are those of `data.load`, so the test rows stay out of both files, and a model of the service can be scored on
    the same test as one trained here.

    Args:
        data, n_train, seed, on_reject: as in `data.load`.
        folder: where the files go; made if need be. Files of these names are replaced.
        validation: whether to write the data set's validation rows (a tenth of one's own file) as well.
        tokenizer: a chat tokenizer of `transformers` to count with; None = that of the course's own model.

    Raises:
        CourseError: as `data.load` (rows that cannot be used are named by line and reason), plain texts, an unknown provider,
            fewer rows than the service takes, a tokenizer without a chat template, or a folder that cannot be written.
    """
    _check_provider(provider)
    parts = load(data, n_train, seed, on_reject)
    if parts.answer == "plain":
        raise CourseError(
            f"{parts.name} holds plain texts, and services fine-tune on chats or preference pairs: give data of one of these."
        )
    form = "pair" if parts.answer == "pair" else "chat"
    if len(parts.train) < LEAST[provider]:
        raise CourseError(
            f"{parts.name} leaves {len(parts.train)} training rows, and {provider} takes no fewer than {LEAST[provider]}: add rows."
        )
    counted_by = COUNTER if tokenizer is None else str(getattr(tokenizer, "name_or_path", "") or "the caller's choice")
    tokens = _count(parts.train, form, tokenizer or _own_tokenizer())
    folder = Path(folder).expanduser()
    train, held = folder / TRAIN, folder / VALIDATION if validation else None
    rows_held = len(parts.valid) if held else 0
    files = HostedFiles(folder, provider, train, held, len(parts.train), rows_held, tokens, counted_by, form)
    try:
        write_whole(train, "".join(to_line(row, form) for row in parts.train))
        if held:
            write_whole(held, "".join(to_line(row, form) for row in parts.valid))
        write_whole(folder / KEPT, json.dumps({name: getattr(files, name) for name in NOTED}, indent=1) + "\n")
    except OSError as error:
        raise CourseError(
            f"The files could not be written to {folder} ({error.strerror}): give a folder with room that you may write to."
        ) from None
    return files


def read_files(folder: str | os.PathLike) -> HostedFiles:
    """What `write_files` wrote to a folder.

    Raises:
        CourseError: nothing, or what it noted there is damaged.
    """
    folder = Path(folder).expanduser()
    try:
        noted = json.loads((folder / KEPT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CourseError(f"There are no files for a service in {folder}: write them first.") from None
    except (OSError, ValueError, RecursionError):
        noted = None
    right = isinstance(noted, dict) and noted.keys() == NOTED.keys()
    right = right and all(type(noted[name]) is kind for name, kind in NOTED.items())
    if not right or noted["provider"] not in LEAST or noted["form"] not in TOP:
        raise CourseError(f"{folder / KEPT} is damaged: write the files anew.")
    held = folder / VALIDATION if noted["validation_rows"] else None
    return HostedFiles(folder, train=folder / TRAIN, validation=held, **noted)


def check_file(
    path: str | os.PathLike,
    provider: Literal["openai", "together"] = "openai",
    *,
    training: bool = True,
    form: HostedForm = "chat",
) -> list[str]:
    """What a service would refuse in a file, in words, each with its line; an empty list when nothing is found.

    It reads as strictly as the course reads a reader's own file, so it may refuse what a service would let pass (two user
    messages in a row, a row of more than 1 MB). It does not know the longest example of each model, nor judge the contents.

    training: False for a validation file, which may hold fewer rows. form: "pair" for a file of preference pairs.

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
            for fault in _faults(file, form, provider):
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


def _faults(file, form: HostedForm, provider: str) -> Iterator[str | None]:
    """For each line None, or "line place: reason"."""
    for number, line in enumerate(file, 1):
        raw = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            if not raw.strip():
                raise Fault("blank line", "", "is blank; remove the line")
            check_line(raw, form, provider)
        except Fault as fault:
            yield f"{f'{number} {fault.path}'.rstrip()}: {fault.reason}"
        else:
            yield None


def _count(rows: list[dict], form: HostedForm, tokenizer) -> int:
    if not getattr(tokenizer, "chat_template", None):
        raise CourseError(
            "This tokenizer has no chat template to count chats with: give that of an instruction-tuned model."
        )
    every = [chat for row in rows for chat in chats(row, form)]
    return sum(len(tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]) for chat in every)


def _own_tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_folder(COUNTER))


def _check_provider(provider: str) -> None:
    if provider not in LEAST:
        raise CourseError(f"provider is {quote(provider)}: choose one of {', '.join(LEAST)}.")
