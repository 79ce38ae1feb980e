# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 107 · Your own data: exercise
#
# Three small tasks, fifteen minutes, no training. Fill in where it says `...  # your code here`, run the cell, then run the
# check below it. Stuck? `q1.hint()` helps, three times; `q1.solution()` shows the answer.

# %%
from course_lib.learn.lesson_107 import q1, q2, q3

# %% [markdown]
# ## 1 · Make rows
#
# Data seldom comes as `prompt` and `completion`. These records are from a help desk: the texts have spaces and line breaks at
# their ends, some records have no answer, and there are keys that training has no use for. Write the function that makes a
# row of such a record.
#
# - A row has two keys: `prompt` is the question, `completion` the answer.
# - Spaces and line breaks at the ends of both texts go; what is inside stays as it is.
# - A record whose question or answer is missing, `None` or empty teaches nothing: give `None` for it.

# %%
records = [
    {"id": 1, "Question": "  Where is my parcel?\n", "Answer": "It is on its way. "},
    {"id": 2, "Question": "Can I pay by card?", "Answer": "  "},
    {"id": 3, "Question": "Are you open on Sunday?"},
]


# %%
def to_row(record):
    """{"prompt": ..., "completion": ...} of a record with the keys Question and Answer, or None where one is missing."""
    ### BEGIN SOLUTION
    question = (record.get("Question") or "").strip()
    answer = (record.get("Answer") or "").strip()
    if not question or not answer:
        return None
    return {"prompt": question, "completion": answer}
    ### END SOLUTION


# %%
q1.check()

# %% [markdown]
# ## 2 · Find the leak
#
# A friend gives you two files, one to train on and one for the test. A prompt that is in both asks for what was learned by
# heart. Find the test prompts that occur among the training prompts. Two prompts count as the same if they have the same
# letters and digits in the same order: capital letters, spaces, line breaks and punctuation do not count.
#
# Both arguments are lists of texts. Give a list of test prompts, as they stand in `test` and in that order. (`load` does
# more: it finds near copies too, those that differ in a few words.)


# %%
def leaks(train, test):
    """The prompts of `test` that occur in `train`, whatever their capital letters, spaces and punctuation."""
    ### BEGIN SOLUTION

    def simple(text):
        return "".join(c for c in text.lower() if c.isalnum())

    known = {simple(prompt) for prompt in train}
    return [prompt for prompt in test if simple(prompt) in known]
    ### END SOLUTION


# %%
q2.check()

# %% [markdown]
# ## 3 · What to try next
#
# Five runs have ended badly. Choose for each the first thing to try, from the options below. No option is right for two
# results, and two options are right for none.

# %%
results = {
    "flat": "The training loss stays where it was, from the first step to the last.",
    "rises": "The training loss falls to nearly zero. The held-out loss falls with it, then rises again.",
    "content": "There were 40 rows. Every answer has the right format, and half of them say the wrong thing.",
    "forgets": "It does well on your held-out rows. Asked about anything else, it answers worse than before.",
    "even": "The untrained model, with four examples in its prompt, gets as many held-out rows right.",
}

# %% [markdown]
# The next steps to choose from:

# %%
options = {
    "mask": "look at the mask of a row and at the learning rate",
    "sooner": "stop sooner: train for fewer epochs",
    "longer": "train for more epochs on the same rows",
    "rows": "add rows for the cases that come out wrong",
    "replay": "mix general texts into the training rows",
    "prompt": "leave the model as it is, and keep the prompt",
    "larger": "take a larger model",
}

# %%
next_step = None  # {"flat": an option, "rises": ..., "content": ..., "forgets": ..., "even": ...}
### BEGIN SOLUTION
next_step = {"flat": "mask", "rises": "sooner", "content": "rows", "forgets": "replay", "even": "prompt"}
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
# Done? Back to [lesson 107](../../notebooks/beginner/107_your_own_data.ipynb).
