"""Pieces of the script for Unsloth: text with {fields}, {{ and }} standing for braces."""

HEAD = '''\
"""Fine-tune {model} with Unsloth: method {method}, objective {objective} (course plan {id}).

Never run: its calls were checked against the source of unsloth 2026.10.9, and no GPU was at hand. It needs one.
Unsloth {remark}

Install: pip install unsloth==2026.10.9
Run:     {run}

{files}
"""
'''

MODEL = """\
MODEL = {model}  # a hub id or a local folder
COMPUTE = {compute}

model, tokenizer = FastLanguageModel.from_pretrained(
    model_name=MODEL,
    max_seq_length={max_len},
    dtype=COMPUTE,
    load_in_4bit={four_bits},
    full_finetuning={full},{mixed}{revision}
    use_exact_model_name=True,  # these weights, and no copy that Unsloth quantised before
    use_gradient_checkpointing={checkpointing},
    random_state={seed},
)
tokenizer.padding_side = "right"
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token"""

MIXED = """
    float32_mixed_precision=True,  # weights in fp32: an update is often smaller than 16 bits can add"""

LINEAR = """\
linear = {name.split(".")[-1] for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
linear = sorted(linear - {"lm_head"})
"""

LORA = """\
{before}model = FastLanguageModel.get_peft_model(
    model,
    r={rank},
    lora_alpha={alpha},
    lora_dropout={dropout!r},
    target_modules={targets},{layers}{variant}
    use_gradient_checkpointing={checkpointing},
    random_state={seed},
)"""

LAYERS = """
    layers_to_transform=list(range({first}, model.config.num_hidden_layers)),"""

TRAINING = """\
training = dict(
    max_length={max_len},
    num_train_epochs={epochs},
    per_device_train_batch_size={micro_batch},
    gradient_accumulation_steps={grad_accum},
    lr_scheduler_type="{schedule}",
    warmup_steps={warmup!r},  # below 1: a share of all steps
    weight_decay={decay!r},
    optim="{optimizer}",
    bf16=COMPUTE is torch.bfloat16,
    fp16=COMPUTE is torch.float16,
    gradient_checkpointing={checkpointing},
    save_steps={save_steps},
    logging_steps=1,
    seed={seed},
    report_to="none",
)"""

SFT = """\
rows = load_dataset("json", data_files="train.jsonl", split="train"){select}
longest = max(len(tokenizer.apply_chat_template(row["messages"], return_dict=True)["input_ids"]) for row in rows)
if longest > {max_len}:
    raise SystemExit(f"The longest row has {{longest}} tokens, max_len is {max_len}; a cut row would lose its answer.")


def as_pair(row: dict) -> dict:
    return {{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}}


trainer = SFTTrainer(
    model=model,
    args=SFTConfig(output_dir="{output}", learning_rate={lr!r}, completion_only_loss=True, packing={packing}, **training),
    train_dataset=rows.map(as_pair, remove_columns=rows.column_names),
    processing_class=tokenizer,
)
trainer.train()
trainer.save_model("{output}")"""

CPT = """\
# Plain texts: joined, an end-of-sequence token after each, and cut every {max_len} tokens; every token is learned.
texts = load_dataset("json", data_files="texts.jsonl", split="train"){select}
tokens = []
for text in texts["text"]:
    tokens += [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
blocks = [tokens[start : start + {max_len}] for start in range(0, len(tokens), {max_len})]
blocks = [block for block in blocks if len(block) > 1]

trainer = SFTTrainer(
    model=model,
    args=SFTConfig(output_dir="{output}", learning_rate={lr!r}, padding_free=False, **training),
    train_dataset=Dataset.from_dict({{"input_ids": blocks, "labels": blocks}}),
    processing_class=tokenizer,
)
trainer.train()
trainer.save_model("{output}")"""

DPO = """\
pairs = load_dataset("json", data_files="pairs.jsonl", split="train"){select}
longest = max(
    len(tokenizer.apply_chat_template(pair["prompt"] + pair[answer], return_dict=True)["input_ids"])
    for pair in pairs
    for answer in ("chosen", "rejected")
)
if longest > {max_len}:
    raise SystemExit(f"The longest row has {{longest}} tokens, max_len is {max_len}; a cut row would lose its answer.")

trainer = DPOTrainer(
    model=model,
    args=DPOConfig(
        output_dir="{output}",
        learning_rate={lr!r},
        beta={beta!r},{reference}
        **training,
    ),
    train_dataset=pairs,
    processing_class=tokenizer,
)
trainer.train()
trainer.save_model("{output}")"""

REFERENCE = """
        precompute_ref_log_probs=True,  # once, before training: no second model beside this one"""
