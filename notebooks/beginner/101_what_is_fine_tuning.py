# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 101 · What is fine-tuning?
#
# **You will** give one job to a model as it comes, to the same model with examples in its prompt, to a rule without any model,
# and to the model after half a minute of fine-tuning; and see what was gained, what it cost, and when not to fine-tune.
#
# **Needs** [lesson 100](100_start_here.ipynb). No GPU, no account.
#
# **Time** 20 min reading; running all cells takes about a minute and a half on two cores.

# %%
import course_lib as course

course.lesson("101")

# %% [markdown]
# ## Why
#
# A language model that somebody has trained at great cost can do many things a little. You want one thing done well. You can
# *ask* for it, in a prompt. Or you can train the model a little further, on examples of that one thing: that is
# **fine-tuning**. Which of the two is better is a question to be measured, and this page measures it.
#
# ![A pre-trained model and rows of your data go into fine-tuning; out comes a task-specific model, which held-out rows measure.](images/pretrained_to_task.svg)
#
# In words: a **pre-trained model** knows language, but not your job. **Your data** brings rows, each a question and the answer
# wanted. **Fine-tuning** lets the model predict an answer, computes a *loss* (how surprised it was by the answer wanted) and
# moves weights a little so that the loss would be lower, row after row. Out comes a **task-specific model**: the same program
# with other numbers in it, or with a small addition beside them. Some rows are held out; they measure the result.
#
# ## What a model does
#
# It gives a probability to each token (a word or a piece of one) that could come next. That is all that it does. Here are the
# five likeliest tokens after a few words. Expect the right city, but not with certainty.

# %%
import torch

from course_lib import Plan, current_profile
from course_lib.prove.tables import table
from course_lib.run.assets import model_folder
from course_lib.run.methods import load_base, load_tokenizer

size = current_profile()
folder = model_folder(size.model)
tokenizer = load_tokenizer(folder)
base = load_base(folder, Plan(model=size.model)).eval()


# %%
def next_tokens(model, ids, k=5):
    """The k likeliest next tokens, each with its probability."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1]
    top = logits.float().softmax(-1).topk(k)
    return {repr(tokenizer.decode(i)): f"{p:.1%}" for p, i in zip(top.values, top.indices, strict=True)}


table([next_tokens(base, tokenizer("The capital of France is")["input_ids"])])

# %% [markdown]
# Longer answers are made token by token: one is chosen, put behind the text, and the model is asked again.
#
# ## One job
#
# Dates are to become `YYYY-MM-DD`. They come as people write them, in six languages. We know the right answer to each, so we
# can count. The dates in the test never occur in training.

# %%
from course_lib import load

data = load("dates", n_train=160)
print(data.notice)
print(len(data.train), "dates to learn from,", len(data.test), "held out for the test")
asked = [row["messages"][-2]["content"] for row in data.test]
wanted = [row["messages"][-1]["content"] for row in data.test]
table([{"written": a, "wanted": w} for a, w in zip(asked[:6], wanted, strict=False)])

# %% [markdown]
# ## Without training
#
# Three rivals. **0-shot**: the model gets the instruction "Write the date as YYYY-MM-DD." and the date. **4-shot**: it also
# gets four solved examples in its prompt. **A rule**: a library that reads dates, without any model. Each gets the same 36 of the
# held-out dates. Expect the rule to be good at English only.

# %%
from dateutil import parser

from course_lib import evaluate
from course_lib.prove.baselines import by_rule


def read_date(text):
    """What a date-reading library makes of it; nothing where it cannot read it."""
    try:
        return parser.parse(text).date().isoformat()
    except (ValueError, OverflowError):
        return ""


n = 36
rule = by_rule(read_date, data, ("exact_match",), n=n)
zero_shot = evaluate(base, data, "exact_match", n=n, max_new_tokens=16, name="base, 0-shot")
four_shot = evaluate(base, data, "exact_match", n=n, max_new_tokens=16, shots=4, name="base, 4-shot")

# %%
from course_lib import Report

rivals = {"a rule": rule, "base, 0-shot": zero_shot, "base, 4-shot": four_shot}
Report(rivals)

# %% [markdown]
# The figures in brackets are the **95 % interval**: with other test dates of the same kind, the share would come out somewhere
# in there. Two results whose intervals overlap widely are not yet different. What does the model say?

# %%
rows = zip(asked[:5], wanted, zero_shot.answers, four_shot.answers, rule.answers, strict=False)
table([{"written": a, "wanted": w, "0-shot": z.said, "4-shot": f.said, "rule": r.said} for a, w, z, f, r in rows])

# %% [markdown]
# ## Fine-tune
#
# A **plan** says what is trained on what. This one uses LoRA, a method that trains a small addition to the model and leaves
# the model's own weights alone; lesson 104 takes it apart. Expect half a minute.

# %%
from course_lib import train

plan = Plan(model=size.model, data="dates", n_train=160, micro_batch=8, lr=size.lr, first_layer=size.first_layer)
run = train(plan)
print(run)

# %% [markdown]
# Now the same test for the tuned model.

# %%
tuned_model = run.model()
tuned = evaluate(tuned_model, data, "exact_match", n=n, max_new_tokens=16, name="tuned")
report = Report(rivals | {"tuned on 160": tuned})
report

# %%
report.plot("exact_match")

# %% [markdown]
# What has changed inside? The probabilities of the next token. The prompt below ends where the answer begins. Expect the tuned
# model to be nearly certain that a digit comes; the base model may prefer to chat.

# %%
from course_lib.run.chat import prompt_ids

ids = prompt_ids(tokenizer, data.test[0])
print(asked[0], "->", wanted[0])
print("before:", next_tokens(base, ids))
print("after: ", next_tokens(tuned_model, ids))

# %% [markdown]
# ## How many examples?
#
# One guide says: fewer than 100 examples, use few-shot prompting instead. So let us train on 48 only, and compare with the
# 4-shot prompt, date by date. An interval of the difference that leaves out 0 says that the two really differ.

# %%
from course_lib import difference

few_run = train(plan.but(n_train=48))
few = evaluate(few_run, data, "exact_match", n=n, max_new_tokens=16, name="tuned on 48")
against_few_shot = difference(few, four_shot, "exact_match")
print(f"tuned on 48: {few['exact_match']}; on 160: {tuned['exact_match']}; 4-shot: {four_shot['exact_match']}")
print(f"tuned on 48, less 4-shot: {against_few_shot}")

# %% [markdown]
# ## What it costs
#
# Ask the tuned model something else. Expect it to have become a specialist.

# %%
from course_lib.run.generate import answers

questions = ["What is the capital of France?", "Name three fruits."]
chats = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": ""}]} for q in questions]
said = {name: answers(model, tokenizer, chats, 24) for name, model in (("base", base), ("tuned", tuned_model))}
table([{"asked": q, "base": b, "tuned": t} for q, b, t in zip(questions, said["base"], said["tuned"], strict=True)])

# %% [markdown]
# Learning one thing can push out others: that is called **forgetting**, and lesson 106 measures it. There are savings too. A
# 4-shot prompt carries its examples along with every question, the tuned model does not:

# %%
from course_lib.prove.evaluate import few_shot

short = [len(prompt_ids(tokenizer, row)) for row in data.test[:n]]
long = [len(prompt_ids(tokenizer, row)) for row in few_shot(data.test[:n], data.train[:4])]
times = sum(long) / sum(short)
print(f"tokens read for each question: {sum(short) / n:.0f} tuned, {sum(long) / n:.0f} with a 4-shot prompt")

# %% [markdown]
# ## When not to fine-tune
#
# | what you see | do this instead |
# |---|---|
# | a rule or a library does the job | use it: it is faster, and you can mend it |
# | a prompt with a few examples is as good, within the interval | keep the prompt |
# | the answer is in documents that change | search them, and give the model what was found |
# | you want it to *know* more, from a few hundred rows | fine-tuning learns new facts slowly (Gekhman et al. 2024, arXiv 2405.05904): try search first |
# | you have fewer than some dozens of examples | collect more; meanwhile, a prompt |
# | you cannot say how you would measure success | find that out first |
#
# Be honest about the dates. They were generated from a table of month names in six languages, so a rule with that table in it
# would get all of them right. For this job we would write the rule. It is here because it trains in half a minute.

# %% [markdown]
# ## Claim and measurement
#
# What the guides say about *why* to fine-tune, beside what you just measured. **Holds**: the numbers say so. **Not here**: they
# say the opposite. **Partly**: they leave it open, for instance because an interval of a difference has 0 in it. How many
# tokens the base model had been trained on is published by its makers (2 trillion; Allal et al. 2025, arXiv 2502.02737).

# %%
import re

from course_lib.prove.claims import Finding

seen, pretraining = sum(step["tokens"] for step in run.history), 2e12
iso = {name: sum(bool(re.fullmatch(r"\d{4}-\d\d-\d\d", a.said)) for a in scores.answers)
       for name, scores in (("0-shot", zero_shot), ("4-shot", four_shot), ("tuned", tuned))}  # fmt: skip
forms = ", ".join(f"{name} {count}" for name, count in iso.items()) + f" of {n}"
every = iso["tuned"] == n > max(iso["0-shot"], iso["4-shot"])
course.claims("101", {
    "overview.why.performance": Finding.at_least(difference(tuned, zero_shot, "exact_match"), 0, of="tuned less 0-shot"),
    "overview.why.data": Finding(f"{seen:,} tokens, against {pretraining:.0e}", "holds" if seen < pretraining / 1000 else "not here"),
    "overview.why.compute": Finding(f"{run.seconds:.0f} s on this machine", "holds" if run.seconds < 3600 else "not here"),
    "overview.when.consistent": Finding(f"in the right form: {forms}", "holds" if every else "partly", n),
    "overview.when.inference": Finding(f"a 4-shot prompt is {times:.1f} times as long", "holds" if times > 2 else "partly", n),
    "lesson4.data.under-100": Finding.at_least(difference(four_shot, few, "exact_match"), 0, of="4-shot less tuned on 48"),
})  # fmt: skip

# %% [markdown]
# The last line is the 4-shot prompt less the model tuned on 48 dates: *holds* would mean that the prompt is surely better. One
# task and one small model settle nothing in general. Larger models learn better from examples in a prompt (Brown et al. 2020,
# arXiv 2005.14165).

# %% [markdown]
# ## Check yourself
#
# Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("101")

# %% [markdown]
# ## Your turn
#
# The exercise asks you to score answers by hand, to say whether a difference is more than chance, and to choose between a
# prompt, a rule, a search and fine-tuning in short stories. It is
# [exercises/beginner/101_what_is_fine_tuning.ipynb](../../exercises/beginner/101_what_is_fine_tuning.ipynb); `make learn` puts a
# copy of it into `my_work/`, where nothing overwrites what you write.
#
# This page ticks: *Understand what fine-tuning is and why it's useful* (quick-start path; the quiz belongs to it).

# %% [markdown]
# ## Recap
#
# - A model gives probabilities to next tokens. Fine-tuning moves its weights so that your answers become likely.
# - Before you fine-tune, measure what it has to beat: a rule, a prompt, a prompt with examples.
# - It is good at form and at one narrow job, and pays with other abilities.
# - A score without an interval, on rows that it was trained on, or without rivals, says nothing.

# %%
course.finish("101")

# %% [markdown]
# **Next:** the exercise above; then [102 · Choosing a strategy](102_choosing_a_strategy.ipynb): there are many ways to
# fine-tune, and you get a plan for your own situation.
