# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 102 · Choosing a strategy: exercise
#
# Three small tasks, fifteen minutes, no training. Fill in where it says `...  # your code here`, run the cell, then run the
# check below it. Stuck? `q1.hint()` helps, three times; `q1.solution()` shows the answer.

# %%
from course_lib import Situation, compare_guides, largest_model, recommend
from course_lib.learn.lesson_102 import q1, q2, q3

# %% [markdown]
# ## 1 · Estimate by hand
#
# QLoRA holds the frozen weights in NF4 with double quantisation: four bits for each weight; for each block of 64 weights one
# scale of one byte; and for each 256 of these scales one more of four bytes. What is trained beside them (LoRA's matrices) is
# in fp32, four bytes a number, and has with each weight its gradient and two values of the Adam optimizer.
#
# How many GiB is that? (To keep it simple all `params` weights are frozen and quantised; in a real model the embeddings are
# not. Intermediate results and the driver come on top.)


# %%
def qlora_gib(params, trained):
    """GiB of frozen weights, trained matrices, gradients and optimizer values; both arguments are counts."""
    ### BEGIN SOLUTION
    frozen = params * (0.5 + 1 / 64 + 4 / (64 * 256))
    return (frozen + trained * 16) / 2**30
    ### END SOLUTION


# %%
q1.check()

# %% [markdown]
# ## 2 · Find the situation
#
# The situation below does not get full fine-tuning. Change as few fields as you can, so that it does: at most three.
# `print(mine)` shows why not, as long as it is something else.

# %%
base = Situation(gpu_gib=24, model_b=3, n_examples=2000)
print(recommend(base))

# %%
mine = None  # recommend(base.but(...))
### BEGIN SOLUTION
mine = recommend(base.but(n_examples=10_000, quality="best", gpu_gib=80))
### END SOLUTION

# %%
q2.check()

# %% [markdown]
# ## 3 · Settle a contradiction
#
# An RTX 4090 is sold with 24 GB; torch sees 23.6 GiB of it. `clashes` are the contradictions of the guides for such a GPU. Take
# one about the size of a model that QLoRA can train there. Its two statements are `.a` and `.b`; each has its words in
# `.says` and its range in billions in `.model_b`. Then let the memory model say how large a model surely fits with the
# settings in `thrifty`, and which statement that supports: "first", "second" or "neither". A statement is supported if all
# that it promises fits.

# %%
clashes = compare_guides(Situation(gpu_gib=23.6)).contradictions
thrifty = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"}
for number, clash in enumerate(clashes):
    print(number, clash.topic, "|", clash.text)

# %%
largest = None  # billions of parameters
verdict = None  # {"first": a statement, "second": a statement, "supported": "first", "second" or "neither"}
### BEGIN SOLUTION
largest = largest_model(23.6, "qlora", **thrifty)
pair = next(c for c in clashes if c.topic == "model size" and c.a.model_b == (7, 70) and c.b.model_b == (0, 13))
verdict = {"first": pair.a, "second": pair.b, "supported": "second"}
### END SOLUTION

# %%
q3.check()

# %% [markdown]
# "Supported" here means for a model with a large vocabulary, such as Llama 3. The lesson shows what changes with the older
# models that a guide may have had in mind.

# %% [markdown]
# ## All of it
#
# This checks the whole page once more, and says what is open.

# %%
import course_lib as course

course.check_all()

# %% [markdown]
# Done? Back to [lesson 102](../../notebooks/beginner/102_choosing_a_strategy.ipynb).
