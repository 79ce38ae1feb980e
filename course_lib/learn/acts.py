"""What a reader decides: a path, a focus, ticks by hand, notes. Each is recorded and answered in words; a failed save is too."""

from course_lib.errors import CourseError
from course_lib.learn.paths import LISTS, TECHNIQUES, Checklist, find_item, find_path, find_technique, list_of
from course_lib.learn.progress import keep, mine
from course_lib.learn.standing import LONGEST_NOTE, Mark, Standing, plain, standing


def now() -> Standing:
    """How far the reader is by all that is recorded."""
    return standing(mine().state())


def choose_path(name) -> str:
    """Choose a learning path by its id or title.

    Raises:
        CourseError: there is no such path.
    """
    path = find_path(name)
    words = f"Your path is {path.title}: {len(path.lessons)} lessons, {path.weeks}, {path.hours}."
    return _joined(words, keep("path", path.id))


def set_focus(technique) -> str:
    """Put the lessons of one technique first, or of none (None or "off").

    Raises:
        CourseError: there is no such technique.
    """
    if technique is None or (isinstance(technique, str) and technique.strip().casefold() == "off"):
        return _joined("No focus: the lessons come in the order of your path.", keep("focus", "off"))
    name = find_technique(technique)
    return _joined(f"Focus: {TECHNIQUES[name]}, until course.focus(None).", keep("focus", name))


def tick(name) -> str:
    """Tick an item by hand.

    Raises:
        CourseError: there is no such item.
    """
    item = find_item(name)
    before = now()
    if before.marks[item.id].ticked:
        return f"Already ticked: {item.words} ({before.marks[item.id].how})."
    trouble = keep(item.id, "ticked")
    return _joined(won_words(before, now()), trouble)


def untick(name) -> str:
    """Take back a tick by hand; what lessons, exercises and quizzes tick stays.

    Raises:
        CourseError: there is no such item.
    """
    item = find_item(name)
    mark = now().marks[item.id]
    if not mark.ticked:
        return f"Not ticked: {item.words}."
    if not mark.by_hand:
        return f"{item.words} stays ticked ({mark.how}): only a tick by hand can be taken back."
    trouble = ""
    try:
        mine().undo(item.id)
    except CourseError as error:
        trouble = str(error)
    after = now()
    if after.marks[item.id].ticked:
        return _joined(f"Your own tick is taken back; {item.words} stays ticked ({after.marks[item.id].how}).", trouble)
    return _joined(f"Unticked: {item.words}. {count_words(after, list_of(item))}", trouble)


def write_note(technique, words) -> str:
    """Keep a note on a technique, in place of the one before; nothing or blanks take it away.

    Raises:
        CourseError: there is no such technique, or the note is no text.
    """
    name = find_technique(technique)
    if not isinstance(words, str):
        raise CourseError(f"A note is text, such as course.note({name!r}, 'rank 8 was enough'); '' takes it away.")
    whole = " ".join(words.split())
    text = whole[:LONGEST_NOTE]
    # The space at the end keeps a note such as "done" from being an outcome that completes.
    trouble = keep(f"note.{name}", f"{text} ")
    said = f"Noted on {TECHNIQUES[name]}: {plain(text)}" if text else f"No note on {TECHNIQUES[name]}."
    return _joined(said, f"Only its first {LONGEST_NOTE:,} characters are kept." * (whole != text), trouble)


def celebrate(on: bool) -> str:
    """Celebrate completed items, or do not."""
    words = f"Completed items are {'celebrated' if on else 'ticked without a celebration'}."
    return _joined(words, keep("celebrate", "on" if on else "off"))


def won(before: Standing, after: Standing) -> list[Mark]:
    """The items that were ticked in between."""
    return [mark for id, mark in after.marks.items() if mark.ticked and not before.marks[id].ticked]


def won_words(before: Standing, after: Standing) -> str:
    """What was ticked in between, list by list: "Ticked: Run beginner LoRA example. Quick Start: 2 of 6." Empty = nothing."""
    lines = []
    for one in LISTS:
        if items := [mark.item for mark in won(before, after) if mark.item in one.items]:
            lines.append(f"Ticked: {'; '.join(item.words for item in items)}. {count_words(after, one)}")
    if lines and after.celebrate:
        lines[-1] += " Well done!"
    return "\n".join(lines)


def count_words(now: Standing, checklist: Checklist) -> str:
    """How many items of a checklist are ticked: "Quick Start: 2 of 6." """
    done, of = now.count(checklist)
    if done == of:
        return f"{checklist.title}: {done} of {of}, all done."
    return f"{checklist.title}: {done} of {of}."


def _joined(*lines: str) -> str:
    return "\n".join(filter(None, lines))
