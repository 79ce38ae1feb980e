"""Checks of lesson 107: rows from messy records, a leak between training and test, what to try when the result is bad."""

from course_lib.learn.checks import Exercise, NotYet

RECORDS = (
    ({"Question": "  Two eggs, please \n", "Answer": " 2 eggs"}, "Two eggs, please", "2 eggs"),
    ({"id": 7, "Question": "Milk,  a litre\nof it", "Answer": "1 l milk\n"}, "Milk,  a litre\nof it", "1 l milk"),
)
UNUSABLE = (
    ({"Question": "Two eggs, please", "Answer": ""}, "an empty answer"),
    ({"Question": "Two eggs, please", "Answer": " \n"}, "an answer of nothing but spaces"),
    ({"Question": "", "Answer": "2 eggs"}, "an empty question"),
    ({"Question": "Two eggs, please", "Answer": None}, "None for an answer"),
    ({"Question": "Two eggs, please"}, "no answer at all"),
    ({"Answer": "2 eggs"}, "no question at all"),
)


def _to_row(to_row) -> None:
    for record, prompt, completion in RECORDS:
        given = dict(record)
        got = to_row(given)
        if given != record:
            raise NotYet("it changes the record that it is given: make a new dict.")
        if got is None:
            raise NotYet(f"it gives None for {record}, which has a question and an answer: give a row.")
        if not isinstance(got, dict):
            raise NotYet(f"it should give a dict, but gave {type(got).__name__}.")
        if set(got) != {"prompt", "completion"}:
            raise NotYet(
                f"a row has the keys prompt and completion and no other, but for {record} it gave {list(got)}."
            )
        _same_texts(got, prompt, completion)
    for record, what in UNUSABLE:
        if to_row(dict(record)) is not None:
            raise NotYet(f"a record with {what} teaches nothing: give None for {record}.")


def _same_texts(got: dict, prompt: str, completion: str) -> None:
    right = {"prompt": prompt, "completion": completion}
    if not all(isinstance(text, str) for text in got.values()):
        raise NotYet("prompt and completion should be texts.")
    if got == {"prompt": completion, "completion": prompt}:
        raise NotYet("it has the two the wrong way round: the question is the prompt, the answer the completion.")
    if {key: text.strip() for key, text in got.items()} == right and got != right:
        raise NotYet("there are still spaces or line breaks at the ends of a text: strip() takes them off.")
    if {key: " ".join(text.split()) for key, text in right.items()} == got and got != right:
        raise NotYet("it changes spaces inside a text: only those at the ends are to go.")
    if {key: text.lower() for key, text in right.items()} == got and got != right:
        raise NotYet("it changes capital letters: leave the words as they are.")
    if got != right:
        raise NotYet(f"the row should be {right}, but is {got}.")


q1 = Exercise(
    id="107.1",
    wants=("to_row",),
    test=_to_row,
    hints=(
        "record.get(key) gives None where record[key] would raise.",
        "Take both texts, strip them, and only then look whether one of them is empty. `x or ''` makes an empty text of None.",
        'question = (record.get("Question") or "").strip(); the same for the answer; then return a dict or None.',
    ),
    answer=(
        "def to_row(record):\n"
        '    question = (record.get("Question") or "").strip()\n'
        '    answer = (record.get("Answer") or "").strip()\n'
        "    if not question or not answer:\n"
        "        return None\n"
        '    return {"prompt": question, "completion": answer}'
    ),
)

TRAIN = ["Two eggs, please!", "A litre of milk and 3 lemons", "Send me 2 bagels.", "half a kilo of rice; asap"]
TEST = {
    "A litre of milk and 3 lemons": None,
    "two EGGS please": "it misses {!r}, which differs from a training prompt only in capital letters and punctuation.",
    "Send  me\n2 bagels": "it misses {!r}, which differs from a training prompt only in spaces and a full stop.",
    "Half a kilo of rice, ASAP": "it misses {!r}, which differs from a training prompt only in capital letters and punctuation.",
}
OTHERS = {
    "One cucumber": "it names {!r}, which is nowhere in the training prompts.",
    "Send me 3 bagels.": "it names {!r}, but the training prompt asks for 2: digits count, only signs and spaces do not.",
    "a litre of milk": "it names {!r}, which is only a part of a training prompt: compare whole prompts.",
    "Please, two eggs!": "it names {!r}, which has the words of a training prompt in another order: the order counts.",
}


def _leaks(leaks) -> None:
    test = ["One cucumber", *TEST, "Send me 3 bagels.", "a litre of milk", "Please, two eggs!"]
    train, held = list(TRAIN), list(test)
    got = leaks(train, held)
    if train != TRAIN or held != test:
        raise NotYet("it changes a list that it is given: make a new one.")
    _check_list(got)
    if set(got) & (set(TRAIN) - set(TEST)):
        raise NotYet("it names prompts of the training rows: give the test prompts, as they stand in `test`.")
    if not set(got) <= set(test):
        raise NotYet(
            "what it gives does not stand so in `test`: compare simplified texts, but give the prompts themselves."
        )
    for prompt, why in OTHERS.items():
        if prompt in got:
            raise NotYet(why.format(prompt))
    for prompt, why in TEST.items():
        if prompt not in got:
            raise NotYet((why or "it misses {!r}, which is in both lists word for word.").format(prompt))
    if got != list(TEST):
        raise NotYet("it names the right prompts, but not each one once and in the order of `test`.")
    none = leaks(["Two eggs"], ["Three eggs"])
    _check_list(none)
    if none:
        raise NotYet(
            'of ["Two eggs"] and ["Three eggs"] nothing is in both: use the arguments, and give an empty list.'
        )


def _check_list(got) -> None:
    if not isinstance(got, list):
        raise NotYet(f"it should give a list of prompts, but gave {type(got).__name__}.")
    if not all(isinstance(prompt, str) for prompt in got):
        raise NotYet("the list should hold the test prompts themselves, as texts.")


q2 = Exercise(
    id="107.2",
    wants=("leaks",),
    test=_leaks,
    hints=(
        "Write a helper that simplifies a text: two prompts are the same if their simplified texts are equal.",
        "Keep only the characters for which c.isalnum() holds, in small letters. A set of simplified training prompts is fast to ask.",
        "known = {simple(p) for p in train}; then return the p of test whose simple(p) is in known.",
    ),
    answer=(
        "def simple(text):\n"
        '    return "".join(c for c in text.lower() if c.isalnum())\n'
        "\n"
        "def leaks(train, test):\n"
        "    known = {simple(prompt) for prompt in train}\n"
        "    return [prompt for prompt in test if simple(prompt) in known]"
    ),
)

STEPS = {
    "flat": "mask",
    "rises": "sooner",
    "content": "rows",
    "forgets": "replay",
    "even": "prompt",
}
OPTIONS = ("mask", "sooner", "longer", "rows", "replay", "prompt", "larger")
WHY = {
    "flat": "a loss that never falls says that nothing is learned: first see what is trained on, and how far each step goes.",
    "rises": "the model begins to learn the training rows by heart: what it had learned before that was better.",
    "content": "the format has been learned; for what the answers should say, 40 rows show too few cases.",
    "forgets": "your task has been learned, and other skills were lost on the way: show the model some of those as well.",
    "even": "the tuned model gains nothing over four examples in the prompt: what is the cheapest that does the job?",
}
ALMOST = {
    ("flat", "longer"): "more of the same steps will not help a loss that does not move at all.",
    ("flat", "larger"): "a small model's loss falls too when something is learned: look for a mistake first.",
    ("rises", "longer"): "from where the held-out loss turns, each further step makes it worse.",
    ("rises", "larger"): "a larger model learns training rows by heart even faster.",
    ("content", "longer"): "more steps on the same 40 rows teach these 40, not the cases that are missing.",
    ("content", "larger"): "a larger model may help, but it sees the same 40 cases: there is a cheaper step before it.",
    ("forgets", "rows"): "more rows of your own task pull the model further away from everything else.",
    ("rises", "rows"): "more rows help with that too, but another result needs them more: what can be done at once?",
    ("forgets", "sooner"): "fewer steps keep more of the other skills and lose some of yours: show it both instead.",
    ("even", "larger"): "a larger model would do better with the prompt as well, and cost more.",
}


def _steps(next_step) -> None:
    if not isinstance(next_step, dict):
        raise NotYet(f'it should be a dict such as {{"flat": "rows", ...}}, not {type(next_step).__name__}.')
    for result, right in STEPS.items():
        if result not in next_step:
            raise NotYet(f'there is no step for "{result}" yet: each of the five results gets one.')
        choice = next_step[result]
        if not isinstance(choice, str) or choice not in OPTIONS:
            raise NotYet(f'the step for "{result}" is none of the options: choose one of {", ".join(OPTIONS)}.')
        if choice != right:
            raise NotYet(
                f'"{choice}" is not the first thing to try for "{result}": {ALMOST.get((result, choice), WHY[result])}'
            )
    if len(next_step) > len(STEPS):
        raise NotYet("it has steps for results that are not in the list: give the five and no other.")


q3 = Exercise(
    id="107.3",
    wants=("next_step",),
    test=_steps,
    hints=(
        "Ask of each result: was nothing learned, too much of the training rows, or the wrong thing?",
        "Two of the seven options are for none of the five results, and no option is for two of them.",
        'Almost the code: {"flat": "mask", "rises": ..., "content": "rows", "forgets": ..., "even": "prompt"}',
    ),
    answer='next_step = {"flat": "mask", "rises": "sooner", "content": "rows", "forgets": "replay", "even": "prompt"}',
)
