"""Judging one answer, typed as a reader would: letters, a number, or letters in order."""

import math
import re
from dataclasses import dataclass
from numbers import Real
from string import ascii_lowercase

from course_lib.errors import CourseError
from course_lib.learn.quiz_bank import Choice, Default, Numeric, Ordering, Range, Value
from course_lib.said import clip

LONGEST = 80  # characters of a typed answer
_GROUPED = r"[1-9]\d{0,2}(?:[,_' ]\d{3})+(?:\.\d+)?"
_NUMBER = rf"([+-]?)({_GROUPED}|\d+[.,]?\d*|[.,]\d+)((?:e[+-]?\d{{1,3}})?)"
_TYPED = re.compile(rf"{_NUMBER}(?:\s*/\s*{_NUMBER})?\s*(%?)", re.ASCII)


@dataclass(frozen=True)
class Feedback:
    """What is said to an answer. given: the answer as it was read ("b", "ac", "16896"); str() is the whole message."""

    correct: bool
    words: str
    given: str

    @property
    def verdict(self) -> str:
        """The first words of the message."""
        return "Correct" if self.correct else "Not yet"

    def __str__(self) -> str:
        return f"{self.verdict}: {self.words}"

    def _ipython_display_(self) -> None:
        """It was printed: a cell that ends in it does not show it again."""


def judge(question: Choice | Numeric | Ordering, given) -> Feedback:
    """What an answer is worth.

    Raises:
        CourseError: it is no answer to this type of question; says what to type.
    """
    if isinstance(question, Numeric):
        return _judge_number(question, given)
    word = _letters(given, ascii_lowercase[: len(question.options)])
    wanted = {"multiple_choice": 1, "ordering": len(question.options)}.get(question.type)
    if not word or wanted not in (None, len(word)):
        raise _refusal(question, given)
    chosen = [ascii_lowercase.index(letter) for letter in word]
    if isinstance(question, Ordering):
        return _judge_order(question, chosen, word)
    return (_judge_one if question.type == "multiple_choice" else _judge_many)(question, chosen, word)


def how_to_answer(question: Choice | Numeric | Ordering) -> tuple[str, str]:
    """What to type, and an example; the example is the same in every quiz, so that it gives nothing away."""
    if isinstance(question, Numeric):
        return f"a number{f' ({question.unit})' if question.unit else ''}", "3.5"
    letters = ascii_lowercase[: len(question.options)]
    among = f"{letters[0]} to {letters[-1]}"
    if isinstance(question, Ordering):
        return f"the letters {among} in their order", f'"{letters}"'
    if question.type == "many_choice":
        return f"the letters of all that are right, {among}", '"ac"'
    return f"one letter, {among}", '"b"'


def read_number(given, unit: str = "") -> float | None:
    """The number meant by 3.5, "3.5", "3,5", "16,896", "16 896", "2/3", "1e-3" or "60 %"; None where there is none.

    A comma before three digits separates thousands, any other is a decimal comma. Per cent are hundredths, unless the
    unit is "%". The unit may be typed as well.
    """
    if (
        not isinstance(given, (Real, str))
        or isinstance(given, bool)
        or (isinstance(given, str) and len(given) > LONGEST)
    ):
        return None
    try:
        value = _typed(given, unit) if isinstance(given, str) else float(given)
    except ArithmeticError:  # a zero below the line, or too large for a float
        return None
    return value if value is not None and math.isfinite(value) else None


def _typed(text: str, unit: str) -> float | None:
    text = " ".join(text.casefold().replace("\N{MINUS SIGN}", "-").split())
    match = _TYPED.fullmatch(text.removesuffix(unit.casefold()).rstrip())
    if not match:
        return None
    below = _plain(*match.group(4, 5, 6)) if match[5] else 1
    return _plain(*match.group(1, 2, 3)) / below / (100 if match[7] else 1)


def _plain(sign: str, digits: str, exponent: str) -> float:
    if re.fullmatch(_GROUPED, digits, re.ASCII):
        digits = re.sub("[,_' ]", "", digits)
    return float(sign + digits.replace(",", ".") + exponent)


def _letters(given, among: str) -> str | None:
    """The letters that are meant by "b", "B)", "ac", "a, c" or a list or set of such, as one word; None for any other."""
    if isinstance(given, (set, frozenset, list, tuple)):
        if len(given) > len(ascii_lowercase) or not all(isinstance(one, str) and len(one) < LONGEST for one in given):
            return None
        given = "".join(sorted(given) if isinstance(given, (set, frozenset)) else given)
    if not isinstance(given, str) or len(given) > LONGEST:
        return None
    word = re.sub(r"[\s,;.()]", "", given).casefold()
    return word if set(word) <= set(among) and len(set(word)) == len(word) else None


def _refusal(question, given) -> CourseError:
    if isinstance(given, (str, float)):
        shown = repr(clip(given, 40) if isinstance(given, str) else given) if given != "" else "An empty answer"
    else:
        shown = f"A value of type {type(given).__name__}"
    what, example = how_to_answer(question)
    return CourseError(f"{shown} is no answer to this question: type {what}, such as {example}.")


def _judge_one(question: Choice, chosen: list[int], word: str) -> Feedback:
    option = question.answers[chosen[0]]
    return Feedback(option.correct, _join(option.feedback, option.correct and question.after), word)


def _judge_many(question: Choice, chosen: list[int], word: str) -> Feedback:
    word = "".join(sorted(word))
    found = [(ascii_lowercase[i], question.answers[i]) for i in sorted(chosen)]
    wrong = [f"{letter}) is wrong. {answer.feedback}" for letter, answer in found if not answer.correct]
    missing = sum(answer.correct for answer in question.answers) - (len(found) - len(wrong))
    if not wrong and not missing:
        return Feedback(
            True, _join(*(f"{letter}) {answer.feedback}" for letter, answer in found), question.after), word
        )
    lacking = f"{'One right answer is' if missing == 1 else f'{missing} right answers are'} still missing."
    return Feedback(False, _join(*wrong, missing and lacking), word)


def _judge_number(question: Numeric, given) -> Feedback:
    number = read_number(given, question.unit)
    if number is None:
        raise _refusal(question, given)
    answer = next((one for one in question.answers if _meets(one, number, question.precision)), None)
    if answer is None or answer.type == "default":
        words = answer.feedback if answer else "That is not it."
        return Feedback(False, f"{words} Your answer was read as {number:,.10g}.", f"{number:.15g}")
    return Feedback(answer.correct, _join(answer.feedback, answer.correct and question.after), f"{number:.15g}")


def _meets(answer: Value | Range | Default, number: float, precision: int | None) -> bool:
    if answer.type == "range":
        return answer.range[0] <= number <= answer.range[1]
    if answer.type == "default":
        return True
    digits = f".{precision or 15}g"
    return math.isclose(float(f"{number:{digits}}"), float(f"{answer.value:{digits}}"), rel_tol=1e-9)


def _judge_order(question: Ordering, chosen: list[int], word: str) -> Feedback:
    places = [question.shown[i] for i in chosen]
    for place, found in enumerate(places, 1):
        if place != found:
            step = question.answers[found - 1]
            words = f"Place {place} is the first that is wrong: \N{LEFT DOUBLE QUOTATION MARK}{step.answer}\N{RIGHT DOUBLE QUOTATION MARK}."
            return Feedback(False, _join(words, step.feedback), word)
    return Feedback(True, question.after or "That is the order.", word)


def _join(*sentences) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
