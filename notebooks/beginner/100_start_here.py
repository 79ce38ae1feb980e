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
# **You will** check that this machine is ready, see what is where, and know how to go on.
#
# **Needs** nothing. **Time** 5 min.

# %% [markdown]
# ## Why
#
# There are many ways to fine-tune a language model, and much advice on which to choose. This course lets you choose one,
# run it on this machine, and prove with your own numbers that it was the right one. Every page runs on a laptop without a
# GPU, on a real model.
#
# To run a cell, click into it and press Shift+Enter. Try it with this one. Each line says what was found, and what to do
# if something is missing.

# %%
import course_lib as course

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
# | `my_work/` | yours: copies of the exercises, and every model that you train; nothing overwrites it |
# | `solutions/` | the exercises with answers |
#
# Lessons are short cells that you run one by one. Change them as you like: that is what they are for.
#
# ## Size
#
# A lesson reads its sizes from a **profile**, so that the same cells suit a laptop and a large GPU. This is yours:

# %%
course.current_profile()

# %% [markdown]
# To take another one, set the environment variable `COURSE_PROFILE` before you start (`cpu`, `t4`, `gpu24`, `gpu80`).
#
# ## If something goes wrong
#
# - **A training cell was cut off** (the kernel died, the lid was closed): run the cell again. It goes on from its last
#   checkpoint.
# - **It is very slow:** close other programs that compute. Two of them on two cores can slow a step tenfold.
# - **An error you do not understand:** errors of the course are one sentence, with what to do next. Anything longer comes
#   from a library; its last line is the one to read.

# %% [markdown]
# ## Recap
#
# The machine is checked, and you know where your work is kept.
#
# **Next:** [102 · Choosing a strategy](102_choosing_a_strategy.ipynb): describe your situation and get a plan. Or, if you
# would rather see a model train first, [104 · LoRA](104_lora.ipynb): about a minute.
