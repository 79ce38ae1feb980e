"""Every widget in light and in dark, in both front ends: nothing that axe finds critical or serious, no text too faint, all
of it for the keyboard."""

import pytest
from faults import faults

CELLS = [
    "import course_lib as course",
    'course.quiz("104")',
    "course.Dashboard()",
    "course.Timer().start();",
    "course.Timer()",
    "course.Stuck()",
    "course.Selector()",
]
PRESSED = {  # in which cell what is pressed, before a second look at it
    1: ["c) So that only A", "B spreads these", "Check"],
    2: ["Quick Start", "LoRA", "Show: Before you start", "Show: Notes on"],
    4: ["Pause"],
    5: ["Explain the last error", "Write it down"],
}
VIEWS = ["More about your situation", "Comparison", "Scenarios", "Guides"]  # of the selector, one look at each


@pytest.mark.parametrize("reader", ["lab", "notebook"], indirect=True)
def test_every_widget_before_and_after_its_use(reader):
    reader.write(*CELLS)
    reader.open()
    reader.run_all()
    assert reader.errors() == []

    def press(cell: int, words: str) -> None:
        reader.page.locator(reader.output(cell)).get_by_role("button", name=words).first.click()
        reader.page.wait_for_timeout(300)

    found = {"first": faults(reader.page)}
    for cell, pressed in PRESSED.items():
        for words in pressed:
            press(cell, words)
    reader.page.wait_for_timeout(1_000)
    found["used"] = faults(reader.page)
    reader.save()
    reader.open("Dark")
    reader.sees("Quick Start")
    found["dark"] = faults(reader.page)
    for view in VIEWS if reader.lab.front == "lab" else ():
        press(6, view)
        found[f"dark {view}"] = faults(reader.page, reader.output(6))
    assert not any(found.values()), found
