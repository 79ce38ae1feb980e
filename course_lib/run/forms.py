"""The three forms that rows of data have: chats, preference pairs and plain texts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import pydantic

from course_lib.run import chat_row, pair_row, text_row

FormName = Literal["chat", "pair", "plain"]


@dataclass(frozen=True)
class Form:
    """One form: how its rows are called, what they need, and how a record becomes one."""

    rows: str
    needs: str
    keys: tuple[tuple[str, ...], ...]  # a record has all keys of one of these; a CSV file has the last
    adapter: pydantic.TypeAdapter  # checks the types of a record
    to_row: Callable[[dict], tuple[dict, list[str]]]  # the row, and the keys that it has no use for; raises Fault
    contents: Callable[[dict], tuple[str, ...]]  # all texts of a row; rows of equal texts are equal


def _chat(record: dict) -> tuple[dict, list[str]]:
    messages, extra = chat_row.to_messages(record)
    return {"messages": messages}, extra


FORMS = {
    "chat": Form(
        "chats",
        chat_row.NEEDS,
        (("messages",), ("prompt", "completion")),
        chat_row.RECORD,
        _chat,
        lambda row: tuple([message["content"] for message in row["messages"]]),
    ),
    "pair": Form(
        "preference pairs",
        pair_row.NEEDS,
        (pair_row.KEYS,),
        chat_row.OBJECT,
        pair_row.to_pair,
        lambda row: tuple([message["content"] for key in pair_row.KEYS for message in row[key]]),
    ),
    "plain": Form(
        "plain texts", text_row.NEEDS, (("text",),), chat_row.OBJECT, text_row.to_text, lambda row: (row["text"],)
    ),
}


def form_with(keys: Iterable[str]) -> FormName | None:
    """The form whose rows have such keys; None where no form has. Rows of pairs may carry a chat beside the pair."""
    keys = set(keys)
    if {"chosen", "rejected"} <= keys:
        return "pair"
    return next((name for name in ("chat", "plain") if any(set(one) <= keys for one in FORMS[name].keys)), None)
