# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 104 · LoRA: exercise
#
# Three small tasks, ten minutes, no training. Fill in where it says `...  # your code here`, run the cell, then run the
# check below it. Stuck? `q1.hint()` helps, three times; `q1.solution()` shows the answer.

# %%
from course_lib.learn.lesson_104 import q1, q2, q3

# %% [markdown]
# ## 1 · Count
#
# LoRA adds two matrices to a linear layer: $A$ of shape (rank, d_in) and $B$ of shape (d_out, rank). How many trained
# parameters is that?


# %%
def lora_parameters(d_in, d_out, rank):
    """How many parameters LoRA trains beside a layer with d_in inputs and d_out outputs."""
    ### BEGIN SOLUTION
    return rank * (d_in + d_out)
    ### END SOLUTION


# %%
q1.check()

# %% [markdown]
# ## 2 · A rank for a budget
#
# These are the linear layers of SmolLM2-135M: seven in each of 30 blocks. You may train at most three million parameters.
# Which is the largest rank that fits, if every layer gets the same?

# %%
budget = 3_000_000
layers = 30 * [(576, 576), (576, 192), (576, 192), (576, 576), (576, 1536), (576, 1536), (1536, 576)]
best_rank = None
### BEGIN SOLUTION
best_rank = budget // sum(d_in + d_out for d_in, d_out in layers)
### END SOLUTION

# %%
q2.check()

# %% [markdown]
# ## 3 · Merge
#
# After training, the update goes into the weights. Write the merge for numpy arrays. Do not change `W` itself.


# %%
def merge(W, A, B, alpha, rank):
    """One matrix that does what W, A and B do together."""
    ### BEGIN SOLUTION
    return W + alpha / rank * B @ A
    ### END SOLUTION


# %%
q3.check()

# %% [markdown]
# ## All of it
#
# This checks the whole page once more, and says what is open.

# %%
import course_lib as course

course.check_all()

# %% [markdown]
# Done? Back to [lesson 104](../../notebooks/beginner/104_lora.ipynb).
