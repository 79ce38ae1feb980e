"""The selector without a browser: controls set and pressed in Python, answers kept in a folder, pure HTML and text."""

import ast
import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser

import ipywidgets
import nbformat
import pytest

from course_lib import SCENARIOS, CourseError, Plan, Selector, Situation, largest_model, recommend
from course_lib.authoring import build, lint
from course_lib.choose.decision import Reason
from course_lib.choose.gpus import gpus
from course_lib.widgets import selector as selector_module
from course_lib.widgets.answers import Answers, read, replace, write
from course_lib.widgets.card import card_html, card_text, change_in_words, costs, for_card, plan_code, rows_trained
from course_lib.widgets.figures import BARS, memory_by_method, path_in_words, path_picture
from course_lib.widgets.markup import html, rich, table, tag
from course_lib.widgets.tables import LEAST, card_label, guides_html, memory_model_says
from course_lib.widgets.words import FIELDS, QUESTIONS, read_number, write_number


@pytest.fixture
def selector(tmp_path):
    return Selector(tmp_path)


def answer(selector, **values):
    for name, value in values.items():
        selector.controls[name].value = value


def everything(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from everything(child)


def words(markup):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", str(markup)))


def test_answers_by_controls_give_what_recommend_gives(selector):
    answer(selector, gpu_gib="16 GB", n_examples="2k", quality="best", n_tasks="3", latency_critical=True, model_b="7B")
    s = Situation(gpu_gib=16, n_examples=2000, quality="best", n_tasks=3, latency_critical=True, model_b=7)
    assert selector.situation == s
    assert selector.recommendation == recommend(s)
    assert selector.plan == recommend(s).plan
    assert selector.text().splitlines()[2:] == card_text(recommend(s)).splitlines()
    assert f"\n{recommend(s)}\n" in selector.text()


def test_every_field_of_a_situation_has_a_control_that_shows_it(selector):
    assert set(FIELDS) == set(Situation.model_fields)
    assert set(selector.controls) == {*FIELDS, "gpu"}
    shown = [name for q in QUESTIONS for name in q.fields] + list(selector_module.MORE)
    assert sorted(shown) == sorted(FIELDS)
    for name, field in FIELDS.items():
        allowed = Situation.model_fields[name].annotation
        if field.kind == "list":
            assert {value for _, value in field.choices} == set(allowed.__args__), name


def test_five_questions_back_and_the_answer(selector):
    titles = []
    for _ in range(5):
        titles.append(re.search(r"Question \d of 5: [^<]+", selector.question.value)[0])
        shown = [i for i, box in enumerate(selector.asked) if box.layout.display != "none"]
        assert shown == [len(titles) - 1]
        selector.next.click()
    assert titles[0] == "Question 1 of 5: GPU Resources (VRAM)"
    assert titles[4] == "Question 5 of 5: Dataset Size"
    assert "Your answer: Fine-tuning at a service" in selector.question.value
    assert "answer: Fine-tuning at a service" in selector.path.value
    selector.back.click()
    assert "Question 5 of 5" in selector.question.value
    selector.again.click()
    assert selector.answers == Answers()
    assert selector.back.disabled


def test_a_named_gpu_sets_its_memory_and_a_typed_memory_forgets_the_name(selector):
    answer(selector, gpu="nvidia rtx4090")
    assert (selector.device, selector.situation.gpu_gib) == ("RTX 4090", 23.6)
    assert selector.controls["gpu"].value == "RTX 4090"
    assert selector.controls["gpu_gib"].value == "23.6"
    assert "Time:" in selector.text()
    assert "US dollars" in selector.text()
    answer(selector, gpu_gib="24")
    assert (selector.device, selector.situation.gpu_gib) == (None, 24)
    assert selector.controls["gpu"].value == ""
    selector.common["T4"].click()
    assert (selector.device, selector.situation.gpu_gib) == ("T4", 14.75)
    selector.common[""].click()
    assert (selector.device, selector.situation.gpu_gib) == (None, 0)
    answer(selector, gpu="cpu-8")
    assert (selector.device, selector.situation.gpu_gib) == ("cpu-8", 0)


def test_a_card_without_bf16_gets_a_plan_in_fp16_that_fits(selector):
    selector.common["T4"].click()
    assert selector.plan == recommend(gpu_gib=14.75).plan.but(precision="fp16")
    assert any("T4 has no bf16" in r.text for r in selector.recommendation.reasons)
    assert not any("If the card has no bf16" in w.text for w in selector.recommendation.warnings)
    assert 'precision="fp16"' in selector.code.value
    selector.common["RTX 4090"].click()
    assert selector.plan.precision == "auto"
    assert not any("bf16" in r.text for r in selector.recommendation.warnings)
    answer(selector, gpu_gib="16")
    assert selector.recommendation == recommend(gpu_gib=16.0)


@pytest.mark.parametrize(
    ("name", "typed", "says"),
    [
        ("n_tasks", "-3", "n_tasks = -3: it must be greater than or equal to 1"),
        ("gpu_gib", "lots", "&#x27;lots&#x27; is no number that I can read. Type one such as 16 or 23.6."),
        ("gpu_gib", "1e999", "gpu_gib = inf: it must be a finite number"),
        ("n_examples", "", "the box is empty"),
        ("n_examples", "1,5", "is no number that I can read"),
        ("n_examples", "9" * 5000, "n_examples"),
        ("n_gpus", "0", "greater than or equal to 1"),
        ("gpu", "RTX 4091", "There is no device RTX 4091 in the table: the nearest names are"),
        ("gpu", "RTX " * 5000, "too long for the name of a card"),
        ("gpu", "<script>4090", "&lt;script&gt;"),
        ("n_examples", "<script>alert(1)</script>", "&lt;script&gt;"),
    ],
)
def test_a_bad_answer_is_told_in_a_sentence_and_the_last_good_one_stays(selector, tmp_path, name, typed, says):
    answer(selector, n_examples="3000")
    card, kept = selector.card.value, (tmp_path / "selector.json").read_text()
    answer(selector, **{name: typed})
    assert says in selector.message.value
    assert 'role="alert"' in selector.message.value
    assert "Traceback" not in selector.message.value
    assert "<script" not in selector.message.value
    assert len(selector.message.value) < 400
    assert selector.card.value == card
    assert (tmp_path / "selector.json").read_text() == kept
    answer(selector, n_tasks="2")
    assert selector.message.value == ""
    assert selector.controls["n_examples"].value == "3,000"


def test_a_callback_that_breaks_says_so_and_goes_on(selector, monkeypatch):
    card = selector.card.value

    def breaks(_):
        raise RuntimeError("the <b>works</b>")

    monkeypatch.setattr(selector_module, "recommend", breaks)
    for press in (selector.next, selector.again, selector.views["guides"], selector.scenarios["Rapid Iteration"]):
        press.click()
        assert "Something went wrong here (our fault): RuntimeError: the &lt;b&gt;" in selector.message.value
    answer(selector, n_tasks="4")
    assert selector.card.value == card
    assert selector.situation == Situation()
    monkeypatch.undo()
    answer(selector, n_tasks="5")
    assert (selector.message.value, selector.situation.n_tasks) == ("", 5)


def test_answers_are_kept_for_the_next_selector(selector, tmp_path):
    answer(selector, gpu="A100-80GB", n_examples="50k", goal="reduce_harm", preference_pairs="400", on_device=True)
    selector.next.click()
    selector.views["comparison"].click()
    again = Selector(tmp_path)
    assert again.answers == selector.answers
    assert again.text() == selector.text()
    assert again.controls["n_examples"].value == "50,000"
    assert "Memory to train" in again.tables["comparison"].value
    assert {path.name for path in tmp_path.iterdir()} == {"selector.json"}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b"{}", b'{"form": 0}', b'{"form": 1}', b"[" * 100_000, b'{"form": 1, "situation": []}',
        b'{"form": 1, "situation": {"gpu_gib": -1}}', b'{"form": 1, "situation": {"gpus": 3}}', b'{"form": 1, "situation": {}, "view": 3}',
        b'{"form": 1, "situation": {}, "question": 9}', b'{"form": 1, "situation": {}, "gpu": "T5000"}',
        b'{"form": 1, "situation": {}, "view": []}',
    ],
)  # fmt: skip
def test_damaged_answers_are_passed_over_with_a_word(tmp_path, content):
    (tmp_path / "selector.json").write_bytes(content)
    selector = Selector(tmp_path)
    assert selector.answers == Answers()
    assert "the questions start afresh" in selector.message.value
    answer(selector, n_tasks="2")
    assert read(tmp_path / "selector.json") == (selector.answers, "")


def test_unknown_entries_of_a_newer_file_do_not_matter(tmp_path):
    write(Answers(Situation(n_tasks=7), question=2), tmp_path / "selector.json")
    kept = json.loads((tmp_path / "selector.json").read_text())
    (tmp_path / "selector.json").write_text(json.dumps({**kept, "colour": "blue"}))
    assert read(tmp_path / "selector.json") == (Answers(Situation(n_tasks=7), question=2), "")


def test_a_folder_that_cannot_be_written_is_told_and_nothing_stops(tmp_path):
    (tmp_path / "work").write_text("a file where the folder should be")
    selector = Selector(tmp_path / "work")
    answer(selector, gpu_gib="16")
    assert selector.situation.gpu_gib == 16
    assert "selector.json could not be written" in selector.message.value
    selector.save.click()
    assert "my_plan.yaml could not be written" in selector.message.value


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "selector.json"
    assert replace(path, "old") == ""
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert "No space left on device" in replace(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_save_writes_the_plan_that_lessons_read(selector, tmp_path):
    answer(selector, gpu_gib="16", n_examples="2000", model_b="7")
    selector.save.click()
    assert Plan.from_yaml(tmp_path / "my_plan.yaml") == selector.plan
    assert "Saved to" in selector.status.value
    assert 'role="status"' in selector.status.value
    answer(selector, n_tasks="2")
    assert selector.status.value == ""


def test_prompting_has_no_plan_to_save_and_a_service_is_told_apart(selector, tmp_path):
    answer(selector, prompting_tried=False)
    assert (selector.recommendation.method, selector.plan) == ("prompting", None)
    assert selector.code.layout.display == "none"
    selector.save.click()
    assert "There is no plan to save: the answer is prompting" in selector.message.value
    assert not (tmp_path / "my_plan.yaml").exists()
    answer(selector, prompting_tried=True)
    assert selector.recommendation.method == "hosted"
    selector.save.click()
    assert "not meant to be trained on this machine" in selector.status.value


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_scenario_is_told_and_becomes_the_situation(selector, scenario):
    selector.views["scenarios"].click()
    selector.scenarios[scenario.name].click()
    told = words(selector.tables["scenarios"].value)
    ours = recommend(scenario.situation)
    assert scenario.text in told
    assert scenario.reasoning in told
    assert "the same as published" in told
    assert selector.situation == scenario.situation
    assert selector.recommendation == ours
    assert [b.description for b in selector.scenarios.values() if b.description.startswith("✓")] == [
        f"✓ {scenario.name}: {scenario.published}"
    ]
    answer(selector, n_tasks="77")
    assert "You have changed answers since" in selector.tables["scenarios"].value


def test_guides_at_16_gb_show_where_lesson4_contradicts_itself_and_what_the_memory_model_says(selector):
    selector.views["guides"].click()
    answer(selector, gpu_gib="16")
    few = words(selector.tables["guides"].value)
    for key in ("module9", "lesson4", "overview", "practices", "selector"):
        assert key in few
    assert "For 16 GB lesson4&#x27;s decision tree says 7-70B, its hardware table says 13B." in few
    assert "Contradiction:" in few
    assert f"surely fits 16 GiB has {largest_model(16, 'qlora', **LEAST):.2g} billion parameters" in few
    selector.everything.click()
    assert selector.everything.description == "Show fewer"
    every = words(selector.tables["guides"].value)
    assert every.count("Contradiction:") > few.count("Contradiction:")
    assert "All that the guides say here" in every


def test_silent_guides_are_said_to_be_silent_and_cards_are_read_by_their_label():
    assert "Nothing in it applies to this situation." in guides_html(Situation(gpu_gib=20))
    assert [card_label(x) for x in (0, 14.75, 16, 22.1, 23.6, 44.4, 79.15, 139.8, 178.4, 500)] == [
        0, 16, 16, 24, 24, 48, 80, 141, 180, 500
    ]  # fmt: skip
    assert "your 23.6 GiB are read as 24 GB" in guides_html(Situation(gpu_gib=23.6))
    assert "no model surely fits 1 GiB" in memory_model_says(1)


def test_memory_bars_judge_by_the_interval(selector):
    memory = memory_by_method(recommend(gpu_gib=16, model_b=7))
    verdicts = {bar.method: bar.verdict for bar in memory.bars}
    assert tuple(verdicts) == BARS
    assert (verdicts["full"], verdicts["qlora"]) == ("does not fit", "fits")
    for bar in memory.bars:
        assert bar.low <= bar.point <= bar.high
        assert (bar.verdict == "fits") == (bar.high <= 16)
    cpu = memory_by_method(recommend(model_b=0.135))
    assert {b.method: b.verdict for b in cpu.bars}["qlora"] == "needs a GPU"
    selector.views["comparison"].click()
    shown = words(selector.tables["comparison"].value)
    assert "5 of 5 stars" in shown
    assert "Small adapter weights (~10-50MB)" in shown


def test_the_path_says_in_words_what_it_draws():
    rec = recommend(gpu_gib=23.6, quality="best", n_tasks=3, n_examples=20_000)
    said = path_in_words(rec)
    assert said.startswith(
        "GPU memory: up to 48 GiB → Performance: every last drop → Tasks: 2 to 9 → Latency: not critical"
    )
    drawn = path_picture(rec)
    assert drawn.count("✓") == 6
    assert f"<desc>{said}</desc>" in drawn
    assert path_picture(rec, 2).count("✓") == 2
    assert path_in_words(rec, 0) == "No question answered yet."


def test_the_code_of_a_plan_makes_that_plan():
    for s in [scenario.situation for scenario in SCENARIOS] + [Situation(gpu_gib=16, model_b=7), Situation()]:
        plan = for_card(recommend(s), "T4" if s.gpu_gib == 15 else None).plan
        code = plan_code(plan)
        ast.parse(code)
        names = {}
        exec(code, names)
        assert names["plan"] == plan
        assert "base_bits" not in code


def test_costs_count_the_rows_that_are_trained_on():
    rec = recommend(gpu_gib=79.15, goal="reduce_harm", preference_pairs=500, n_examples=2000)
    assert (rec.objective, rows_trained(rec)) == ("dpo", 1000)
    assert any("Counted: 1,000 rows" in line for line in costs(rec, "A100-80GB"))
    assert costs(recommend(prompting_tried=False)) == ()
    assert any("give your GPU by name" in line for line in costs(rec))
    assert any("Price at a service" in line for line in costs(recommend(n_examples=5000)))
    assert any("2-core computer" in line for line in costs(recommend(model_b=0.135)))


def test_a_change_is_told_in_the_words_of_its_control():
    rec = recommend(gpu_gib=16.0, n_examples=2000, model_b=7.0)
    assert (
        change_in_words(rec.what_would_change, rec.situation)
        == "24 GiB of GPU memory instead of 16 would make it LoRA."
    )
    assert "No change" in change_in_words(None, rec.situation)


@pytest.mark.parametrize(
    ("name", "typed", "number"),
    [
        ("n_examples", "2,000", 2000), ("n_examples", "10k", 10_000), ("n_examples", " 1.5M ", 1_500_000), ("n_examples", "1e4", 10_000),
        ("n_examples", "12 000", 12_000), ("n_examples", "1_000", 1000), ("gpu_gib", "16GiB", 16.0), ("gpu_gib", "23.6", 23.6),
        ("gpu_gib", ".5", 0.5), ("model_b", "7B", 7.0), ("model_b", "135M", 0.135), ("model_b", "", None), ("n_tasks", "-3", -3),
    ],
)  # fmt: skip
def test_numbers_as_people_type_them(name, typed, number):
    assert read_number(name, typed) == pytest.approx(number)
    assert read_number(name, write_number(number)) == pytest.approx(number)


@pytest.mark.parametrize("typed", ["1,5", "1,00", "1.2.3", "--3", "ten", "10x", "1e", "nan", "inf", "٣x", "1,000,00"])
def test_what_is_no_number_is_refused(typed):
    with pytest.raises(CourseError, match="no number that I can read"):
        read_number("n_examples", typed)


def test_controls_are_core_ones_with_names_that_a_keyboard_reaches(selector):
    parts = list(everything(selector))
    kinds = {type(part).__name__ for part in parts}
    assert kinds <= {
        "Selector",
        "HTML",
        "HBox",
        "VBox",
        "Box",
        "Button",
        "Checkbox",
        "Text",
        "Textarea",
        "Combobox",
        "Choice",
    }
    for part in parts:
        assert type(part).__module__.startswith("ipywidgets") or isinstance(part, ipywidgets.Box)
        if isinstance(part, ipywidgets.Button | ipywidgets.Checkbox | ipywidgets.Text | ipywidgets.Textarea):
            assert part.description.removeprefix("✓ ").strip(), part
            assert not getattr(part, "icon", "")
    assert len({id(part) for part in parts}) == len(parts), "a control stands in two places"
    assert set(selector.controls.values()) <= set(parts)


def test_text_from_outside_is_escaped():
    evil = '<img src=x onerror="alert(1)">'
    assert "<img" not in html(evil, [evil]) + tag("p", evil, title=evil) + rich(f"**{evil}**") + table(
        evil, [evil], [[evil]]
    )
    rec = recommend(gpu_gib=16.0)
    rec = for_card(rec, None)
    object.__setattr__(rec, "reasons", (Reason(evil, evil),))
    object.__setattr__(rec, "model", evil)
    assert "<img" not in card_html(rec, None, evil)


def test_markup_is_well_formed_and_takes_the_colours_of_the_page(selector):
    answer(selector, gpu="RTX 4090")

    class Check(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open = []

        def handle_starttag(self, name, _):
            self.open.append(name)

        def handle_endtag(self, name):
            assert self.open.pop() == name

    page = selector._repr_mimebundle_()["text/html"]
    check = Check()
    check.feed(page)
    assert check.open == []
    text_colours = re.findall(r"(?<![-\w])(?:color|background(?:-color)?):\s*([^;}]+)", page)
    assert set(text_colours) <= {"inherit", "none"}
    assert "fill: currentColor" in page


def test_a_built_page_keeps_the_still_twin(selector):
    bundle = selector._repr_mimebundle_()
    assert set(bundle) == {build.WIDGET, "text/html", "text/plain"}
    for kind in ("text/html", "text/plain"):
        assert not build.PROGRESS_BAR.search(bundle[kind])
        assert len(bundle[kind]) < 60_000
        assert "Fine-tuning at a service" in bundle[kind] or "hosted" in bundle[kind]
    for part in (
        "What each of the five guides answers",
        "Capstone Project Demo",
        "Technique Comparison",
        "plan = Plan(",
    ):
        assert part in bundle["text/html"]
    assert "hosted, objective sft" in bundle["text/plain"]


def test_an_executed_page_holds_the_twin_and_no_widget(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    cell = nbformat.v4.new_code_cell("from course_lib import Selector\nSelector()")
    page = nbformat.v4.new_notebook(cells=[cell], metadata={"course": {"source": "notebooks/x.py"}})
    build._execute(page, tmp_path)
    assert lint.outputs(page) == []
    assert [set(output.data) for output in page.cells[0].outputs] == [{"text/html", "text/plain"}]
    assert "Recommendation for:" in page.cells[0].outputs[0].data["text/html"]


def test_every_named_card_gets_a_card_without_a_fault(selector):
    for card in gpus():
        answer(selector, gpu=card.name)
        assert selector.message.value == "", card.name
        assert selector.device == card.name
        assert ("a guess" in selector.card.value) == (
            card.kind in ("apple", "amd") and selector.recommendation.estimate is not None
        )


def test_it_is_quick_and_loads_no_torch(tmp_path):
    code = "import sys, course_lib.widgets.selector; from course_lib import Selector; Selector(sys.argv[1]).text();"
    code += "print([m for m in ('torch', 'transformers', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    begun = time.perf_counter()
    selector = Selector(tmp_path)
    assert time.perf_counter() - begun < 0.5
    largest_model(16, "qlora", **LEAST)  # 335 estimates, once
    slowest = 0
    for view in selector.views.values():
        view.click()
        for typed in ("8", "16", "24", "80"):
            begun = time.perf_counter()
            answer(selector, gpu_gib=typed)
            slowest = max(slowest, time.perf_counter() - begun)
    assert slowest < 0.15


def test_a_cell_that_is_run_again_leaves_no_widget_behind(tmp_path):
    from ipywidgets.widgets.widget import _instances

    Selector(tmp_path)
    alive = len(_instances)
    for _ in range(3):
        Selector(tmp_path)
    assert len(_instances) == alive
