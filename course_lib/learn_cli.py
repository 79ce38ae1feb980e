"""`course next`, `progress`, `tick`, `path`, `quiz`, `check` and others: learning, from a terminal."""

from pathlib import Path
from typing import Annotated

import typer

from course_lib.errors import CourseError
from course_lib.learn import reader
from course_lib.said import say


def progress():
    """Show what you have done: bars, checklists, techniques, and what comes next."""
    reader.progress()


def next():
    """Say what comes next on your path."""
    reader.next()


def tick(item: Annotated[str, typer.Argument(help="its number or id, as `course progress` shows it")]):
    """Tick an item of a checklist by hand."""
    reader.tick(item)


def untick(item: Annotated[str, typer.Argument(help="its number or id, as `course progress` shows it")]):
    """Take back a tick by hand."""
    reader.untick(item)


def path(name: Annotated[str | None, typer.Argument(help="quick, deep or production; none describes them")] = None):
    """Choose a learning path."""
    reader.path(name)


def focus(technique: Annotated[str, typer.Argument(help="such as lora; off ends it; none says which")] = ""):
    """Put the lessons of one technique first."""
    reader.focus(technique)


def note(technique: Annotated[str, typer.Argument(help="such as lora")], words: list[str]):
    """Keep a note on a technique."""
    reader.note(technique, " ".join(words))


def export(file: Annotated[Path | None, typer.Argument(help="where to; none: into my_work")] = None):
    """Write your progress into one file, for another machine."""
    from course_lib.learn import exchange

    exchange.export(file)


def import_(file: Path):
    """Add the progress of a file that `course export` wrote."""
    from course_lib.learn import exchange

    exchange.import_(file)


def quiz(
    number: Annotated[str, typer.Argument(help="of the lesson, such as 104")],
    question: Annotated[int | None, typer.Argument(help="which question, from 1")] = None,
    answer: Annotated[str | None, typer.Argument(help="such as b, ac or 3.5")] = None,
):
    """Show the quiz of a lesson, or answer one of its questions."""
    from course_lib.learn.quiz import load

    if question is None:
        from course_lib.widgets.quiz import quiz as view

        say(
            f"{view(number).text()}\n\nIn the terminal: course quiz {number} QUESTION ANSWER, such as course quiz {number} 1 a"
        )
    elif answer is None:
        raise CourseError(f"An answer is missing: course quiz {number} {question} ANSWER, such as b.")
    else:
        say(str(load(number).answer(question, answer)))


def check(number: Annotated[str | None, typer.Argument(help="of a lesson, such as 104; none: all")] = None):
    """Check the exercises in my_work."""
    from course_lib.learn.check_all import check_my_work

    raise typer.Exit(check_my_work(number))


def stuck(tried: Annotated[list[str] | None, typer.Argument(help="what you tried; it is noted")] = None):
    """Say what to do when you are stuck, and note what you tried."""
    from course_lib.learn.stuck import stuck as say_it

    say_it(" ".join(tried or ()))


def add_to(app: typer.Typer) -> None:
    """Add the commands to the `course` command."""
    for command in (progress, next, tick, untick, path, focus, note, export, quiz, check, stuck):
        app.command()(command)
    app.command("import")(import_)
