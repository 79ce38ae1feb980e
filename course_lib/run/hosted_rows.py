"""How one row stands in a service's file: a chat, or a prompt with a preferred and another answer.

OpenAI and Together read the same two forms. A chat is {"messages": [...]}; a pair is {"input": {"messages": [...]},
"preferred_output": [message], "non_preferred_output": [message]}, one answer of the assistant in each.
"""

import json
from typing import Literal

from course_lib.run.chat_row import Fault, from_json, quote
from course_lib.run.forms import FORMS

HostedForm = Literal["chat", "pair"]
PLACES = {"prompt": "input.messages", "chosen": "preferred_output", "rejected": "non_preferred_output"}
TOP = {"chat": ("messages",), "pair": ("input", "preferred_output", "non_preferred_output")}


def to_line(row: dict, form: HostedForm) -> str:
    """A row of ours (a chat, or a pair in TRL's form) as a line of a service's file."""
    if form == "chat":
        record = {"messages": row["messages"]}
    else:
        record = {
            "input": {"messages": row["prompt"]},
            "preferred_output": row["chosen"],
            "non_preferred_output": row["rejected"],
        }
    return json.dumps(record, ensure_ascii=False) + "\n"


def chats(row: dict, form: HostedForm) -> list[list[dict]]:
    """The chats that training on a row goes through: one, or one for each answer of a pair."""
    return [row["messages"]] if form == "chat" else [row["prompt"] + row[answer] for answer in ("chosen", "rejected")]


def check_line(line: bytes, form: HostedForm, provider: str) -> None:
    """Raise Fault unless a service would take the line, as strictly as the course reads a reader's own file."""
    record = from_json(line, FORMS[form].adapter, " and ".join(TOP[form]))
    for key in TOP[form]:
        if key not in record:
            raise Fault("missing key", key, "is missing")
    extra = [key for key in record if key not in TOP[form]]
    if form == "chat":
        FORMS["chat"].to_row(record)
    else:
        _check_pair(record)
    if extra and provider == "together":
        raise Fault("extra key", "", f"has the key {quote(extra[0])}, which together refuses; remove it")


def _check_pair(record: dict) -> None:
    if not isinstance(record["input"], dict) or "messages" not in record["input"]:
        raise Fault("wrong type", "input", "must be an object with messages")
    pair = {"prompt": record["input"]["messages"], "chosen": record["preferred_output"]}
    pair["rejected"] = record["non_preferred_output"]
    for key, messages in pair.items():
        if not isinstance(messages, list):
            raise Fault("wrong type", PLACES[key], "must be a list of messages")
    try:
        FORMS["pair"].to_row(pair)
    except Fault as fault:
        ours, dot, rest = fault.path.partition(".")
        raise Fault(fault.kind, PLACES.get(ours, ours) + dot + rest, _renamed(fault.reason)) from None


def _renamed(reason: str) -> str:
    """A reason in the words of the service's file."""
    return reason.replace("as chosen", "as preferred_output").replace("in prompt", "in input")
