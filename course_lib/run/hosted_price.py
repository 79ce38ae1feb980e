"""About what fine-tuning at a service costs: tokens times price."""

import re
from dataclasses import dataclass

from course_lib.choose.cost import hosted_price
from course_lib.choose.gpus import prices
from course_lib.choose.offers import open_offer
from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError
from course_lib.run.chat_row import quote
from course_lib.run.hosted_files import HostedFiles
from course_lib.said import clip

DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")  # gpt-4o-mini-2024-07-18 is priced as gpt-4o-mini


@dataclass(frozen=True)
class Price:
    """dollars: US dollars before tax, None where no price is known. tokens: training tokens, all epochs counted."""

    dollars: float | None
    tokens: int
    words: str

    def __str__(self) -> str:
        return self.words


def price(
    files: HostedFiles, epochs: int, price_per_million_tokens: float | None = None, model: str | None = None
) -> Price:
    """About what training costs: tokens of the training rows x epochs x price.

    Args:
        epochs: passes over the training rows, 1 or more.
        price_per_million_tokens: US dollars, from the service's own page; None = the course's price table, which is from memory.
        model: looked up in that table: OpenAI's with or without a date at its end, an open one by its size.

    Raises:
        CourseError: epochs below 1, or a price that is no number of 0 or more.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise CourseError(f"epochs is {quote(epochs)}: give a whole number of 1 or more.")
    tokens = files.tokens * epochs
    counted = f"{files.tokens:,} tokens x {epochs} {'epoch' if epochs == 1 else 'epochs'}, counted approximately"
    if price_per_million_tokens is not None:
        if not isinstance(price_per_million_tokens, int | float) or not 0 <= price_per_million_tokens < float("inf"):
            raise CourseError(
                f"A price of {quote(price_per_million_tokens)} is none: give US dollars per million tokens."
            )
        dollars = tokens / 1e6 * price_per_million_tokens
        return Price(
            dollars, tokens, f"About ${dollars:,.2f}: {counted}, at ${price_per_million_tokens:g} per million."
        )
    offer, method = _offer(files, model or "")
    if (offer, method) in prices().hosted:
        dollars, table = hosted_price(tokens, offer, method), prices()
        words = f"About ${dollars:,.2f}: {counted}, at the price of {table.as_of} for {offer} ({table.note})."
        return Price(dollars, tokens, words)
    how = "DPO" if files.form == "pair" else "fine-tuning"
    which = f"for {how} of {clip(model, 60)}" if model else "without a model's name"
    return Price(
        None,
        tokens,
        f"No price is known {which}: {counted}. Give price_per_million_tokens from the service's own page.",
    )


def _offer(files: HostedFiles, model: str) -> tuple[str | None, str]:
    """(model, method) as the price table has them: OpenAI's by name, Together's by size, trained with LoRA."""
    if files.provider == "openai":
        return DATED.sub("", model), "dpo" if files.form == "pair" else "sft"
    try:
        offer = open_offer(ModelShape.of(model).params)
    except CourseError:
        offer = None
    return offer, "lora-dpo" if files.form == "pair" else "lora"
