"""What held-out rows are: chats, pairs of answers or plain texts."""

from course_lib.errors import CourseError
from course_lib.run.chat_row import Fault, from_table
from course_lib.run.forms import FORMS, FormName, form_with


def in_one_form(rows: list[dict]) -> tuple[list[dict], FormName]:
    """The rows as `rows.read` would have read them from a file, and the form that all of them have.

    Raises:
        CourseError: there are no rows, or one that is none of the forms, or another one than the first row's, or not whole.
    """
    if not rows:
        raise CourseError("There are no rows to evaluate on: hold some out, or pass rows.")
    forms, clean = [], []
    for number, row in enumerate(rows, 1):
        form = form_with(row) if isinstance(row, dict) else None
        if form is None:
            raise CourseError(
                f"Row {number} is no chat (messages), no pair (prompt, chosen, rejected) and no plain text (text): give it the "
                "keys of one of them."
            )
        forms.append(form)
        if form != forms[0]:
            raise CourseError(
                f"Row {number} is one of {FORMS[form].rows}, row 1 one of {FORMS[forms[0]].rows}: evaluate one form at a time."
            )
        try:
            clean.append(FORMS[form].to_row(from_table(row, b"", FORMS[form].adapter, FORMS[form].needs))[0])
        except Fault as fault:
            raise CourseError(f"Row {number} cannot be evaluated: {fault.path} {fault.reason}.") from None
    return clean, forms[0]
