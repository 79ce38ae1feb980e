# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 106 · Comparing techniques: exercise
#
# Three small tasks, ten minutes, no training. Fill in where it says `...  # your code here`, run the cell, then run the
# check below it. Stuck? `q1.hint()` helps, three times; `q1.solution()` shows the answer.

# %%
import numpy as np

from course_lib.learn.lesson_106 import q1, q2, q3

# %% [markdown]
# ## 1 · Row by row
#
# Two methods have answered the same rows. `first` and `second` are numpy arrays with a score for each row. How much better is
# the first, and how sure is that? Return the mean of the differences (first less second) and a 95 % interval around it: 1.96
# standard errors to each side. The standard error of a mean is the standard deviation of the rows, with `ddof=1`, divided by
# the square root of their number. (The course's own `difference` draws the rows again and again instead, which also holds for
# scores that are far from a normal distribution.)


# %%
def paired_difference(first, second):
    """Three numbers: the mean difference, the lower and the upper end of its interval."""
    ### BEGIN SOLUTION
    apart = first - second
    half = 1.96 * apart.std(ddof=1) / len(apart) ** 0.5
    return apart.mean(), apart.mean() - half, apart.mean() + half
    ### END SOLUTION


# %%
q1.check()

# %% [markdown]
# Try it on made-up scores: some rows are hard for both methods, and the second is a little worse on most of them. The
# methods' own intervals overlap widely. Does the interval of the difference leave out 0?

# %%
rng = np.random.default_rng(1)
one = rng.uniform(0, 1, 40)
other = one - rng.normal(0.05, 0.05, 40)
for scores in (one, other):
    half = 1.96 * scores.std(ddof=1) / 40**0.5
    print(f"{scores.mean():.3f} [{scores.mean() - half:.3f}, {scores.mean() + half:.3f}]")
print("difference:", *np.atleast_1d(paired_difference(one, other)))

# %% [markdown]
# ## 2 · Choose
#
# A table of measurements, made up: the quality with its interval (`low`, `high`), peak memory, training time and file size.
# Return the names of all methods that
#
# 1. fit: they need at most `budget_gib` GiB,
# 2. are not clearly worse than the best **of those that fit**: their interval overlaps its interval,
#
# with the one that trains in the fewest seconds first. Where nothing fits, return an empty list. (Overlapping intervals are a
# rough rule. Where you have the rows, question 1 is the better one.)

# %%
rows = {
    "A": {"quality": 0.60, "low": 0.52, "high": 0.68, "gib": 2.0, "seconds": 20, "mb": 0.1},
    "B": {"quality": 0.82, "low": 0.76, "high": 0.88, "gib": 6.0, "seconds": 90, "mb": 20},
    "C": {"quality": 0.70, "low": 0.66, "high": 0.74, "gib": 8.0, "seconds": 60, "mb": 5},
    "D": {"quality": 0.75, "low": 0.70, "high": 0.80, "gib": 8.0, "seconds": 40, "mb": 10},
    "E": {"quality": 0.93, "low": 0.90, "high": 0.96, "gib": 14.0, "seconds": 200, "mb": 270},
}


# %%
def choose(rows, budget_gib):
    """A list of names, the one that trains fastest first."""
    ### BEGIN SOLUTION
    fits = {name: row for name, row in rows.items() if row["gib"] <= budget_gib}
    if not fits:
        return []
    best = max(fits.values(), key=lambda row: row["quality"])
    good = [name for name in fits if fits[name]["high"] >= best["low"]]
    return sorted(good, key=lambda name: fits[name]["seconds"])
    ### END SOLUTION


for gib in (1, 5, 8, 16):
    print(gib, "GiB:", choose(rows, gib))

# %%
q2.check()

# %% [markdown]
# ## 3 · Many tasks
#
# Each task has a file of its own. With full fine-tuning that is a whole model; with LoRA or a soft prompt it is a small file
# beside one frozen model, which is kept once for all tasks. How many GB is that, for so many tasks? (1 GB is 1,000 MB.)


# %%
def storage_gb(tasks, model_mb, adapter_mb):
    """Two numbers, in GB: full copies for all tasks; adapters for all tasks with the model that they need."""
    ### BEGIN SOLUTION
    return tasks * model_mb / 1000, (model_mb + tasks * adapter_mb) / 1000
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
# Done? Back to [lesson 106](../../notebooks/beginner/106_compare_techniques.ipynb).
