# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 105 · Prompt tuning: exercise
#
# Three small tasks, ten minutes, no training. Fill in where it says `...  # your code here`, run the cell, then run the
# check below it. Stuck? `q1.hint()` helps, three times; `q1.solution()` shows the answer.

# %%
import numpy as np

from course_lib.learn.lesson_105 import q1, q2, q3

# %% [markdown]
# ## 1 · Count
#
# A soft prompt has `n_tokens` virtual tokens, each as wide as the model's embeddings. How many numbers are trained, and
# which share of the model's `parameters` is that? (One per cent is 0.01.)


# %%
def soft_prompt(n_tokens, width, parameters):
    """Two numbers: how many are trained, and their share of the model's parameters."""
    ### BEGIN SOLUTION
    trained = n_tokens * width
    return trained, trained / parameters
    ### END SOLUTION


# %%
q1.check()

# %% [markdown]
# With 20 virtual tokens, SmolLM2-135M (width 576) and a model of eight billion parameters (width 4,096):

# %%
for width, parameters in ((576, 134_515_008), (4096, 8_030_261_248)):
    print(soft_prompt(20, width, parameters))

# %% [markdown]
# ## 2 · Put it before
#
# The same soft prompt goes before every text of a batch. Texts that are shorter than the longest are padded, and the mask
# says where to look (1) and where not (0). Make both longer: the embeddings and the mask.


# %%
def put_before(prompt, embeddings, mask):
    """Embeddings (batch, n + seq, width) and mask (batch, n + seq).

    prompt: (n, width); embeddings: (batch, seq, width); mask: (batch, seq) of ones and zeros. All are numpy arrays.
    """
    ### BEGIN SOLUTION
    batch, n = len(embeddings), len(prompt)
    prompts = np.broadcast_to(prompt, (batch, *prompt.shape))
    longer = np.concatenate([prompts, embeddings], axis=1)
    return longer, np.concatenate([np.ones((batch, n), dtype=int), mask], axis=1)
    ### END SOLUTION


# %%
q2.check()

# %% [markdown]
# ## 3 · Which classifier?
#
# Three classifiers have answered the same hundred texts. The numbers are made up. Each row of a table is the label that was
# wanted, each column the label that was said, so the diagonal is what is right. Nine of ten texts have the first label, and
# A says nothing else.

# %%
answers = {
    "A": np.array([[90, 0, 0], [6, 0, 0], [4, 0, 0]]),
    "B": np.array([[88, 1, 1], [3, 3, 0], [3, 0, 1]]),
    "C": np.array([[80, 6, 4], [1, 5, 0], [0, 0, 4]]),
}
for name, confusion in answers.items():
    print(name, "accuracy", confusion.trace() / confusion.sum())

# %% [markdown]
# By accuracy A looks good, and it has learned nothing. Macro-F1 weighs each label the same. The F1 of one label is
# $2 \cdot \text{right} / (\text{wanted} + \text{said})$: how often the label was rightly said, how often it was wanted, and how
# often it was said. Macro-F1 is the mean over the labels.


# %%
def macro_f1(confusion):
    """Macro-F1, between 0 and 1, of a table (labels, labels): rows are wanted, columns are said."""
    ### BEGIN SOLUTION
    right, wanted, said = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return (2 * right / (wanted + said)).mean()
    ### END SOLUTION


# %% [markdown]
# Which of the three is best by macro-F1?

# %%
best = None  # "A", "B" or "C"
### BEGIN SOLUTION
best = max(answers, key=lambda name: macro_f1(answers[name]))
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
# Done? Back to [lesson 105](../../notebooks/beginner/105_prompt_tuning.ipynb).
