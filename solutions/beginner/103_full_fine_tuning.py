# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 103 · Full fine-tuning: exercise
#
# Three small tasks, ten minutes, no training. Fill in where it says `...  # your code here`, run the cell, then run the
# check below it. Stuck? `q1.hint()` helps, three times; `q1.solution()` shows the answer.

# %%
import numpy as np

from course_lib.learn.lesson_103 import q1, q2, q3

# %% [markdown]
# ## 1 · Labels
#
# A row is a list of token ids: first the prompt, then the answer, which ends in an end token. The labels say what counts in
# the loss: they are the ids again, but -100 in the places of the prompt. Write them.


# %%
def make_labels(ids, prompt_length):
    """A new list as long as ids, with -100 in the first prompt_length places."""
    ### BEGIN SOLUTION
    return prompt_length * [-100] + ids[prompt_length:]
    ### END SOLUTION


# %%
q1.check()

# %% [markdown]
# ## 2 · Loss
#
# The model has given a chance to each token of its vocabulary: `p[i, t]` is the chance of token `t` at place `i`. What should
# stand there is `labels[i]`, or -100 where it does not count. (The shift by one place, since a model predicts the next token,
# has been done here already.) The loss is the mean of $-\log p$ of the wanted tokens, over the places that count, with the
# natural logarithm.


# %%
def loss(p, labels):
    """One number. p is an array (places, tokens), labels an array (places) of whole numbers."""
    ### BEGIN SOLUTION
    kept = labels != -100
    return -np.log(p[kept, labels[kept]]).mean()
    ### END SOLUTION


# %%
q2.check()

# %% [markdown]
# A small case to try: a vocabulary of four tokens, three places, the first of which does not count.

# %%
p = np.array([[0.7, 0.1, 0.1, 0.1], [0.5, 0.2, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])
labels = np.array([-100, 0, 3])
print("loss:", loss(p, labels))

# %% [markdown]
# ## 3 · Memory
#
# Full fine-tuning keeps for each parameter its weight, its gradient and what the optimizer needs: two values for AdamW, one
# for SGD with momentum, none for plain SGD. All of these are in fp32 here. How many GiB is that? (Activations come on
# top.)


# %%
def training_gib(parameters, optimizer_values):
    """GiB of weights, gradients and optimizer values; optimizer_values is how many there are for each parameter."""
    ### BEGIN SOLUTION
    return parameters * 4 * (2 + optimizer_values) / 2**30
    ### END SOLUTION


# %%
q3.check()

# %% [markdown]
# The model of this lesson and one of 7 billion parameters, with AdamW and with plain SGD:

# %%
for parameters in (134_515_008, 7_000_000_000):
    print(
        f"{parameters:,} parameters:",
        training_gib(parameters, 2),
        "GiB with AdamW,",
        training_gib(parameters, 0),
        "with SGD",
    )

# %% [markdown]
# ## All of it
#
# This checks the whole page once more, and says what is open.

# %%
import course_lib as course

course.check_all()

# %% [markdown]
# Done? Back to [lesson 103](../../notebooks/beginner/103_full_fine_tuning.ipynb).
