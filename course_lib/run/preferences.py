"""Preference pairs from the reader's own model: several answers to each prompt, ranked by a program that checks them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

import torch

from course_lib.errors import CourseError
from course_lib.run.chat_row import quote
from course_lib.run.generate import answers
from course_lib.run.result import Run


@dataclass(frozen=True)
class SampledPairs:
    """Pairs of the best and the worst of several answers to a prompt.

    rows: {"prompt", "chosen", "rejected"}, as `data.write_jsonl` writes and `data.load` reads them.
    asked: prompts answered. n_samples: answers to each. chosen_score, rejected_score: mean score of the two sides.
    """

    rows: list[dict]
    asked: int
    n_samples: int
    chosen_score: float
    rejected_score: float

    def __str__(self) -> str:
        said = f"{len(self.rows):,} of {self.asked:,} prompts gave a pair from {self.n_samples} answers each"
        if self.rows:
            said += f" (mean score {self.chosen_score:.2f} for the chosen, {self.rejected_score:.2f} for the rejected)"
        return f"{said}; for the others all answers scored the same. The judge is a program, not a person."


def sample_pairs(
    run_or_model,
    tokenizer,
    rows: list[dict],
    checker: Callable[[str, str], float],
    n_samples: int = 4,
    temperature: float = 0.8,
    seed: int = 0,
    max_new_tokens: int = 64,
) -> SampledPairs:
    """Draw answers to the prompt of each chat from a model of one's own; the best is chosen, the worst rejected.

    Args:
        run_or_model: a `Run`, or a chat model in eval mode.
        rows: chats; the last answer of each is what `checker` compares with.
        checker: (said, wanted) -> score, higher is better.
        n_samples: answers drawn for each prompt.
        temperature: of the draw; the same seed draws the same answers on the same machine.

    Prompts whose answers all score the same give no pair; empty answers, which a pair may not hold, are left aside.

    Raises:
        CourseError: no rows, fewer than two answers, a temperature that is not above 0, a score that is no number.
    """
    if not rows:
        raise CourseError("There are no chats to answer: give at least one row.")
    if n_samples < 2:
        raise CourseError(f"n_samples is {n_samples}: two answers or more are needed to prefer one.")
    if not temperature > 0:
        raise CourseError(f"temperature is {temperature}: answers that differ need one above 0, such as 0.8.")
    model = run_or_model.model() if isinstance(run_or_model, Run) else run_or_model
    repeated = [row for row in rows for _ in range(n_samples)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        said = answers(model, tokenizer, repeated, max_new_tokens, what="sampling", temperature=temperature)
    pairs, best_scores, worst_scores = [], [], []
    for i, row in enumerate(rows):
        wanted = row["messages"][-1]["content"]
        drawn = dict.fromkeys(text for text in said[i * n_samples : (i + 1) * n_samples] if text and "\0" not in text)
        scores = {text: _score(checker, text, wanted) for text in drawn}
        best, worst = max(scores, key=scores.get, default=""), min(scores, key=scores.get, default="")
        if scores and scores[best] > scores[worst]:
            pairs.append({"prompt": row["messages"][:-1], "chosen": _answer(best), "rejected": _answer(worst)})
            best_scores.append(scores[best])
            worst_scores.append(scores[worst])
    return SampledPairs(pairs, len(rows), n_samples, mean(best_scores or [0.0]), mean(worst_scores or [0.0]))


def _score(checker: Callable[[str, str], float], said: str, wanted: str) -> float:
    found = checker(said, wanted)
    if isinstance(found, int | float) and not math.isnan(found):
        return float(found)
    raise CourseError(
        f"The checker gave an answer the score {quote(found)}: let it return a number, higher for better."
    )


def _answer(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]
