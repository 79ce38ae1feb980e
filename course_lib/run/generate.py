"""Answers from a chat model: greedy or drawn, in batches, with the prompt part that all rows share computed once."""

from itertools import groupby

import torch
from tqdm import tqdm
from transformers import DynamicCache

from course_lib.run.chat import common_prefix, prompt_ids
from course_lib.run.step import WORTH_SHARING


@torch.inference_mode()
def answers(
    model,
    tokenizer,
    rows: list[dict],
    max_new_tokens: int = 64,
    batch: int = 32,
    what: str = "answering",
    temperature: float = 0.0,
) -> list[str]:
    """What the model says after each row's prompt, up to its end-of-turn token.

    temperature: 0 = the most likely token each time; else tokens are drawn by torch's random numbers, from the
    probabilities that the logits divided by it have.

    Prompts of near-equal length are answered together; padding stands between the shared part and the rest. With learned
    virtual tokens only prompts of equal length meet: PEFT drops position ids there, so padding would move the prompt away.
    """
    prompts = [prompt_ids(tokenizer, row) for row in rows]
    by_length = sorted(range(len(rows)), key=lambda i: len(prompts[i]))
    said: dict[int, str] = {}
    bar = tqdm(total=len(rows), unit="row", desc=what)
    for chosen in _batches(by_length, batch, lambda i: len(prompts[i]) if _has_virtual_tokens(model) else 0):
        tokens = _continue(model, tokenizer, [prompts[i] for i in chosen], max_new_tokens, temperature)
        said |= dict(zip(chosen, tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True))
        bar.update(len(chosen))
    bar.close()
    return [said[i].strip() for i in range(len(rows))]


def _batches(items: list[int], size: int, key) -> list[list[int]]:
    """Runs of at most `size` items that have the same key."""
    runs = [list(run) for _, run in groupby(items, key)]
    return [run[start : start + size] for run in runs for start in range(0, len(run), size)]


def _has_virtual_tokens(model) -> bool:
    return hasattr(model, "active_peft_config") and model.active_peft_config.is_prompt_learning


def _continue(model, tokenizer, prompts: list[list[int]], max_new_tokens: int, temperature: float) -> torch.Tensor:
    """New tokens (batch, new) for prompts of token numbers."""
    shared = min(common_prefix(prompts), min(map(len, prompts)) - 1)
    if shared < WORTH_SHARING or _has_virtual_tokens(model):
        shared = 0
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        gap = width - len(prompt)
        ids[row, :shared] = torch.tensor(prompt[:shared])
        ids[row, shared + gap :] = torch.tensor(prompt[shared:])
        mask[row, :shared] = mask[row, shared + gap :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    cache = None
    if shared:
        cache = DynamicCache(config=model.config)
        model(input_ids=ids[:1, :shared], past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(prompts))
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        past_key_values=cache,
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        **({"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}),
        pad_token_id=tokenizer.pad_token_id,
    )
    return out[:, -(out.shape[1] - width) :] if out.shape[1] > width else out[:, :0]
