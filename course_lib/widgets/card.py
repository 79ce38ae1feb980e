"""The recommendation card: what to do, why, what it needs and costs, and what would change it. HTML and plain text."""

import json
from dataclasses import replace

from course_lib.choose.cost import adapter_gib, hosted_price, price, training_time
from course_lib.choose.decision import Change, Reason
from course_lib.choose.explain import MEMORY
from course_lib.choose.gpus import Gpu, prices
from course_lib.choose.gpus import gpu as device_of
from course_lib.choose.offers import open_offer
from course_lib.choose.rules import CPU_GIB, NO_BF16
from course_lib.choose.selector import Recommendation
from course_lib.choose.shapes import ModelShape
from course_lib.choose.situation import Situation
from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.widgets.figures import memory_picture
from course_lib.widgets.markup import Html, heading, rich, table, tag
from course_lib.widgets.words import FIELDS, METHODS, OBJECTIVES, QUESTIONS, source_in_words, value_in_words

COMPUTER = "cpu-2"  # what a reader without a GPU is taken to have


def for_card(rec: Recommendation, device: str | None) -> Recommendation:
    """The same, knowing which card it is: without bf16 the plan computes in fp16, which takes the same memory."""
    card = device_of(device) if device else None
    if card is None or card.kind != "nvidia" or rec.estimate is None:
        return rec
    rec = replace(rec, warnings=tuple(w for w in rec.warnings if w.text != NO_BF16.say(rec.situation)))
    if card.has_bf16 or rec.plan.precision != "auto":
        return rec
    why = Reason(f"{card.name} has no bf16: the plan sets precision to fp16, which takes the same memory.", MEMORY)
    return replace(rec, plan=rec.plan.but(precision="fp16"), reasons=(*rec.reasons, why))


def rows_trained(rec: Recommendation) -> int:
    """Rows that one pass over the data shows to the model; a preference pair is two, a text of both stages counts twice."""
    s = rec.situation
    return {
        "dpo": 2 * s.preference_pairs,
        "sft+dpo": s.n_examples + 2 * s.preference_pairs,
        "cpt+sft": 2 * s.n_examples,
    }.get(rec.objective, s.n_examples)


def costs(rec: Recommendation, device: str | None = None) -> tuple[str, ...]:
    """Time, price and size of what is left behind, a sentence each; empty without a plan.

    device: a name of gpus.toml; None where the reader gave only a number of GiB, which says nothing of speed.
    """
    if rec.plan is None:
        return ()
    plan, row = rec.plan, rec.plan.max_len / 2
    tokens = rows_trained(rec) * plan.epochs * row
    counted = (
        f"Counted: {rows_trained(rec):,} rows, {plan.epochs} {'pass' if plan.epochs == 1 else 'passes'}, {row:,.0f} tokens "
        f"a row (half of the longest that the plan allows)"
    )
    if rec.method == "hosted":
        size = ModelShape.of(plan.model).params
        offer = open_offer(size)
        dollars = f"about {_dollars(hosted_price(tokens, offer, 'lora'))}" if offer else "not in our price table"
        return (
            f"Price at a service: {dollars} (prices of {prices().as_of}; services have a least fee).",
            f"{counted}.",
        )
    card = device_of(device) if device else device_of(COMPUTER) if rec.situation.gpu_gib == 0 else None
    left = f"What it leaves: a file of {_size(adapter_gib(plan))}."
    if card is None:
        return "Time and price: give your GPU by name to see them.", left
    time = training_time(plan, tokens, card, seq_len=row)
    low, high = price(time, card)
    machine = "a 2-core computer" if card.kind == "cpu" else f"{time.n_gpus} × {card.name}"
    paid = "rented, or electricity" if card.name not in prices().rental else f"rented, prices of {prices().as_of}"
    return (
        f"Time: {time} on {machine}. Loading and evaluation are not counted.",
        f"Price: {_amount(low)} to {_dollars(high)} ({paid}).",
        f"{counted}.",
        left,
    )


def _dollars(amount: float) -> str:
    return f"{_amount(amount)} US dollars"


def _amount(dollars: float) -> str:
    return f"{dollars:,.0f}" if dollars >= 10 else f"{dollars:.2f}"


def _size(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= 1 else f"{gib * 1024:,.0f} MiB" if gib * 1024 >= 1 else f"{gib * 1024**2:.0f} KiB"


def memory_in_words(rec: Recommendation) -> str:
    """What the plan needs against what there is; empty where nothing is trained here."""
    if rec.estimate is None:
        return ""
    low, high = rec.estimate.interval("device")
    room, where = room_of(rec.situation)
    fits = "it fits" if high <= room else "it may not fit"
    several = f" on each of {rec.plan.n_gpus} GPUs" if rec.plan.n_gpus > 1 else ""
    return f"Memory: {rec.estimate.device_gib:.1f} GiB{several} (95 % between {low:.1f} and {high:.1f}) of {where}: {fits}."


def room_of(s: Situation) -> tuple[float, str]:
    """GiB that a plan may take on one device, and its name in words."""
    if s.gpu_gib == 0:
        return CPU_GIB, f"the {CPU_GIB:g} GiB that a computer without a GPU is taken to have free"
    return s.gpu_gib, f"your {s.gpu_gib:g} GiB"


def plan_code(plan: Plan) -> str:
    """The call that makes the plan: the fields that differ from the defaults."""
    usual = Plan(method=plan.method)
    fields = [
        f"    {name}={json.dumps(value) if isinstance(value, str) else repr(value)},"
        for name, value in plan
        if name in ("model", "method") or value != getattr(usual, name)
    ]
    return "\n".join(["from course_lib import Plan", "", "plan = Plan(", *fields, ")"])


def change_in_words(change: Change | None, s: Situation) -> str:
    """The nearest change of one answer that gives another method."""
    if change is None:
        return "No change of a single answer would lead to another method."
    new, old = (value_in_words(change.field, value) for value in (change.value, getattr(s, change.field)))
    if FIELDS[change.field].kind == "number" and old.endswith(f" {FIELDS[change.field].unit}"):
        old = old.removesuffix(f" {FIELDS[change.field].unit}")
    subject = "" if FIELDS[change.field].kind == "number" else f"“{FIELDS[change.field].label}”: "
    return _sentence(f"{subject}{new} instead of {old} would make it {METHODS[change.method][0]}.")


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def device_note(card: Gpu | None) -> str:
    """What to know of a device for which the figures were not measured."""
    if card is None or card.kind in ("nvidia", "cpu"):
        return ""
    note = f"The memory figures were tested on NVIDIA cards; on {card.name} they are a guess."
    if card.kind == "apple":
        note += " Some 4-bit and 8-bit tools (QLoRA's base, paged optimizers) may not run there: try a LoRA plan first."
    return note


def question_html(rec: Recommendation, step: int) -> Html:
    """What the decision tree asks at a step, 0 to 4; after the last, its answer."""
    if step == len(QUESTIONS):
        told = "It is explained below. What the five questions leave out is under “More about your situation”."
        return tag("div", heading(f"Your answer: {METHODS[rec.method][0]}"), tag("p", told))
    asked = QUESTIONS[step]
    title = heading(f"Question {step + 1} of {len(QUESTIONS)}: {asked.title}")
    return tag("div", title, tag("p", asked.text), tag("p", asked.explain, class_="cs-small"))


def card_html(rec: Recommendation, device: str | None = None, progress: str = "") -> Html:
    """The card; `progress` says how many questions it rests on."""
    name, meaning = METHODS[rec.method]
    what = [tag("p", tag("strong", "Trained towards: "), OBJECTIVES[rec.objective])] if rec.objective != "none" else []
    if rec.model:
        what.append(tag("p", tag("strong", "Model: "), tag("code", rec.model), _about_size(rec.model)))
    return tag(
        "div",
        tag("p", progress, class_="cs-small") if progress else "",
        tag("div", tag("strong", name), role="heading", aria_level=3, class_="cs-title"),
        tag("p", f"{_sentence(meaning)}."),
        tag(
            "div",
            tag("div", what, heading("Why"), _list(rec.reasons)),
            tag("div", _needs(rec, device), [heading("Beware"), _list(rec.warnings)] if rec.warnings else ""),
            class_="cs-columns",
        ),
        heading("What would change the answer"),
        tag("p", change_in_words(rec.what_would_change, rec.situation)),
        table(
            "Why not the others",
            ("Method", "Why not", "Source"),
            [(METHODS[other.method][0], other.why_not, source_in_words(other.source)) for other in rec.alternatives],
        ),
        class_="cs-card",
    )


def _about_size(model: str) -> str:
    try:
        return f" ({ModelShape.of(model).params / 1e9:.3g} billion parameters)"
    except CourseError:
        return ""


def _needs(rec: Recommendation, device: str | None) -> list[Html]:
    lines = [words for words in (memory_in_words(rec), *costs(rec, device)) if words]
    if note := device_note(device_of(device) if device else None):
        lines.append(note)
    picture = []
    if rec.estimate:
        low, high = rec.estimate.interval("device")
        room = room_of(rec.situation)[0]
        legend = tag(
            "p", "Bar: what it needs; whisker: its 95 % interval; upright line: what you have.", class_="cs-small"
        )
        picture.append(memory_picture(low, rec.estimate.device_gib, high, room, max(high, room) * 1.05, width=300))
        picture.append(legend)
    return [
        *picture,
        *(tag("p", tag("strong", words[: words.find(":") + 1]), words[words.find(":") + 1 :]) for words in lines),
    ]


def _list(reasons) -> Html:
    return tag(
        "ul",
        [tag("li", rich(r.text), " ", tag("span", source_in_words(r.source), class_="cs-source")) for r in reasons],
    )


def card_text(rec: Recommendation, device: str | None = None) -> str:
    """The card in a terminal: what `recommend` prints, then cost and plan."""
    lines = [str(rec), *(f"  {words}" for words in costs(rec, device))]
    if rec.plan:
        lines += ["", plan_code(rec.plan)]
    return "\n".join(lines)


def refusal(rec: Recommendation) -> str | None:
    """Why there is no plan to save; None where there is one."""
    if rec.plan is not None:
        return None
    return f"There is no plan to save: the answer is {METHODS[rec.method][0].lower()}, so nothing is trained."


def saved_words(rec: Recommendation, path) -> str:
    """What to say after the plan was written."""
    if rec.method == "hosted":
        return f"Saved to {path}: what to ask the service for. It is not meant to be trained on this machine."
    return f"Saved to {path}. Read it in any lesson with Plan.from_yaml({str(path)!r})."
