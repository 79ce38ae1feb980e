"""Pieces of the exported script: text with {fields}, {{ and }} standing for braces."""

AUTO = """\
# precision auto: bf16 where the processor computes in it, else fp32
if torch.cuda.is_available():
    BF16 = torch.cuda.is_bf16_supported(including_emulation=False)
else:
    BF16 = any(on for name, on in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
COMPUTE = torch.bfloat16 if BF16 else torch.float32"""

QUANTIZED = """\
    quantization_config=BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=COMPUTE,{skip}
    ),
    device_map={{"": {device} if torch.cuda.is_available() else "cpu"}},"""

LOSS = "# loss {loss}: TRL 1.16 computes the loss in chunks and never builds the logits of a whole batch.\n"
TOO_LONG = """\
if longest > {max_len}:
    raise SystemExit(f"The longest row has {{longest}} tokens, max_len is {max_len}; a cut row would lose its answer.")"""

SFT = """\
rows = load_dataset("json", data_files=args.data, split="train"){select}
longest = max(len(tokenizer.apply_chat_template(row["messages"], return_dict=True)["input_ids"]) for row in rows)
{too_long}


def as_pair(row: dict) -> dict:
    return {{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}}


rows = rows.map(as_pair, remove_columns=rows.column_names)

# Only answers are learned. A chat template with generation marks says itself which tokens these are.
marked = "{{% generation %}}" in tokenizer.chat_template
{loss}trainer = SFTTrainer(
    model=model,
    args=SFTConfig(
        output_dir={output},
        max_length={max_len},
        packing={packing},
        assistant_only_loss=marked,
        completion_only_loss=not marked,
        **training,
    ),
    train_dataset=rows,
    processing_class=tokenizer,{peft}
)
trainer.train()
trainer.save_model({output}){then}"""

DPO = """\
pairs = load_dataset("json", data_files={file}, split="train"){select}
longest = max(
    len(tokenizer.apply_chat_template(pair["prompt"] + pair[answer], return_dict=True)["input_ids"])
    for pair in pairs
    for answer in ("chosen", "rejected")
)
{too_long}

{loss}trainer = DPOTrainer(
    model=model,{reference}
    args=DPOConfig(
        output_dir={output},
        max_length={max_len},
        beta={beta},  # not in the plan: TRL's default{rate}
        **training,
    ),
    train_dataset=pairs,
    processing_class=tokenizer,{peft}
)
trainer.train()
trainer.save_model({output})"""

CPT = """\
texts = load_dataset("json", data_files={file}, split="train")

# First the plain texts: joined, cut into blocks of max_len tokens, every token learned.
{loss}trainer = SFTTrainer(
    model=model,
    args=SFTConfig(
        output_dir={output},
        max_length={max_len},
        packing=True,
        packing_strategy="wrapped",
        **training,
    ),
    train_dataset=texts,
    processing_class=tokenizer,{peft}
)
trainer.train()
trainer.save_model({output}){then}"""

GOES_ON = "\nmodel = trainer.model  # the next stage trains on"
MERGED = """
model = trainer.model.merge_and_unload()  # the next stage's reference, and where its new adapter starts
model.save_pretrained(args.output + "/merged")"""

ONE_RATE = """
        # The plan has one learning rate, so both stages take it; DPO mostly wants a tenth of what SFT wants."""

LABELS = """\
rows = load_dataset("json", data_files=args.data, split="train"){select}
labels = sorted({{row["messages"][-1]["content"] for row in rows}})"""

CLASSIFY = """\
def encode(row: dict) -> dict:
    text, label = (message["content"] for message in row["messages"][-2:])
    return {{"input_ids": tokenizer(text)["input_ids"], "labels": labels.index(label)}}


rows = rows.map(encode, remove_columns=rows.column_names)
longest = max(len(row["input_ids"]) for row in rows)
{too_long}

trainer = Trainer(
    model=model,
    args=TrainingArguments(output_dir={output}, **training),
    train_dataset=rows,
    data_collator=DataCollatorWithPadding(tokenizer),
    processing_class=tokenizer,
)
trainer.train()
trainer.save_model({output})"""
