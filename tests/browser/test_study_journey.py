"""A sitting as a reader has it, by keyboard alone, in both front ends: a quiz, an item of the checklist, and what is left of
them after a reload, in a new kernel, and when the disk fails."""

import pytest

CELLS = ['import course_lib as course\n\ncourse.quiz("104")', "course.Dashboard()", "print('the kernel goes on')"]
RIGHT = "b) So that at the first step the model is the pretrained one"
WRONG = "c) So that only A is trained and B stays as it is"
ITEM = "Understand what fine-tuning is"


def recorded(reader) -> list[tuple]:
    return [(event["item"], event["outcome"]) for event in reader.events()]


@pytest.mark.parametrize("reader", ["lab", "notebook"], indirect=True)
def test_answers_and_ticks_by_keyboard_are_taken_once_and_outlive_kernel_and_page(reader):
    reader.write(*CELLS)
    reader.open()
    for _ in range(10):
        reader.run(0)
        reader.run(1)
    reader.choose(0)
    reader.press(WRONG)
    reader.sees("B is even the first to change", within="[role=status]")
    assert recorded(reader) == [("104.quiz.zero-b", "not yet")]
    reader.press(RIGHT, key="Space", back=True)
    reader.sees("Random numbers in both matrices", within="[role=status]")
    reader.fill("Your answer", "12,288")
    reader.press("Check")
    reader.sees("That is B alone", within="[role=status]")
    reader.fill("Your answer", "16896", back=True)
    reader.keys.press("Enter")
    reader.sees("A has 8 x 576 numbers", within="[role=status]")
    reader.picture("quiz-light.png", reader.output(0))
    reader.choose(1)
    reader.press(ITEM, key="Space")
    reader.sees("Ticked: Understand what fine-tuning is", within="[role=status]")
    reader.picture("dashboard-light.png", reader.output(1))
    kept = recorded(reader)
    assert kept[1:] == [
        ("104.quiz.zero-b", "correct"),
        ("104.quiz.count", "not yet"),
        ("104.quiz.count", "correct"),
        ("quick.what", "ticked"),
    ]

    def all_is_there() -> None:
        reader.sees("Question 1 of 6 (correct)")
        reader.sees("Question 3 of 6 (correct)")
        assert reader.page.get_by_label(ITEM).is_checked()

    reader.save()
    reader.open("Dark")
    all_is_there()
    reader.picture("quiz-dark.png", reader.output(0))
    reader.picture("dashboard-dark.png", reader.output(1))
    reader.restart_kernel()
    reader.run_all()
    all_is_there()
    assert recorded(reader) == kept
    assert reader.errors() == []


def test_a_failure_in_a_callback_is_said_in_the_cell_and_the_kernel_goes_on(reader):
    plant = "from course_lib.learn import acts, quiz\n\nquiz.keep = acts.keep = lambda *_, **__: 1 / 0"
    reader.write(*CELLS, plant)
    reader.open()
    reader.run_all()
    reader.run(0)
    reader.choose(0)
    progress = reader.folder / "my_work/progress"
    progress.parent.mkdir(exist_ok=True)
    reader.press(WRONG)
    reader.sees("our fault): ZeroDivisionError", within=f"{reader.output(0)} [role=alert]")
    reader.choose(1)
    reader.press(ITEM, key="Space")
    reader.sees("our fault): ZeroDivisionError", within=f"{reader.output(1)} [role=alert]")

    reader.restart_kernel()
    progress.write_text("not a folder")
    reader.run(0)
    reader.run(1)
    reader.choose(0)
    reader.press(WRONG)
    reader.sees("could not be saved", within=reader.output(0))
    reader.choose(1)
    reader.press(ITEM, key="Space")
    reader.sees("could not be saved", within=reader.output(1))
    reader.run(2)
    reader.sees("the kernel goes on")
    assert reader.errors() == []
