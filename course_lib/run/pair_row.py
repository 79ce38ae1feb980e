"""One row of preference pairs: a prompt with a better and a worse answer, or refused with the place and the reason."""

import pydantic

from course_lib.run.chat_row import (
    Fault,
    Message,
    check_content,
    check_finite,
    order_fault,
    quote,
    type_fault,
)

KEYS = ("prompt", "chosen", "rejected")
NEEDS = "prompt, chosen and rejected"
MESSAGES = pydantic.TypeAdapter(list[Message])


def to_pair(record: dict) -> tuple[dict, list[str]]:
    """{"prompt": [messages], "chosen": [message], "rejected": [message]}, and the keys that a pair has no use for.

    Each of the three may be text or a list of messages: a prompt ends with the user, an answer is one message of the
    assistant. Raises Fault.
    """
    for key in KEYS:
        if key not in record:
            raise Fault("missing key", key, f"is missing; a preference pair needs {NEEDS}")
    extra = [key for key in record if key not in KEYS]
    for key in extra:
        check_finite(record[key], key)
    pair = {key: _messages(record[key], key, extra) for key in KEYS}
    _check_prompt(pair["prompt"])
    for key in KEYS[1:]:
        _check_answer(pair[key], key)
    if pair["chosen"][0]["content"].strip() == pair["rejected"][0]["content"].strip():
        raise Fault("equal answers", "rejected", "is the same answer as chosen; a pair needs a better and a worse one")
    return pair, extra


def _messages(value: object, key: str, extra: list[str]) -> list[dict]:
    if not isinstance(value, list):
        check_content(value, key)
        return [{"role": "user" if key == "prompt" else "assistant", "content": value}]
    try:
        messages = MESSAGES.validate_python(value)
    except pydantic.ValidationError as error:
        raise type_fault(error, (key,)) from None
    for i, message in enumerate(messages):
        check_content(message["content"], f"{key}.{i}.content")
        if len(message) > 2:
            check_finite(message, f"{key}.{i}")
            extra += [f"{key}.{name}" for name in message if name not in ("role", "content")]
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _check_prompt(prompt: list[dict]) -> None:
    roles = tuple([message["role"] for message in prompt])
    if not roles or roles == ("system",):
        raise Fault("no question", "prompt", "has no user message")
    if roles[-1] == "user":
        roles += ("assistant",)
    if fault := order_fault(roles, "prompt"):
        raise Fault(*fault)
    if len(roles) == len(prompt):
        raise Fault(
            "no question",
            f"prompt.{len(prompt) - 1}.role",
            "is assistant; the last message of a prompt must be the user's",
        )


def _check_answer(answer: list[dict], key: str) -> None:
    if len(answer) != 1:
        raise Fault(
            "no single answer",
            key,
            f"has {len(answer)} messages; must have one, the answer, and what comes before it stands in prompt",
        )
    if answer[0]["role"] != "assistant":
        raise Fault("bad role", f"{key}.0.role", f"is {quote(answer[0]['role'])}; an answer must be the assistant's")
