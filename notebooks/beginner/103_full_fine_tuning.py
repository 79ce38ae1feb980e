# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 103 · Full fine-tuning
#
# **You will** write a training loop by hand, train every weight of a 135-million-parameter model with it, get the same losses
# from the Trainer that everybody uses, and weigh what lies in memory at each moment of a step.
#
# **Needs** [lesson 101](101_what_is_fine_tuning.ipynb) and some Python. No GPU, no account.
#
# **Time** 25 min reading; running all cells takes about two minutes on two cores.

# %%
import course_lib as course

course.lesson("103")

# %% [markdown]
# ## Why
#
# Full fine-tuning is the plain case: every weight may change. All other methods in this course are ways to do less than that.
# Whoever has once written the loop knows what they leave out, and why a model that *runs* on a machine may not *train* there.
#
# ![Four boxes in a circle: forward, loss, backward, step; below each, what lies in memory after it: intermediate results until the backward pass, gradients after it.](images/training_step.svg)
#
# In words, one **step**: the rows go *forward* through the model, which gives a probability to each next token. The **loss** is
# the mean surprise at the tokens of the right answers. The *backward* pass finds for each weight how the loss would change with
# it, its **gradient**. The *step* moves each weight a little against its gradient. Then the gradients are thrown away.
#
# ## The job
#
# Mails to a shop must become JSON records, as in lessons 104 and 106. Test mails use sentences, templates, names and products
# that never occur in training.

# %%
from course_lib import Plan, current_profile, load, show_mask
from course_lib.run.assets import model_folder
from course_lib.run.methods import load_base, load_tokenizer, trainable_parameters

size = current_profile()
folder = model_folder(size.full_model)
tokenizer = load_tokenizer(folder)
data = load("mails", n_train=size.full_rows)
print(data.notice)
print(len(data.train), "mails to learn from")
show_mask(tokenizer, data.train[0])

# %% [markdown]
# ## What is trained on
#
# The model is to *answer* mails, not to write them. So each token gets a **label**: its own number where it belongs to the
# answer, and -100, which means *do not count this*, everywhere else. Here is where the answer of the first row begins.

# %%
from course_lib.run.chat import IGNORED, encode

rows = [encode(tokenizer, row) for row in data.train]
first = rows[0]
start = next(i for i, label in enumerate(first.labels) if label != IGNORED)
for i in range(start - 3, start + 4):
    print(f"{tokenizer.decode(first.input_ids[i])!r:>14}  token {first.input_ids[i]:>6}  label {first.labels[i]:>6}")
print(sum(label != IGNORED for label in first.labels), "of", len(first), "tokens are trained on")

# %% [markdown]
# ## The loop, by hand
#
# Two functions. Rows differ in length, but a tensor is a rectangle: `pad` fills the short ones up, and marks the filling so
# that it is neither looked at nor trained on. `answer_loss` is the forward pass and the loss.

# %%
import torch
from torch.nn import functional as F


# %% tags=["shown:course_lib.run.loop"]
def pad(rows, pad_id):
    """Rows of unequal length as tensors (batch, seq): padding is neither looked at nor trained on."""
    longest = max(len(row.input_ids) for row in rows)

    def filled(lists, fill):
        return torch.tensor([numbers + [fill] * (longest - len(numbers)) for numbers in lists])

    ids = filled([row.input_ids for row in rows], pad_id)
    mask = filled([[1] * len(row.input_ids) for row in rows], 0)
    return {"input_ids": ids, "attention_mask": mask, "labels": filled([row.labels for row in rows], IGNORED)}


def answer_loss(model, batch):
    """Mean surprise at the next token, in nats, over the tokens whose label is not -100."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    predicted, wanted = logits[:, :-1], batch["labels"][:, 1:]  # position i predicts token i + 1
    return F.cross_entropy(predicted.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)


# %% [markdown]
# Now the loop: one pass over the mails, two in each step. AdamW is the usual rule for the step: it keeps two running averages
# for each weight, of its gradient and of the gradient's square, and so gives each weight a step size of its own. Expect the
# loss to fall steeply within a few steps; it takes the better part of a minute.

# %%
from tqdm import tqdm

rate = size.full_lr
batches = [pad(rows[i : i + 2], tokenizer.pad_token_id) for i in range(0, len(rows), 2)]
model = load_base(folder, Plan(model=size.full_model, method="full")).train()
batches = [{name: tensor.to(model.device) for name, tensor in batch.items()} for batch in batches]
optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
losses = []
for batch in tqdm(batches, "by hand", unit="step"):
    loss = answer_loss(model, batch)  # forward
    loss.backward()  # a gradient for each weight
    optimizer.step()  # each weight moves a little
    optimizer.zero_grad()  # the gradients are thrown away
    losses.append(loss.item())
print(f"loss {losses[0]:.2f} at the first step, {losses[-1]:.2f} at the last")

# %% [markdown]
# That is all that training is. What is still missing from it, a library gives you: checkpoints, a learning rate that rises and
# falls, mixed precision, many GPUs.
#
# ## How good is it?
#
# On mails that it has not seen, it will stand beside three fair rivals: the model as it came, asked directly (0-shot) and with
# four solved mails in its prompt (4-shot); and a rival without any model, which copies the record of the most similar training
# mail. It answers now; the scores come further down, once this model has made room for another.

# %%
from course_lib import Report, evaluate
from course_lib.prove.baselines import nearest_row

n = size.full_test
tuned = evaluate(model, data, n=n, max_new_tokens=40, name="tuned")

# %% [markdown]
# ## What lies in memory
#
# Before this model is thrown away, one more step, in which all tensors are weighed. The optimizer's averages are there from
# the steps before. Expect weights, gradients and averages to be in the ratio of 1 : 1 : 2, since each number takes 4 bytes.

# %%
from functools import partial

from course_lib.prove.step_memory import plot_step, weigh_step

trained, everything = trainable_parameters(model)
moments = weigh_step(model, optimizer, partial(answer_loss, model, batches[0]))
plot_step(moments)

# %% [markdown]
# **Activations** are intermediate results that wait for the backward pass, which needs them. They grow with the number of
# tokens in a batch; the other three do not. A model that only answers needs the first bar's weights and little more. Now
# `estimate`, which knows nothing of this run but its plan, beside the moment at which most was held:

# %%
from course_lib import estimate
from course_lib.prove.tables import table

longest = max(batch["input_ids"].shape[1] for batch in batches)
plan = Plan(model=size.full_model, method="full", micro_batch=2, max_len=longest, precision="fp32", lr=rate)
parts = estimate(plan, gpu="cpu").parts
peak = max(moments, key=lambda moment: moment.gib)
rows_shown = [(part, f"{gib:.2f}", f"{parts[part]:.2f}") for part, gib in peak.parts.items()]
table([dict(zip(("part", "weighed, GiB", "estimate, GiB"), row, strict=True)) for row in rows_shown], peak.name)

# %% [markdown]
# ## The same with Trainer
#
# `Trainer` is the loop of the library transformers. Given the same rows in the same order, the same rule and the same rate, it
# must find the same losses. We let it do the first four steps, on a fresh model. Expect differences in the fifth digit.

# %%
from tempfile import mkdtemp

from transformers import PrinterCallback, Trainer, TrainingArguments

del model, optimizer, loss
fresh = load_base(folder, Plan(model=size.full_model, method="full"))
arguments = TrainingArguments(
    output_dir=mkdtemp(), max_steps=4, per_device_train_batch_size=2, train_sampling_strategy="sequential",
    learning_rate=rate, lr_scheduler_type="constant", weight_decay=0.0, max_grad_norm=0.0,
    logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
)  # fmt: skip
trainer = Trainer(fresh, arguments, train_dataset=rows, data_collator=lambda some: pad(some, tokenizer.pad_token_id))
trainer.remove_callback(PrinterCallback)
trainer.train()
theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

# %%
both = enumerate(zip(losses, theirs, strict=False), 1)
table([{"step": step, "by hand": f"{ours:.4f}", "Trainer": f"{theirs:.4f}"} for step, (ours, theirs) in both])

# %% [markdown]
# The loops are the same. (We told Trainer to leave out what it would add: a falling rate, clipping, shuffling.) From here on
# `train` uses Trainer, for its checkpoints and its many GPUs.
#
# ## The rivals, and the score
#
# Expect some ten seconds for each of the two prompts.

# %%
del trainer, fresh
base = load_base(folder, Plan(model=size.full_model)).eval()
report = Report({
    "nearest mail copied": nearest_row(data, n=n),
    "base, 0-shot": evaluate(base, data, n=n, max_new_tokens=40, name="base, 0-shot"),
    "base, 4-shot": evaluate(base, data, n=n, shots=4, max_new_tokens=40, name="base, 4-shot"),
    "all weights trained": tuned,
})  # fmt: skip
report

# %%
report.plot("field_accuracy")

# %% [markdown]
# The loop above is as short as it can be. So few test mails make wide intervals, and this is one run with one seed: lesson 106
# has three, beside other methods.
#
# ## Claim and measurement
#
# How fast full fine-tuning is beside LoRA was measured with three seeds each, and stored (lesson 106 says how).

# %%
from course_lib.prove.claims import Finding
from course_lib.prove.measured import measured

answering, training = peak.parts["weights"], peak.gib
states = peak.parts["optimizer"] / answering
speed = {case: measured().cost(case)["tokens_per_s"] for case in ("full", "lora")}
course.claims("103", {
    "module9.full.share": Finding(f"{trained:,} of {everything:,} weights", "holds" if trained == everything else "not here"),
    "overview.full.memory": Finding(f"{training:.2f} GiB to train, {answering:.2f} to answer", "holds" if training > 3 * answering else "partly"),
    "selector.full.states": Finding(f"optimizer states are {states:.2f} times the weights", "holds" if states > 1 else "not here"),
    "overview.full.speed": Finding(
        "full {full:.0f} tokens/s, LoRA {lora:.0f}".format(**speed), "holds" if speed["full"] < speed["lora"] else "not here"
    ),
})  # fmt: skip

# %% [markdown]
# ## Check yourself
#
# Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("103")

# %% [markdown]
# ## Your turn
#
# The exercise asks you to build labels for a row, to compute the loss by hand, and to say how much memory a model of a given size
# takes to train. It is
# [exercises/beginner/103_full_fine_tuning.ipynb](../../exercises/beginner/103_full_fine_tuning.ipynb); `make learn` puts a copy of
# it into `my_work/`, where nothing overwrites what you write.
#
# This page ticks: *Run beginner full fine-tuning example* (quick-start path).

# %% [markdown]
# ## Recap
#
# - Forward, loss on the answer's tokens, backward, step, and forget the gradients: that is training.
# - In fp32 with AdamW each weight takes 16 bytes in training, 4 in answering; activations come on top.
# - Trainer does the same loop and finds the same losses.
# - What all other methods save is gradients and averages: those of the weights that they do not train.

# %%
course.finish("103")

# %% [markdown]
# **Next:** the exercise above; then [104 · LoRA](104_lora.ipynb), which trains few numbers beside them and leaves the rest as it is.
