# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 104 · LoRA
#
# **You will** write LoRA in 40 lines, check it against the PEFT library, and fine-tune a real 135-million-parameter chat
# model with it, so that it turns customers' mails into JSON.
#
# **Needs** [lesson 101](101_what_is_fine_tuning.ipynb) and some Python; [103](103_full_fine_tuning.ipynb) helps. No GPU, no account.
#
# **Time** 25 min reading; running all cells takes about two minutes on two cores.

# %%
import course_lib as course

course.lesson("104")

# %% [markdown]
# ## Why
#
# Full fine-tuning changes every weight of a model. That takes memory for a gradient and two optimizer values per weight,
# and leaves you with a whole new model per task. LoRA (low-rank adaptation) keeps the weights as they are and learns a
# small correction beside each large matrix. Does so little suffice to teach a model a new job?
#
# ![The input x goes through the frozen weight W, and beside it through two small trained matrices, A then B; both results are added.](images/lora.svg)

# %% [markdown]
# ## LoRA, written down
#
# A linear layer computes $Wx$. LoRA makes it $Wx + \frac{\alpha}{r} B A x$. $A$ squeezes the input to $r$ numbers (the
# **rank**), $B$ spreads these out again. Only $A$ and $B$ are trained. $B$ starts at zero, so that at first nothing changes.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F


# %% tags=["shown:course_lib.run.lora"]
class LoRALinear(nn.Module):
    """A frozen linear layer plus a trained low-rank update: W x + (alpha / rank) B A x (Hu et al. 2021).

    A is (rank, in_features) and random, B is (out_features, rank) and zero: before training nothing has changed.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.empty(rank, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, x):
        """(..., in_features) to (..., out_features)."""
        return self.base(x) + F.linear(F.linear(x, self.A), self.B) * self.scale

    def merged(self) -> nn.Linear:
        """One ordinary linear layer that computes the same."""
        self.base.weight.data += self.scale * self.B.data @ self.A.data
        return self.base


# %% [markdown]
# A model has hundreds of linear layers. This function wraps all of them but the output layer.


# %% tags=["shown:course_lib.run.lora"]
def add_lora(model: nn.Module, rank: int, alpha: float) -> nn.Module:
    """Freeze `model` and wrap each of its linear layers, the output layer excepted."""
    model.requires_grad_(False)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and name != "lm_head":
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], LoRALinear(layer, rank, alpha))
    return model


# %% [markdown]
# ### The same as PEFT's?
#
# PEFT is the library that everybody uses for LoRA. We load the model twice, give one to PEFT and one to `add_lora`, put the
# same random numbers into both, and compare what comes out. Expect a difference of zero, or of rounding.

# %%
from peft import LoraConfig, get_peft_model

from course_lib import Plan, current_profile
from course_lib.run.assets import model_folder
from course_lib.run.methods import load_base, load_tokenizer, trainable_parameters

size = current_profile()
folder = model_folder(size.model)
tokenizer = load_tokenizer(folder)
plan = Plan(model=size.model, precision="fp32")
ours = add_lora(load_base(folder, plan), rank=16, alpha=32)
theirs = get_peft_model(load_base(folder, plan), LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))

# %%
torch.manual_seed(0)
for layer, peft_layer in zip(
    (m for m in ours.modules() if isinstance(m, LoRALinear)),
    (m for m in theirs.modules() if hasattr(m, "lora_A")),
    strict=True,
):
    nn.init.normal_(layer.B, std=0.02)
    peft_layer.lora_A["default"].weight.data.copy_(layer.A)
    peft_layer.lora_B["default"].weight.data.copy_(layer.B)
ours = ours.to(theirs.device)

# %% tags=["nbval-check-output"]
tokens = tokenizer("Low rank, high hopes.", return_tensors="pt").to(theirs.device)
with torch.no_grad():
    difference = (ours(**tokens).logits - theirs(**tokens).logits).abs().max().item()
print("same as PEFT to 1e-5:", difference < 1e-5)
trained, everything = trainable_parameters(theirs)
print(f"{trained:,} of {everything:,} parameters are trained: {trained / everything:.1%}")
del ours, theirs

# %% [markdown]
# Our 40 lines do what PEFT does. From here on we use PEFT, which can also save, load and switch adapters.
#
# ## The job
#
# Mails to a shop must become JSON records. The mails are generated, so we know the right answer to each. Test mails use
# sentences, templates, names and products that never occur in training.

# %%
from course_lib import load, show_mask

data = load("mails", n_train=size.n_train)
print(data.notice)
print(len(data.train), "mails to learn from;", len(data.test), "held out")

# %% [markdown]
# One training row as the model sees it. Only the marked part is trained on: the model learns to **answer** mails, not to
# write them. The end token is marked as well, or the model would never learn to stop.

# %%
show_mask(tokenizer, data.train[0])

# %% [markdown]
# ## Before: the base model
#
# First the fair rivals, measured on the held-out mails: no model at all, but the record of the most similar training mail
# copied; the model as it is, asked directly (0-shot); and with four solved mails in its prompt (4-shot). Expect about half a
# minute.

# %%
from course_lib import Report, evaluate
from course_lib.prove.baselines import nearest_row

copied = nearest_row(data, n=size.n_test)
base = load_base(folder, Plan(model=size.model)).eval()
zero_shot = evaluate(base, data, n=size.n_test, max_new_tokens=40, name="base, 0-shot")
four_shot = evaluate(base, data, n=size.n_test, max_new_tokens=40, shots=4, name="base, 4-shot")
del base
rivals = {"nearest mail copied": copied, "base, 0-shot": zero_shot, "base, 4-shot": four_shot}
Report(rivals)

# %% [markdown]
# What does it say when asked directly?

# %%
print(zero_shot.answers[0].asked, "\n")
print("0-shot:", zero_shot.answers[0].said, "\n")
print("4-shot:", four_shot.answers[0].said)

# %% [markdown]
# ## Train
#
# A **plan** says everything that decides a run. Expect about a minute: one pass over the mails, each step four mails.
# LoRA goes into the upper blocks only (`first_layer`): the blocks below stay as they are and then need no backward pass,
# which saves much of the time. If the kernel dies, run this cell again: it goes on from the last checkpoint.

# %%
from course_lib import train

plan = Plan(
    model=size.model,
    method="lora",
    rank=16,
    alpha=32,
    first_layer=size.first_layer,
    lr=size.lr,
    data="mails",
    n_train=size.n_train,
    micro_batch=size.micro_batch,
)
run = train(plan)
print(run)

# %% [markdown]
# The loss is the model's surprise at the right answer, in nats per token. Expect a steep fall: the shape of the record is
# learned within a few steps. What is in the record takes longer.

# %%
from course_lib.prove.report import plot_loss

plot_loss(run)
# %% [markdown]
# ## After
#
# The same held-out mails, now for the tuned model.

# %%
tuned_model = run.model()
tuned = evaluate(tuned_model, data, n=size.n_test, max_new_tokens=40, name="tuned")
report = Report(rivals | {"LoRA": tuned})
report

# %%
report.plot("field_accuracy")
# %% [markdown]
# Read the failures. A number says how often; only the answers say how.

# %%
for answer in tuned.failures()[:4]:
    print(answer.asked.replace("\n", " "), "\n  wanted", answer.wanted, "\n  said  ", answer.said, "\n")
print(f"{len(tuned.failures())} of {len(tuned.answers)} records have at least one wrong field.")

# %% [markdown]
# ## Merge, save, reload
#
# $W + \frac{\alpha}{r} BA$ is just another matrix, so the update can be added into the weights once and for all. The merged
# model is an ordinary one: no PEFT, no extra work per token. Its answers should be the same.

# %%
from pathlib import Path

from course_lib import work_folder
from course_lib.run.generate import answers

asked, before = data.test[:6], [answer.said for answer in tuned.answers[:6]]
merged_folder = Path(work_folder()) / "104_merged"
tuned_model.merge_and_unload().save_pretrained(merged_folder)
reloaded = load_base(merged_folder, Plan(model=size.model)).eval()
same = [a == b for a, b in zip(before, answers(reloaded, tokenizer, asked, 40), strict=True)]
print(f"{sum(same)} of {len(same)} answers are the same after merging, saving and reloading.")

# %% [markdown]
# ## Claim and measurement
#
# What the guides say about LoRA, beside what you just measured. One claim still wants a measurement: that a merged model is as
# fast as the base model. We time one pass of each, again and again in turns. Expect about 1.

# %%
from time import perf_counter

import numpy as np

from course_lib.prove.scores import Score, interval


def seconds(model):
    start = perf_counter()
    model(**tokens.to(model.device)).logits.sum().item()  # the sum waits until a GPU has finished
    return perf_counter() - start


base = load_base(folder, Plan(model=size.model)).eval()
with torch.no_grad():
    times = np.array([seconds(reloaded) / seconds(base) for _ in range(24)])[4:]  # the first ones warm up
slower = Score(times.mean(), *interval(times, share=False), len(times))

# %%
from course_lib.prove.claims import Finding

share = run.record["trainable"] / run.record["parameters"]
adapter_mb = (run.weights / "adapter_model.safetensors").stat().st_size / 1e6
merged_mb = (merged_folder / "model.safetensors").stat().st_size / 1e6
share_words = f"{share:.1%} (rank {plan.rank}, blocks {plan.first_layer} and up)"
size_words = f"adapter {adapter_mb:.0f} MB, merged model {merged_mb:.0f} MB"
found = {
    "overview.lora.share": Finding(share_words, "holds" if share < 0.01 else "not here"),
    "overview.lora.merge": Finding(f"{sum(same)} of {len(same)} answers unchanged", "holds" if all(same) else "partly"),
    "module9.tasks.files": Finding(size_words, "holds" if adapter_mb < merged_mb / 10 else "partly"),
    "module9.latency.merged": Finding.at_most(slower, 1.1, of="time of a pass, as a multiple of the base model's"),
    "lesson4.goal.format": Finding.at_least(tuned["valid_json"], 0.8, of="answers that are JSON"),
}
course.claims("104", found, seed=plan.seed)

# %% [markdown]
# "As fast" holds here if the whole interval is at most 1.1, "easy to learn" if the whole interval is at least 0.8: where a
# guide gives no number, somebody has to draw the line.
#
# The share of trained parameters depends on the model. A square layer of width $d$ has $d^2$ weights, LoRA adds $2 r d$, so
# the share is about $2r/d$: it shrinks as models get wider. At width 4,096, as in a 7B model, $2 \cdot 16 / 4096$ is below
# 1 % with LoRA everywhere. At width 576 it is not, as the count at the top of this page shows. The guide's number is about
# large models, and does not say so.

# %% [markdown]
# ## Check yourself
#
# Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("104")

# %% [markdown]
# ## Your turn
#
# The exercise asks you to count LoRA's parameters, to choose a rank for a budget, and to merge a layer by hand. It is
# [exercises/beginner/104_lora.ipynb](../../exercises/beginner/104_lora.ipynb); `make learn` puts a copy of it into
# `my_work/`, where nothing overwrites what you write.
#
# This page ticks: *Run beginner LoRA example* (quick-start path).

# %% [markdown]
# ## Recap
#
# - LoRA learns $\frac{\alpha}{r} BA$ beside frozen weights; 40 lines are enough, and equal PEFT's.
# - A minute of it taught a small model a job that neither asking nor four examples in the prompt could make it do as well:
#   compare the intervals in your own table above before you believe this sentence.
# - The update can be merged: the result is an ordinary model.

# %%
course.finish("104")

# %% [markdown]
# **Next:** the exercise above; try `Plan(rank=4, ...)` in the training cell and compare; then
# [105 · Prompt tuning](105_prompt_tuning.ipynb), which trains still less.
