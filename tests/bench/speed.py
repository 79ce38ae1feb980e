"""Training speed side by side, one process, run after run: `make bench`.

The same rows, the same LoRA, the same dtype: a plain PyTorch + PEFT loop, TRL's SFTTrainer with its defaults, and
`train`. The machine drifts by 10 to 15 % within minutes, so each rival is measured between two plain runs (A-B-A) and
compared with their mean.
"""

import random
import tempfile
import time

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from course_lib import Plan, train
from course_lib.run.assets import model_folder
from course_lib.run.chat import IGNORED, encode_rows
from course_lib.run.data import load
from course_lib.run.loop import pad
from course_lib.run.methods import compute_dtype, load_base, load_tokenizer

STEPS, BATCH = 6, 8
PLAN = Plan(data="mails", n_train=STEPS * BATCH, micro_batch=BATCH, save_steps=1000)
LORA = LoraConfig(r=PLAN.rank, lora_alpha=PLAN.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
# Forward and backward through the frozen linear layers, 106 M weights: 2 + 2 FLOP each; LoRA, 4.9 M weights: 2 + 4 each;
# the output layer, 28 M weights: 2 + 2 each, at targets only.
FLOP_PER_TOKEN, FLOP_PER_TARGET = 4 * 106.2e6 + 6 * 4.88e6, 4 * 28.3e6


def plain(folder, tokenizer, rows) -> float:
    """Tokens/s of the loop that everybody writes; the first step is not timed."""
    set_seed(0)
    model = get_peft_model(load_base(folder, PLAN), LORA).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=PLAN.lr)
    shuffled = random.Random(0).sample(rows, len(rows))
    tokens = seconds = 0
    for step in range(STEPS):
        batch = shuffled[step * BATCH : (step + 1) * BATCH]
        start = time.perf_counter()
        model(**pad(batch, tokenizer.pad_token_id)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step:
            tokens += sum(len(row.input_ids) for row in batch)
            seconds += time.perf_counter() - start
    return tokens / seconds


class Clock(TrainerCallback):
    """Seconds of each step."""

    def __init__(self):
        self.seconds = []

    def on_step_begin(self, *_, **__):
        self.start = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.perf_counter() - self.start)


def trl(folder, tokenizer, rows) -> float:
    """Tokens/s of SFTTrainer as it comes (checkpointing on, loss on all tokens), in the dtype of the others."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        trainer = SFTTrainer(
            load_base(folder, PLAN),
            SFTConfig(
                out,
                use_cpu=True,
                bf16=compute_dtype("auto") is torch.bfloat16,
                per_device_train_batch_size=BATCH,
                num_train_epochs=1,
                learning_rate=PLAN.lr,
                report_to="none",
                logging_strategy="no",
                disable_tqdm=True,
                save_strategy="no",
            ),
            train_dataset=Dataset.from_list(load("mails", n_train=STEPS * BATCH).train),
            processing_class=tokenizer,
            peft_config=LORA,
            callbacks=[clock],
        )
        trainer.train()
    return sum(len(row.input_ids) for row in rows) * (STEPS - 1) / STEPS / sum(clock.seconds[1:])


def ours(folder, tokenizer, rows) -> float:
    """Tokens/s of `train`, its first step left out like the others'."""
    with tempfile.TemporaryDirectory() as out:
        steps = train(PLAN, folder=out).history[1:]
    return sum(step["tokens"] for step in steps) / sum(step["seconds"] for step in steps)


def matmul_peak(dtype) -> float:
    """FLOP/s of a matrix product in the model's shapes: rows x 576 times 576 x 1536."""
    x, w = torch.randn(1024, 576).to(dtype), torch.randn(1536, 576).to(dtype)
    best = 0.0
    for _ in range(30):
        start = time.perf_counter()
        torch.nn.functional.linear(x, w)
        best = max(best, 2 * 1024 * 576 * 1536 / (time.perf_counter() - start))
    return best


def main() -> None:
    """Print the table."""
    folder = model_folder(PLAN.model)
    tokenizer = load_tokenizer(folder)
    rows = encode_rows(tokenizer, load("mails", n_train=STEPS * BATCH).train, PLAN.max_len)
    targets = sum(label != IGNORED for row in rows for label in row.labels)
    tokens = sum(len(row.input_ids) for row in rows)
    dtype = compute_dtype("auto")
    print(
        f"{len(rows)} rows, {tokens / len(rows):.0f} tokens each, {targets / tokens:.0%} trained on; "
        f"{dtype}, {torch.get_num_threads()} threads"
    )
    ceiling = matmul_peak(dtype) / (FLOP_PER_TOKEN + FLOP_PER_TARGET * targets / tokens)
    print(
        f"matmul peak {matmul_peak(dtype) / 1e9:.0f} GFLOP/s: at most {ceiling:.0f} tokens/s if every token is computed"
    )
    turns = [
        ("plain", plain),
        ("train", ours),
        ("plain", plain),
        ("TRL defaults", trl),
        ("plain", plain),
        ("train", ours),
        ("plain", plain),
    ]
    speeds = []
    for name, run in turns:
        speeds.append(run(folder, tokenizer, rows))
        print(f"{name:<14} {speeds[-1]:7.0f} tokens/s", flush=True)
    for i, (name, _) in enumerate(turns):
        if name != "plain":
            ratio = speeds[i] / ((speeds[i - 1] + speeds[i + 1]) / 2)
            print(f"{name}: {ratio:.2f} times the plain loop (run {i + 1}, between runs {i} and {i + 2})")


if __name__ == "__main__":
    main()
