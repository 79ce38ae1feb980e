"""Callbacks of widgets that show their own errors."""

from functools import wraps

from course_lib.errors import CourseError


def safely(handler):
    """A widget's callback that never raises: what went wrong is said in the widget, and what was there before stays."""

    @wraps(handler)
    def guarded(self, *arguments, **named):
        if getattr(self, "_drawing", False):  # it is the widget itself that sets a control
            return
        try:
            handler(self, *arguments, **named)
        except CourseError as error:
            self._say(str(error), wrong=True)
        except Exception as error:
            self._say(f"Something went wrong here (our fault): {type(error).__name__}: {error}", wrong=True)

    return guarded
