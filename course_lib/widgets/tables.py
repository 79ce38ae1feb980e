"""The comparison, the scenarios and the guides as tables, with what contradicts what. HTML from the pure parts."""

from course_lib.choose.guides import SCENARIOS, Contradiction, Scenario, Statement, compare_guides, overview, selector
from course_lib.choose.guides.advice import METHODS as IN_GUIDES
from course_lib.choose.guides.advice import TOPICS
from course_lib.choose.memory import largest_model
from course_lib.choose.selector import Recommendation, recommend
from course_lib.choose.situation import Situation
from course_lib.widgets.figures import memory_table
from course_lib.widgets.markup import Html, heading, rich, table, tag
from course_lib.widgets.words import METHODS, situation_in_words

LOADED = "It is now your situation: change any answer in the other views, and see the answer below change."
CHANGED = (
    "You have changed answers since: the recommendation below is for your situation. Press the story to load it again."
)
SHOWN = 2  # contradictions of a topic before "show all"; of model sizes, where the memory model can judge, one more
LABELS = (6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 180, 192)  # GB on the boxes of cards
ROWS = {
    "Full Fine-Tuning": "full",
    "LoRA": "lora",
    "QLoRA": "qlora",
    "Prompt Tuning": "prompt_tuning",
    "Adapters": "adapters",
}
NAMES = {
    "module9": "Module 9: Choosing a Fine-Tuning Strategy",
    "lesson4": "Lesson 4: Choosing Your Approach",
    "overview": "Model Fine-Tuning Techniques - Overview",
    "practices": "Fine-Tuning Strategies & Best Practices",
    "selector": "Fine-Tuning Strategy Selector",
}
# The settings of `largest_model` that ask for least memory, as a reader with a small card would choose them.
LEAST = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"}


def comparison_html(rec: Recommendation) -> Html:
    """Memory by method for the reader's model, then what the guides' two tables say of each method."""
    methods, sides = overview.COMPARISON, selector.TABLES["comparison"]
    rows = [(name + (" (recommended)" if ROWS[name] == rec.method else ""), *rest) for name, *rest in methods.rows]
    return tag(
        "div",
        memory_table(rec),
        table(f"What the guide overview says ({methods.where})", methods.columns, rows),
        table(f"What the guide selector says ({sides.where})", sides.columns, sides.rows),
    )


def scenario_html(scenario: Scenario, loaded: bool = True) -> Html:
    """A story, the published answer with its reasoning, and ours; `loaded`: it is the reader's situation, unchanged."""
    ours = recommend(scenario.situation)
    same = (
        "the same as published" if ours.method == scenario.method else "not what was published: see the reasons below"
    )
    return tag(
        "div",
        heading(scenario.name),
        tag("p", scenario.text),
        tag("p", tag("strong", "Published answer: "), f"{scenario.published}. {scenario.reasoning}"),
        tag("p", tag("strong", "Our answer: "), f"{METHODS[ours.method][0]}, {same}."),
        tag("p", tag("strong", "What we filled in: "), scenario.reading, class_="cs-small"),
        tag("p", LOADED if loaded else CHANGED),
    )


def scenarios_table() -> Html:
    """The six stories with both answers."""
    rows = [
        (s.name, s.text, f"{s.published}. {s.reasoning}", METHODS[recommend(s.situation).method][0]) for s in SCENARIOS
    ]
    return table("Six scenarios of the guide selector", ("Scenario", "Story", "Published answer", "Our answer"), rows)


def card_label(gpu_gib: float) -> float:
    """The GB by which the guides would call a card of so many GiB: a "24 GB" card shows 22 to 23.7 GiB."""
    return next((float(label) for label in LABELS if gpu_gib <= label <= gpu_gib * 1.1), gpu_gib)


def guides_html(situation: Situation, everything: bool = False) -> Html:
    """What each guide answers in its words, then the contradictions by topic; `everything`: all of both."""
    label = card_label(situation.gpu_gib)
    asked = situation.but(gpu_gib=label)
    said = compare_guides(asked)
    read_as = (
        [
            tag(
                "p",
                f"The guides speak of cards by their label: your {situation.gpu_gib:g} GiB are read as {label:g} GB.",
            )
        ]
        if label != situation.gpu_gib
        else []
    )
    rows = [
        (_guide(a.guide), "silent", "Nothing in it applies to this situation.", "")
        if a.silent
        else (
            _guide(a.guide),
            " or ".join(IN_GUIDES[m] for m in a.methods) or "names no method",
            tag("q", rich(a.says)) if a.says else "",
            a.where,
        )
        for a in said
    ]
    return tag(
        "div",
        tag("p", tag("strong", "For: "), situation_in_words(asked)),
        read_as,
        table("What each of the five guides answers", ("Guide", "Its answer", "In its words", "Section"), rows),
        heading(f"{len(said.contradictions)} contradictions" if said.contradictions else "No contradictions here"),
        [_topic(topic, said.contradictions, situation, everything) for topic in TOPICS],
        _statements(said) if everything else "",
    )


def _guide(key: str) -> Html:
    return tag("span", key, title=NAMES[key])


def _topic(topic: str, found: tuple[Contradiction, ...], situation: Situation, everything: bool) -> Html:
    here = sorted((c for c in found if c.topic == topic), key=_first_those_within_a_guide)
    if not here:
        return Html("")
    shown = here if everything else here[: SHOWN + (topic == "model size")]
    count = f"{len(shown)} of {len(here)} shown" if len(shown) < len(here) else str(len(here))
    return tag(
        "div",
        heading(f"{topic[0].upper()}{topic[1:]} ({count})", 5),
        [
            tag("div", tag("p", tag("strong", "Contradiction: "), c.text), tag("ul", _quote(c.a), _quote(c.b)), class_="cs-clash")
            for c in shown
        ],
        _memory_says(situation.gpu_gib) if topic == "model size" else "",
    )  # fmt: skip


def _first_those_within_a_guide(c: Contradiction) -> tuple:
    return c.a.guide != c.b.guide, bool(c.a.setting or c.b.setting)


def _quote(s: Statement) -> Html:
    note = [tag("em", f" Our remark: {s.note}.")] if s.note else []
    return tag("li", tag("strong", s.guide), f", {s.where}: ", tag("q", rich(s.says)), note)


def _memory_says(gpu_gib: float) -> Html:
    if not gpu_gib:
        return Html("")
    return tag("p", tag("strong", "What the memory model says: "), memory_model_says(gpu_gib), class_="cs-model")


def memory_model_says(gpu_gib: float) -> str:
    """The largest model that QLoRA surely fits into that memory, as a sentence."""
    size = largest_model(gpu_gib, "qlora", **LEAST)
    settings = "rows of 1,024 tokens one at a time, activations recomputed, paged 8-bit AdamW"
    if not size:
        return f"with QLoRA no model surely fits {gpu_gib:g} GiB ({settings})."
    return (
        f"with QLoRA the largest model that surely fits {gpu_gib:g} GiB has {size:.2g} billion parameters ({settings})."
    )


def _statements(said) -> Html:
    rows = [(f"{a.guide}: {s.topic}", tag("q", rich(s.says)), s.where, s.note) for a in said for s in a.statements]
    return table("All that the guides say here", ("Guide and topic", "In its words", "Section", "Our remark"), rows)
