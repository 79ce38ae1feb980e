"""Learned virtual tokens: prompt tuning, prefix tuning and P-tuning, and where a prefix starts."""

import torch
from peft import PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, PromptTuningInit
from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values
from transformers import PreTrainedModel

from course_lib.plan import Plan

MERGES_NOT = (
    "{method} cannot be merged, since it trains no weights of the model but virtual tokens that stand before each text: "
    "keep them beside the model, or train with method lora."
)
# Any plain text does: the model then starts as if this stood before each prompt.
START = (
    "The text below is clear and complete. Read all of it first, then write the answer that is asked for, and no more."
)


def prompt_tuning(model: PreTrainedModel, plan: Plan) -> PromptTuningConfig:
    """Virtual tokens before the text (Lester et al. 2021), each one starting as a token of the vocabulary drawn by chance."""
    return PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=plan.virtual_tokens, prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB
    )


def prefix_tuning(model: PreTrainedModel, plan: Plan) -> PrefixTuningConfig:
    """Keys and values of virtual tokens in each block (Li & Liang 2021), without an MLP that writes them."""
    return PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=plan.virtual_tokens)


def p_tuning(model: PreTrainedModel, plan: Plan) -> PromptEncoderConfig:
    """Virtual tokens that an MLP writes (Liu et al. 2021); PEFT's is as wide as the model, and is not saved."""
    return PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=plan.virtual_tokens)


@torch.no_grad()
def prefix_from_text(model: PeftModel, tokenizer, n_tokens: int) -> None:
    """Start a prefix as the keys and values that the model itself makes of a plain text, repeated to `n_tokens`.

    Random keys and values, PEFT's start, draw most of the attention to themselves and leave nothing of what the model knew.
    """
    ids = tokenizer(START, add_special_tokens=True)["input_ids"]
    ids = (ids * -(-n_tokens // len(ids)))[:n_tokens]
    base = model.get_base_model()
    cache = base(input_ids=torch.tensor([ids], device=base.device), use_cache=True).past_key_values
    initialize_kv_prefix_from_past_key_values(model, past_key_values=cache)
