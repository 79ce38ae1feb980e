# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 101 · What is fine-tuning?: exercise
#
# Three small tasks, ten minutes, no training. Fill in where it says `...  # your code here`, run the cell, then run the
# check below it. Stuck? `q1.hint()` helps, three times; `q1.solution()` shows the answer.

# %%
import math

from course_lib.learn.lesson_101 import q1, q2, q3

# %% [markdown]
# ## 1 · Score
#
# `said` holds a model's answers to held-out rows, `wanted` the right ones, in the same order. What share of the answers is
# exactly the one that was wanted? Space and line ends around a text do not count; everything else does.


# %%
def accuracy(said, wanted):
    """The share of answers, 0 to 1, that are the wanted text once both are trimmed."""
    ### BEGIN SOLUTION
    return sum(one.strip() == other.strip() for one, other in zip(said, wanted, strict=True)) / len(wanted)
    ### END SOLUTION


# %%
q1.check()

# %% [markdown]
# ## 2 · Or was it luck?
#
# Before training a model had 14 of 24 held-out dates right, afterwards 19 of the same 24. Has training helped, or was it luck?
#
# Rows that both have right, or both wrong, say nothing for either side: leave them out. If training had changed nothing, each
# of the other rows would be like the toss of a coin: either side may win it. Let $n$ be the number of these rows, and $k$ the
# number won by the side that won fewer. The chance that $n$ tosses are at least as uneven, to either side, is
#
# $$\min\left(1,\; 2 \cdot \frac{\binom{n}{0} + \binom{n}{1} + \dots + \binom{n}{k}}{2^n}\right)$$
#
# `math.comb(n, i)` is $\binom{n}{i}$, the number of ways to choose $i$ of $n$. (This is the exact sign test, for rows that are
# right or wrong also called McNemar's exact test.)


# %%
def luck(before, after):
    """The chance that luck alone sets the two this far apart; both are lists of True (right) and False, row by row."""
    ### BEGIN SOLUTION
    pairs = list(zip(before, after, strict=True))
    won, lost = pairs.count((False, True)), pairs.count((True, False))
    n, k = won + lost, min(won, lost)
    return min(1, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
    ### END SOLUTION


# %%
q2.check()

# %% [markdown]
# Now for the 24 dates. Both have 12 right and 3 wrong, 2 were right only before, and 7 only afterwards.

# %%
before = 12 * [True] + 3 * [False] + 2 * [True] + 7 * [False]
after = 12 * [True] + 3 * [False] + 2 * [False] + 7 * [True]
print(
    f"{sum(before)} and {sum(after)} of {len(after)} right; luck alone does at least this with a chance of",
    luck(before, after),
)

# %% [markdown]
# By habit a chance below 0.05 is called proof enough. A larger one does not say that training did nothing: it says that so few
# rows cannot tell. More held-out rows can.

# %% [markdown]
# ## 3 · Fine-tune, or not?
#
# There are four ways to get a job done:
#
# - `"rule"`: a few lines of code, such as a pattern or a library that reads dates;
# - `"prompt"`: a model as it is, asked well, with a few examples in its prompt;
# - `"search"`: as before, and the facts that it needs are looked up each time and put into the prompt;
# - `"fine-tune"`: a model trained on examples.
#
# Which is the best for each of these? If two would do, take the cheaper one.
#
# - `"orders"`: order numbers such as `AB-12345` have to be found in mails. They always look like that.
# - `"prices"`: a chat on a shop's page tells customers today's prices. They change every night.
# - `"titles"`: 30 articles a month need a title in the style of the house. There are twelve old ones that everybody likes. A
#   large model with these twelve in its prompt writes good ones.
# - `"records"`: a small model on your own computer is to turn 50,000 mails a day, worded in every way, into records of one form.
#   With four examples in its prompt it has half of the fields right. There are 2,000 checked records.
# - `"handbook"`: staff ask about a handbook of 400 pages. Each answer has to show the page that it comes from.

# %%
choices = None  # {"orders": "...", "prices": "...", "titles": "...", "records": "...", "handbook": "..."}
### BEGIN SOLUTION
choices = {
    "orders": "rule",
    "prices": "search",
    "titles": "prompt",
    "records": "fine-tune",
    "handbook": "search",
}
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
# Done? Back to [lesson 101](../../notebooks/beginner/101_what_is_fine_tuning.ipynb).
