"""Pieces of the exported script that every method shares: text with {fields}, {{ and }} standing for braces."""

AUTO = """\
# precision auto: bf16 where the hardware computes in it, else fp16 on a GPU and fp32 on a CPU
if torch.cuda.is_available():
    BF16 = torch.cuda.is_bf16_supported(including_emulation=False)
else:
    BF16 = any(on for name, on in torch.cpu.get_capabilities().items() if name.endswith("bf16"))
COMPUTE = torch.bfloat16 if BF16 else torch.float16 if torch.cuda.is_available() else torch.float32"""

DEVICE = """\
    device_map={{"": {n} if torch.cuda.is_available() else "cpu"}},"""

QUANTIZED = """\
    quantization_config=BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=COMPUTE,{skip}
    ),"""

SKIP_HEAD = """
        llm_int8_skip_modules=["lm_head", "score", "classifier", "pre_classifier"],  # new layers stay in 16 bits"""

UNPACKED = """
# On some processors bitsandbytes packs 4-bit weights anew at the first answer, and training then reads them scrambled.
for layer in model.modules():
    if hasattr(layer, "support_avx512bf16_for_cpu"):
        layer.support_avx512bf16_for_cpu = False"""

FP32 = """
# What is trained is held in fp32, whatever the rest is: an update is often smaller than 16 bits can add.
for weight in model.parameters():
    if weight.requires_grad:
        weight.data = weight.data.float()"""

HIDE = """\
# TRL would round what is trained on a 4-bit base to bf16, and an update is often smaller than bf16 can add.
model.get_base_model().is_loaded_in_4bit = False
"""
SHOW = """
model.get_base_model().is_loaded_in_4bit = True"""

LOSS = "# loss {loss}: TRL 1.16 computes the loss in chunks and never builds the logits of a whole batch.\n"
TOO_LONG = """\
if longest > {max_len}:
    raise SystemExit(f"The longest row has {{longest}} tokens, max_len is {max_len}; a cut row would lose its answer.")"""

SFT = """\
rows = load_dataset("json", data_files={file}, split="train"){select}
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
    processing_class=tokenizer,
){then}"""

CPT = """\
# Plain texts: joined, an end-of-sequence token after each, and cut every {max_len} tokens; every token is learned.
texts = load_dataset("json", data_files={file}, split="train"){select}
tokens = []
for ids in tokenizer(texts["text"][:], add_special_tokens=False)["input_ids"]:
    tokens += [*ids, tokenizer.eos_token_id]
blocks = [tokens[start : start + {max_len}] for start in range(0, len(tokens), {max_len})]
blocks = Dataset.from_dict({{"input_ids": [block for block in blocks if len(block) > 1]}})

{loss}trainer = SFTTrainer(
    model=model,
    args=SFTConfig(output_dir={output}, max_length={max_len}, **training),
    train_dataset=blocks,
    processing_class=tokenizer,
){then}"""

DPO = """\
pairs = load_dataset("json", data_files={file}, split="train"){select}
longest = max(
    len(tokenizer.apply_chat_template(pair["prompt"] + pair[answer], return_dict=True)["input_ids"])
    for pair in pairs
    for answer in ("chosen", "rejected")
)
{too_long}

# A chat template with generation marks says where an answer ends; the tokens that it writes after that are not learned.
after = 0
if "{{% generation %}}" in tokenizer.chat_template:
    chat = pairs[0]["prompt"] + pairs[0]["chosen"]
    chat = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    after = chat["assistant_masks"][::-1].index(1)


class AnswersOnly(DataCollatorForPreference):
    def torch_call(self, examples: list[dict]) -> dict:
        for row in examples:
            for answer in ("chosen_ids", "rejected_ids"):
                row[answer] = row[answer][: len(row[answer]) - after]
        return super().torch_call(examples)


{start_here}model.eval()  # the reference is computed without dropout
{loss}trainer = {trainer}(
    model=model,
    args=DPOConfig(
        output_dir={output},
        max_length={max_len},
        beta={beta!r},
        precompute_ref_log_probs=True,  # once, before training: no second model beside this one
        disable_dropout=False,
        **{training},
    ),
    train_dataset=pairs,
    data_collator=AnswersOnly(pad_token_id=tokenizer.pad_token_id),
    processing_class=tokenizer,
){then}"""

START_HERE = """\
class FromHere(DPOTrainer):
    \"\"\"The reference is the model as it stands when DPO begins, adapter included. TRL would switch that off.\"\"\"

    def compute_ref_log_probs(self, model, inputs):
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        inputs = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "labels": labels}
        with torch.no_grad(), self.accelerator.autocast():
            said = model(**inputs, use_cache=False, fused_lm_head=True)
        return said.log_probs.sum(dim=1).chunk(2)


"""
NO_COPY = """
model.delete_adapter("ref")  # TRL's copy, not needed"""

LABELS = """\
rows = load_dataset("json", data_files={file}, split="train"){select}
labels = sorted({{row["messages"][-1]["content"] for row in rows}})"""

PAD_LEFT = """\
# Behind virtual tokens a causal classifier cannot tell padding from text, and reads its answer off the last position.
if model.config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:  # these are encoders, which read it off the first
    tokenizer.padding_side = "left"


"""

CLASSIFY = """\
{pad_left}def encode(row: dict) -> dict:
    text, label = (message["content"] for message in row["messages"][-2:])
    return {{"input_ids": tokenizer(text)["input_ids"], "labels": labels.index(label)}}


rows = rows.map(encode, remove_columns=rows.column_names)
longest = max(len(row["input_ids"]) for row in rows)
if longest > {max_len}:
    raise SystemExit(f"The longest text has {{longest}} tokens, max_len is {max_len}; a cut text would lose its end.")

trainer = Trainer(
    model=model,
    args=TrainingArguments(output_dir={output}, **training),
    train_dataset=rows,
    data_collator=DataCollatorWithPadding(tokenizer),
    processing_class=tokenizer,
){then}"""
