# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 100 · Start here
#
# **You will** check that this machine is ready, choose a path, and set up how you study.
#
# **Needs** nothing. **Time** 15 min.

# %% [markdown]
# ## Why
#
# There are many ways to fine-tune a language model, and much advice on which to choose. This course lets you choose one,
# run it on this machine, and prove with your own numbers that it was the right one. Every page runs on a laptop without a
# GPU, on a real model.
#
# To run a cell, click into it and press Shift+Enter. Try it with this one: every lesson begins with it, and it says where
# you are and what comes next.

# %%
import course_lib as course

course.lesson("100")

# %% [markdown]
# ## Is this machine ready?
#
# Each line says what was found, and what to do if something is missing.

# %%
course.doctor()

# %% [markdown]
# `ok` is good. `fix` has a remedy behind its arrow; do that, then run the cell again. If the model is *not fetched*, type
# `course fetch` in a terminal, or just go on: the first lesson that needs it fetches it (93 MB).
#
# ## What is where
#
# | folder | what |
# |---|---|
# | `notebooks/` | the lessons: 1xx beginner, 2xx intermediate, 3xx expert |
# | `exercises/` | one exercise per lesson, with the same number |
# | `my_work/` | yours: copies of the exercises, every model that you train, your progress; nothing overwrites it |
# | `solutions/` | the exercises with answers |
#
# Lessons are short cells that you run one by one. Change them as you like: that is what they are for.

# %% [markdown]
# ## Choose a path
#
# There are three, each longer than the one before and containing it. The items are those of the guide *overview*, which is
# one of the five published guides that this course is built from.
#
# ![Three boxes, each inside the next: Quick Start, lessons 100 to 107; Deep Dive, which adds 201 to 213; Production Ready, which adds 301 to 312.](images/learning_path.svg)
#
# In words: *Quick Start* is the beginner lessons, 100 to 107. *Deep Dive* is these and the intermediate ones, 201 to 213.
# *Production Ready* is all of these and the expert ones, 301 to 312.

# %%
course.path()

# %% [markdown]
# If you do not know which, take *Quick Start*: nothing is lost when you change later. Choose in the dashboard below. Items
# tick themselves when you have run the lesson, solved the exercise or passed the quiz that they stand for; you can tick any of
# them by hand too.

# %%
course.Dashboard()

# %% [markdown]
# Progress is kept in small files that are only ever added to, one for each kernel, so that neither a crash nor two open
# notebooks can lose any of it. Nothing leaves this machine. `course.progress()` prints the same without buttons, as does
# `course progress` in a terminal; `course.export()` writes one file that you can take to another machine.
#
# ## Study in short sittings
#
# The guide has four pieces of advice on studying, and the course has a tool for each.
#
# - **Time-box**: 25 minutes of work, 5 of rest. The timer below counts on while a cell trains, and after a reload.
# - **One technique at a time**: `course.focus("lora")` puts the lessons of one technique first; `course.focus(None)` ends it.
# - **See how far you are**: the dashboard, and the line at the top of each lesson.
# - **Celebrate**: the dashboard does so once for each item. It has a switch, if you would rather not.

# %%
course.Timer()

# %% [markdown]
# ## When you are stuck
#
# Give it 15 minutes, then do something else or ask. The helper below explains the last error in this notebook where it is one
# of the common ones (out of memory, no GPU, a gated model, a full disk, ...), and keeps what you tried in
# `my_work/stuck.md`: your future self will thank you.

# %%
course.Stuck()

# %% [markdown]
# - **A training cell was cut off** (the kernel died, the lid was closed): run the cell again. It goes on from its last
#   checkpoint.
# - **It is very slow:** close other programs that compute. Two of them on two cores can slow a step tenfold.
# - **An error you do not understand:** errors of the course are one sentence, with what to do next. Anything longer comes
#   from a library; its last line is the one to read.
#
# ## Size
#
# A lesson reads its sizes from a **profile**, so that the same cells suit a laptop and a large GPU. This is yours:

# %%
course.current_profile()

# %% [markdown]
# To take another one, set the environment variable `COURSE_PROFILE` before you start (`cpu`, `t4`, `gpu24`, `gpu80`).
#
# ## Check yourself
#
# Lessons end with a few questions. Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("100")

# %% [markdown]
# ## Recap
#
# The machine is checked, a path is chosen, and you know where your work is kept. The last cell of a lesson marks it as run:

# %%
course.finish("100")

# %% [markdown]
# **Next:** [101 · What is fine-tuning?](101_what_is_fine_tuning.ipynb): one job done by a model as it comes, by a prompt with
# examples, by a rule and by a fine-tuned model.
