"""What can be wrong with the rows of a reader's file as a whole: too few, nearly all alike, one answer, known from the test."""

from course_lib.errors import CourseError
from course_lib.run.chat_row import quote
from course_lib.run.near_copies import groups_of
from course_lib.run.rows import Rows

LEAST = 10  # rows of one's own file, near copies counted as one


def check_rows(found: Rows) -> list[int]:
    """The group of near copies of each row, as `near_copies.split` takes them.

    Raises CourseError for fewer than 10 rows, one answer to all of them, or fewer than 10 that are no near copies.
    """
    name, n = found.path.name, len(found.rows)
    if n < LEAST:
        raise CourseError(
            f"{name} has {n} good rows, too few to hold some out for a test: add rows until there are at least {LEAST} "
            "of them, better 100 or more."
        )
    answers = {row["messages"][-1]["content"].strip() for row in found.rows if "messages" in row}
    if len(answers) == 1:
        raise CourseError(
            f"All {n:,} rows of {name} have the same answer, {quote(*answers)}, so that there is nothing to learn or to "
            "measure: add rows with other answers."
        )
    groups = groups_of(found.rows)
    if (different := len(set(groups))) < LEAST:
        raise CourseError(
            f"The {n:,} rows of {name} hold only {different} that differ, copies and near copies counted as one, and at "
            f"least {LEAST} are needed to hold some out for a test: replace the copies by other rows."
        )
    return groups


def check_leak(found: Rows, held: Rows) -> None:
    """Raise CourseError when rows to learn from are copies or near copies of test rows, directly or through others, or when
    there are no test rows."""
    if not held.rows:
        raise CourseError(f"{held.path.name} has no good row to test on: give a file with some, or leave test out.")
    n = len(found.rows)
    groups = groups_of(found.rows + held.rows)
    tested = {groups[n + i]: i for i in reversed(range(len(held.rows)))}
    known = [i for i in range(n) if groups[i] in tested]
    if not known:
        return
    name, test = found.path.name, held.path.name
    first, its_twin = found.lines[known[0]], held.lines[tested[groups[known[0]]]]
    raise CourseError(
        f"{len(known):,} of {n:,} rows of {name} are copies or near copies of test rows of {test} (the first: {found.where(first)}, "
        f"like {held.where(its_twin)}), so that the test would ask what was learned by heart: remove them from {name}, or leave "
        "test out, and load holds out rows by itself."
    )
