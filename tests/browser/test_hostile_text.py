"""Text that would run as code, typed or found in files: it is shown as it is, nothing of it runs and nothing is fetched."""

import nbformat

EVIL = "<img src=http://evil.invalid/x onerror=alert(1)>"
ALL = f"{EVIL} <script>alert(2)</script> </style></div><svg onload=alert(3)> [press](javascript:alert(4)) ![x](http://evil.invalid/y)"
FILES = f"""import course_lib as course

evil, long = {ALL!r}, "<b>" * 4_000_000
for item in ("path", "focus", "celebrate", "note.qlora", "quick.what", "104", "104.1", "104.quiz.zero-b", evil):
    course.Progress("my_work/progress").record(item, evil, given=evil, title=evil)
course.Progress("my_work/progress").record("note.full", long)
calls = [course.lesson, course.finish, course.path, course.focus, course.tick, course.untick, course.quiz, course.stuck]
calls += [lambda words: course.note("lora", words), lambda words: course.quiz("104").answer(1, words)]
for call in calls:
    for words in (long, evil):
        try:
            call(words)
        except course.CourseError as error:
            print(error)
course.progress()
course.next()"""
CELLS = [
    FILES,
    "course.Dashboard()",
    'course.quiz("104")',
    "course.Timer()",
    "raise ValueError(evil)",
    "course.Stuck()",
]


def test_the_listeners_hear_what_runs(reader):
    reader.write(f"from ipywidgets import HTML\n\nHTML({EVIL!r})")
    reader.open()
    reader.run()
    reader.page.wait_for_timeout(2_000)
    assert {"dialog: 1", "http://evil.invalid/x"} <= set(reader.alien)
    reader.alien.clear()


def test_hostile_text_is_shown_as_text_and_runs_nowhere(reader):
    reader.write(*CELLS)
    reader.open()
    for cell in range(len(CELLS)):
        reader.run(cell)
    assert [error for error in reader.errors() if "ValueError" not in error] == []
    for cell in (0, 1):
        reader.sees(EVIL, within=reader.output(cell))

    reader.choose(1)
    reader.press("Show: Notes on techniques")
    reader.page.get_by_label("Adapters", exact=True).fill(ALL)
    reader.keys.press("Tab")
    reader.sees("Noted on Adapters: <img", within="[role=status]")
    reader.choose(2)
    reader.fill("Your answer", EVIL)
    reader.press("Check")
    reader.sees("<img src=", within=f"{reader.output(2)} [role=alert]")
    reader.choose(3)
    reader.fill("Focus, minutes", EVIL)
    reader.press("Start", back=True)
    reader.sees("<img src=", within=f"{reader.output(3)} [role=alert]")
    reader.choose(5)
    reader.fill("What did you try?", EVIL)
    reader.press("Explain the last error")
    reader.sees(EVIL, within=f"{reader.output(5)} [role=status]")
    reader.press("Write it down")
    reader.sees("stuck.md", within=f"{reader.output(5)} [role=status]")
    reader.page.wait_for_timeout(2_000)
    assert reader.alien == []

    reader.save()
    reader.open("Dark")
    reader.sees(EVIL, within=reader.output(1))
    reader.page.wait_for_timeout(2_000)
    assert reader.alien == []
    kept = [output for cell in nbformat.read(reader.notebook, 4).cells for output in cell.outputs]
    assert all(EVIL not in output.get("data", {}).get("text/html", "") for output in kept)
    assert reader.notebook.stat().st_size < 1_000_000
