"""One row of plain text, or refused with the place and the reason."""

from course_lib.run.chat_row import Fault, check_content, check_finite

NEEDS = "text"


def to_text(record: dict) -> tuple[dict, list[str]]:
    """{"text": ...}, and the keys that a plain text has no use for. Raises Fault."""
    if "text" not in record:
        raise Fault("missing key", "text", f"is missing; a plain text needs {NEEDS}")
    check_content(record["text"], "text")
    extra = [key for key in record if key != "text"]
    for key in extra:
        check_finite(record[key], key)
    return {"text": record["text"]}, extra
