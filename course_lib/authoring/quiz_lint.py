"""The rules of a quiz: each fault is a sentence that names the quiz and the question; an empty list is fine."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from course_lib.learn.quiz import Quiz
from course_lib.learn.quiz_judge import judge

QUESTIONS = range(3, 7)
LONGEST_QUESTION, LONGEST_OPTION = 300, 80  # characters
FEEDBACK = range(25, 301)
FEW = 4  # single-choice questions; with fewer nothing is said of where the right answers stand
INSTRUCTIONS = ("Choose", "Put", "Type", "Give", "Name")
LAZY = re.compile(r"\b(all|none|both|neither|any)( of)?( the)? (above|below|these)\b", re.IGNORECASE)


def faults(quiz: Quiz) -> list[str]:
    """What is wrong with a quiz."""
    found = []
    if len(quiz.questions) not in QUESTIONS:
        found.append(f"quiz {quiz.number}: {len(quiz.questions)} questions; 3 to 6 are wanted")
    found += [f"quiz {quiz.number}: the id {id} is there twice" for id in _twice(q.id for q in quiz.questions)]
    for question in quiz.questions:
        place = f"quiz {quiz.number}, {question.id}"
        found += [f"{place}: {fault}" for check in (_words, _feedback, _answers) for fault in check(question)]
    return found


def faults_of_all(quizzes: Iterable[Quiz]) -> list[str]:
    """What gives the right answers of several quizzes away together: where they stand, and how long they are."""
    single = [q for quiz in quizzes for q in quiz.questions if q.type == "multiple_choice"]
    if len(single) < FEW:
        return []
    places = Counter(next(i for i, answer in enumerate(q.answers) if answer.correct) for q in single)
    place, count = places.most_common(1)[0]
    longest = [q.id for q in single if _right_is_longest(q)]
    found = []
    if count > len(single) / 2:
        found.append(f"the right answer is {'abcdefgh'[place]}) in {count} of {len(single)} single-choice questions")
    if len(longest) > len(single) / 2:
        found.append(f"the right answer is the longest in {', '.join(longest)}: {len(longest)} of {len(single)}")
    return found


def _words(question) -> Iterator[str]:
    last = re.split(r"(?<=[.?!]) ", question.question.strip())[-1]
    if not last.endswith("?") and not last.startswith(INSTRUCTIONS):
        yield f"it neither asks (?) nor ends in an instruction ({', '.join(INSTRUCTIONS)} ...)"
    if len(question.question) > LONGEST_QUESTION:
        yield f"a question of {len(question.question)} characters; at most {LONGEST_QUESTION}"
    for words in question.options:
        if not words.strip() or len(words) > LONGEST_OPTION:
            yield f"an answer of {len(words)} characters; 1 to {LONGEST_OPTION}: {words!r}"
        if LAZY.search(words):
            yield f"the answer {words!r} speaks of the other answers"
    for words in _twice(" ".join(words.casefold().split()) for words in question.options):
        yield f"the answer {words!r} is there twice"


def _feedback(question) -> Iterator[str]:
    said = [answer.feedback for answer in question.answers]
    for words in said:
        if len(words.strip()) not in FEEDBACK:
            yield f"feedback of {len(words.strip())} characters; {FEEDBACK[0]} to {FEEDBACK[-1]}: {words!r}"
    for words in _twice(said):
        yield f"two answers have the same feedback {words!r}"
    if len(question.after) > FEEDBACK[-1]:
        yield f"`after` has {len(question.after)} characters; at most {FEEDBACK[-1]}"


def _answers(question) -> Iterator[str]:
    """The number of right and wrong answers that its type needs."""
    if question.type == "ordering":
        if len(question.answers) < 3:
            yield f"{len(question.answers)} things to put in order; 3 at least"
        if list(question.shown) == sorted(question.shown):
            yield "it is shown in the right order"
        if not question.after:
            yield "`after` is missing: it is what is said to the right order"
        return
    right = sum(getattr(answer, "correct", False) for answer in question.answers)
    wrong = sum(not getattr(answer, "correct", True) for answer in question.answers)
    if question.type == "multiple_choice" and right != 1:
        yield f"{right} right answers; a multiple_choice question has one"
    if not right or not wrong:
        yield f"{right} right and {wrong} wrong answers; at least one of each is wanted"
    if question.type == "numeric":
        yield from _numbers(question)


def _numbers(question) -> Iterator[str]:
    if question.answers[-1].type != "default":
        yield "its last answer is not the default, which is said to any other number"
    for answer in question.answers:
        for example in _examples(answer):
            if not judge(question, example).words.startswith(answer.feedback):
                yield f"{example:g} is never told {answer.feedback!r}: an earlier answer meets it"


def _examples(answer) -> list[float]:
    """Numbers that the answer is meant for."""
    if answer.type == "default":
        return []
    return [answer.value] if answer.type == "value" else [sum(answer.range) / 2]


def _right_is_longest(question) -> bool:
    right = max(len(answer.answer) for answer in question.answers if answer.correct)
    return all(len(answer.answer) < right for answer in question.answers if not answer.correct)


def _twice(words: Iterable[str]) -> list[str]:
    return [word for word, count in Counter(words).items() if count > 1]
