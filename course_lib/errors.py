"""The one kind of error that a reader is meant to see."""


class CourseError(Exception):
    """One plain sentence: what is wrong and what to do next.

    A notebook shows the sentence alone: the reader's next step is in it, not in our call stack.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]
