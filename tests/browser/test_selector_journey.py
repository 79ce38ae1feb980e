"""The selector as a reader meets it: by keyboard alone; answers outlive a reload and a kernel."""

import json

from faults import faults

from course_lib import Plan, Situation, recommend


def answer_the_five_questions(reader) -> None:
    reader.press("T4", "Space")
    reader.sees("14.75 GiB of GPU memory")
    reader.press("Next")
    reader.holds("very good will do")
    reader.press("every last drop")
    reader.sees("performance: every last drop")
    reader.press("very good will do", back=True)
    reader.press("Next")
    reader.holds("Number of tasks")
    reader.fill("Number of tasks", "-3")
    reader.sees("n_tasks = -3: it must be greater than or equal to 1")
    reader.fill("Number of tasks", "3", back=True)
    reader.sees("3 tasks")
    reader.press("Next")
    reader.holds("Speed of the deployed model is critical")
    reader.keys.press("Space")
    reader.sees("critical: yes")
    reader.press("Next")
    reader.holds("Training examples per task")
    reader.fill("Training examples", "2k")
    reader.press("See the answer")
    reader.sees("Your answer:")


def test_by_keyboard_five_questions_a_scenario_a_plan_then_a_reload_and_a_new_kernel(reader):
    reader.write("from course_lib import Selector\n\nselector = Selector()\nselector")
    reader.open()
    reader.run()
    work = reader.folder / "my_work"
    answer_the_five_questions(reader)
    mine = Situation(gpu_gib=14.75, n_tasks=3, latency_critical=True, n_examples=2000)
    kept = json.loads((work / "selector.json").read_text())
    assert (Situation(**kept["situation"]), kept["gpu"], kept["question"]) == (mine, "T4", 5)
    assert faults(reader.page) == []
    reader.picture("selector-light.png")

    reader.press("Save as my plan")
    reader.sees("Saved to")
    assert Plan.from_yaml(work / "my_plan.yaml") == recommend(mine).plan.but(precision="fp16")

    reader.press("Scenarios", back=True)
    reader.press("Domain-Specific LLM")
    reader.sees("Deep domain adaptation benefits from updating all parameters.")
    reader.press("Guides", back=True)
    reader.sees("What the memory model says:")
    reader.press("More about your situation", back=True)
    reader.press("classification")
    reader.sees("kind of task: classification")
    assert faults(reader.page) == []
    reader.press("Save as my plan")
    reader.sees("Saved to")
    reader.save()

    reader.open("Dark")
    reader.sees("kind of task: classification")
    reader.restart_kernel()
    reader.run()
    reader.sees("kind of task: classification")
    reader.sees("far from them (medicine, law)")
    assert faults(reader.page) == []

    reader.press("Decision tree")
    reader.press("Start again")
    reader.holds("no GPU")
    answer_the_five_questions(reader)
    assert faults(reader.page) == []
    reader.picture("selector-dark.png")
    assert reader.page.locator(".jp-Cell").count() == 1
    assert reader.errors() == []
