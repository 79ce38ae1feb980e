# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 105 · Prompt tuning
#
# **You will** write a soft prompt in 30 lines, check it against the PEFT library, make a text classifier from it on real data,
# and see how far it gets against LoRA and against a classifier without any language model.
#
# **Needs** [lesson 104](104_lora.ipynb) and some Python. No GPU, no account.
#
# **Time** 25 min reading; running all cells takes about two minutes on two cores.

# %%
import course_lib as course

course.lesson("105")

# %% [markdown]
# ## Why
#
# A good prompt changes what a model does, without any training. But a prompt is made of words, and words are few. Inside the
# model a token is a list of numbers, its **embedding**, and training can find numbers that belong to no word at all. A **soft
# prompt** is a handful of such made-up tokens, put in front of every text. Only they are trained; the model stays as it is.
#
# ![A tree: fine-tuning is either full, which trains all weights, or parameter-efficient: LoRA with QLoRA below it, prompt tuning, adapters.](images/techniques.svg)
#
# In words: full fine-tuning trains all weights. The other methods keep the model's weights frozen and train few new numbers:
# LoRA two small matrices beside each chosen weight matrix (QLoRA the same, with the frozen weights in 4 bits), prompt tuning a
# few virtual tokens before the text, adapters thin layers within each block.
#
# ## A soft prompt, written down
#
# The model looks up the text's embeddings; the soft prompt goes before them. What comes out at the soft prompt's own positions
# is of no interest and is cut off. It starts as the embeddings of some tokens drawn by chance.

# %%
import torch
from torch import nn


# %% tags=["shown:course_lib.run.soft_prompt_by_hand"]
class SoftPrompt(nn.Module):
    """A frozen model behind `n_tokens` learned rows (n_tokens, width), all that is trained (Lester et al. 2021)."""

    def __init__(self, model: nn.Module, n_tokens: int, seed: int = 0):
        super().__init__()
        self.model = model.requires_grad_(False)
        words = model.get_input_embeddings().weight
        drawn = torch.randint(len(words), (n_tokens,), generator=torch.Generator().manual_seed(seed))
        self.prompt = nn.Parameter(words[drawn].float())

    def forward(self, input_ids, attention_mask=None):
        """Token ids and mask (batch, seq) to logits (batch, seq, vocab): of the text's positions only."""
        text = self.model.get_input_embeddings()(input_ids)
        prompt = self.prompt.to(text.dtype).expand(len(text), -1, -1)
        if attention_mask is not None:
            attention_mask = torch.cat([attention_mask.new_ones(prompt.shape[:2]), attention_mask], dim=1)
        whole = torch.cat([prompt, text], dim=1)
        out = self.model(inputs_embeds=whole, attention_mask=attention_mask)
        return out.logits[:, prompt.shape[1] :]


# %% [markdown]
# ### The same as PEFT's?
#
# We put the same numbers into PEFT's soft prompt and into ours. Expect a difference of zero, or of rounding.

# %%
from peft import PromptTuningConfig, get_peft_model

from course_lib import Plan, current_profile
from course_lib.run.assets import model_folder
from course_lib.run.methods import load_base, load_tokenizer, trainable_parameters

size = current_profile()
folder = model_folder(size.model)
tokenizer = load_tokenizer(folder)
plain = Plan(model=size.model, precision="fp32")
ours = SoftPrompt(load_base(folder, plain).eval(), n_tokens=8)
config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=8)
theirs = get_peft_model(load_base(folder, plain), config).eval()
theirs.prompt_encoder["default"].embedding.weight.data = ours.prompt.data

# %% tags=["nbval-check-output"]
text = tokenizer("Free as in freedom.", return_tensors="pt").to(ours.prompt.device)
with torch.no_grad():
    difference = (ours(text["input_ids"]) - theirs(**text).logits[:, 8:]).abs().max().item()
print("same as PEFT to 1e-5:", difference < 1e-5)
trained, everything = trainable_parameters(theirs)
print(f"{trained:,} of {everything:,} parameters are trained: {trained / everything:.4%}")
del ours, theirs

# %% [markdown]
# From here on we use PEFT, which can also save and load.
#
# ## The job: real text
#
# Notices from the heads of source files, and the kind of licence that each one names. They were collected and labelled by the
# people of ScanCode. Notices that are near copies of each other lie either all in training or all in the test.

# %%
from collections import Counter

from course_lib import load
from course_lib.prove.tables import table

data = load("licences", n_train=size.soft_rows)
print(data.notice)
for row in data.train[:3]:
    print(row["messages"][-1]["content"].ljust(15), row["messages"][-2]["content"][:90])
counts = Counter(row["messages"][-1]["content"] for row in data.train)
table([counts], "Labels among the training rows")

# %% [markdown]
# ## What it has to beat
#
# First, without any language model: words and pairs of words, weighted by how rare they are (TF-IDF), and logistic regression.
# It trains in a moment. Then the model as it comes, with an instruction alone and with four examples.

# %%
from course_lib import Report, evaluate
from course_lib.prove.baselines import most_frequent_label, tf_idf_classifier

n = size.soft_test
base = load_base(folder, Plan(model=size.model)).eval()
rivals = {"most frequent label": most_frequent_label(data, n=n), "TF-IDF": tf_idf_classifier(data, n=n)}
for shots in (0, 4):
    name = f"base, {shots}-shot"
    rivals[name] = evaluate(base, data, n=n, shots=shots, max_new_tokens=8, name=name)
del base
Report(rivals)

# %% [markdown]
# **Accuracy** is the share of right labels. **Macro-F1** gives each label the same weight, however rare it is; who says
# *permissive* to everything looks better by accuracy than by macro-F1. 4-shot shows four notices, so at least one label never.
#
# ## Train the soft prompt
#
# To write a label, a model must first learn to write nothing else, and a soft prompt learns slowly. A classifier need not write:
# it gets a new output layer, a **head**, with one number for each label (`objective="classification"`). Soft prompt and head are
# trained, the model between them is not. Expect half a minute. The rate is much larger than LoRA's, because the numbers of
# the soft prompt must move far.

# %%
from course_lib import train

soft_plan = Plan(
    model=size.model, method="prompt_tuning", virtual_tokens=20, objective="classification", lr=size.soft_lr,
    data="licences", n_train=size.soft_rows, micro_batch=4,
)  # fmt: skip
soft_run = train(soft_plan)
print(soft_run)

# %% [markdown]
# Expect the loss to jump about rather than to fall: each point is four notices, and the head's numbers move far as well. So
# do not judge by the curve; judge by held-out notices.

# %%
from course_lib.prove.report import plot_loss

plot_loss(soft_run)

# %%
soft = evaluate(soft_run, data, n=n, name="soft prompt")

# %% [markdown]
# ## And LoRA
#
# The same rows, once, in the same steps, with a head of the same kind.

# %%
lora_run = train(soft_plan.but(method="lora", lr=size.lr, first_layer=size.first_layer))
lora = evaluate(lora_run, data, n=n, name="LoRA")
report = Report(rivals | {"soft prompt": soft, "LoRA": lora})
report

# %%
report.plot("accuracy")

# %% [markdown]
# Are these differences real? The rows are the same, so we can compare row by row: an interval that leaves out 0 says yes. It
# counts other notices, not other seeds: this is one run of each, and another seed may come out higher or lower.

# %%
from course_lib import difference

pairs = {"soft prompt, less 4-shot": rivals["base, 4-shot"], "soft prompt, less LoRA": lora}
pairs["soft prompt, less TF-IDF"] = rivals["TF-IDF"]
gaps = {name: difference(soft, other, "accuracy") for name, other in pairs.items()}
table([{"accuracy": name, "difference": str(gap)} for name, gap in gaps.items()])

# %% [markdown]
# ## What did it learn?
#
# Which words of the vocabulary lie nearest to the trained tokens? If the soft prompt were a prompt that somebody could have
# written, we could read it here. Expect no such luck.

# %%
from torch.nn import functional as F

soft_model = soft_run.model()
words = F.normalize(soft_model.get_input_embeddings().weight.float(), dim=-1)
prompt = F.normalize(soft_model.prompt_encoder["default"].embedding.weight.float(), dim=-1)
likeness = (prompt @ words.T).max(-1)
print(" ".join(repr(tokenizer.decode(i)) for i in likeness.indices[:12]))
print(f"cosine to the nearest word: {likeness.values.min():.2f} to {likeness.values.max():.2f}")

# %% [markdown]
# A soft prompt is no text in disguise, and cannot be read. Nor does it belong to any other model: its numbers mean something
# to this one alone.
#
# ## Claim and measurement

# %%
from course_lib.prove.claims import Finding

share = soft_plan.virtual_tokens * prompt.shape[1] / soft_run.record["parameters"]  # without the head
faster = soft_run.tokens_per_s / lora_run.tokens_per_s
upper = f"LoRA in blocks {size.first_layer} and up"
over_frequent = difference(soft, rivals["most frequent label"], "accuracy")
less = Finding.at_most(gaps["soft prompt, less LoRA"], 0, of="accuracy, soft prompt less LoRA")
course.claims("105", {
    "overview.prompt.share": Finding(f"{share:.4%}", "holds" if share <= 0.00015 else "not here"),
    "overview.prompt.speed": Finding(f"{faster:.2f} times the tokens/s of {upper}", "holds" if faster > 1 else "not here"),
    "overview.prompt.quality": less,
    "practices.prefix.lora": less,
    "overview.prompt.simple": Finding.at_least(over_frequent, 0, of="accuracy, soft prompt less most frequent label"),
})  # fmt: skip

# %% [markdown]
# A difference below zero says that the soft prompt is worse. Why is it not faster, with so few weights to train? Because nearly
# all the work of a step is to send the text forward and the error back. LoRA sits in the upper blocks here, so that the error
# need not go back through the lower ones; a soft prompt stands before the first layer, so it must go all the way. Lesson 106
# has LoRA in every block: see what that does to the order.
#
# And TF-IDF? If a classifier is all that you need, look at its line in the report before you train a language model. What the
# soft prompt offers beside it: one model that stays as it is, and a file of some kilobytes for each job. And how much of the
# classifier is the soft prompt, how much the head? This page cannot tell: a head alone, on the model as it comes, would have to
# be measured beside it.

# %% [markdown]
# ## Check yourself
#
# Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("105")

# %% [markdown]
# ## Your turn
#
# The exercise asks you to count what a soft prompt trains, to put one before a batch by hand, and to score a classifier fairly. It
# is [exercises/beginner/105_prompt_tuning.ipynb](../../exercises/beginner/105_prompt_tuning.ipynb); `make learn` puts a copy of it
# into `my_work/`, where nothing overwrites what you write.
#
# This page ticks: *Run beginner prompt tuning example* (quick-start path).

# %% [markdown]
# ## Recap
#
# - A soft prompt is a few learned embeddings before the text; the model stays untouched, and the file is tiny.
# - Few trained weights do not make a step fast, nor its memory small: activations and the backward pass remain.
# - Compare with what is cheap: TF-IDF and the most frequent label. Look at macro-F1 when labels are rare.

# %%
course.finish("105")

# %% [markdown]
# **Next:** the exercise above; then [106 · Comparing techniques](106_compare_techniques.ipynb), which puts the three of them side
# by side.
