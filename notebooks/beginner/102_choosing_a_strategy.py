# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 102 · Choosing a strategy
#
# **You will** describe your own situation, get a fine-tuning strategy with its reasons, see where five published guides
# contradict each other and what a memory model says about it, and save a plan that later lessons run.
#
# **Needs** [lesson 101](101_what_is_fine_tuning.ipynb). No GPU, no account; nothing is trained on this page.
#
# **Time** 30 min reading; running all cells takes a few seconds.

# %%
import course_lib as course

course.lesson("102")

# %% [markdown]
# ## Why
#
# *Should I fine-tune at all? All weights, or LoRA, or QLoRA? How large a model?* There are many guides to that, short and
# sure of themselves. This course is built from five of them, which it calls **module9**, **lesson4**, **overview**,
# **practices** and **selector**. They contradict each other. Which one do you follow?
#
# Part of it is taste. Part of it can be computed: whether a model fits into a GPU's memory is arithmetic, and can be
# compared with what others have measured. This page keeps the two apart.
#
# ![Your situation goes to two judges: rules from five guides say what suits, a memory model says what fits; together they give a plan.](images/choosing.svg)
#
# In words: *your situation* (GPU, data, tasks, goal) goes to the *rules*, which say what suits, each with its source, and to
# the *memory model*, which says what fits. A method that passes both becomes your *plan*.
#
# Five names are enough for this page. **Full** fine-tuning trains every weight. **LoRA** freezes the model and trains two
# small matrices beside each layer; **QLoRA** does the same with the frozen model held in 4 bits. **Adapters** are small
# layers put in between. **Prompt tuning** trains only a few made-up words in front of the text.

# %% [markdown]
# ## Five questions
#
# What must you know of a situation before you can choose? module9 names five factors. Expect nothing surprising.

# %%
from course_lib.choose.guides import lesson4, module9, overview
from course_lib.prove.tables import table

table(module9.TABLES["factors"], "module9")

# %% [markdown]
# In this course the answers are the fields of a `Situation`, with some more that the other guides ask for. Each field has a
# default, so you name only what matters to you. Here is one that we use as an example below.

# %%
from course_lib import Situation

example = Situation(gpu_gib=16, model_b=7, n_examples=2000)
rows = [
    {"field": name, "the example": getattr(example, name), "what it means": field.description}
    for name, field in Situation.model_fields.items()
]
table(rows)

# %% [markdown]
# ## Two decision trees
#
# Two guides draw a tree, and both ask for the GPU's memory first. lesson4's:
#
# ```
# START: Do you need to customize a model?
# ├─ NO → Use the base model with good prompting
# └─ YES → How much VRAM do you have?
#          ├─ <8GB → Use API fine-tuning (OpenAI, Together AI)
#          ├─ 8-16GB → QLoRA on 7-8B models
#          ├─ 16-24GB → QLoRA on 7-70B models
#          └─ 24GB+ → LoRA or QLoRA on any model
# ```
#
# module9's, shortened:
#
# ```
# Question 1: available GPU VRAM?
# ├─ consumer, 8-16GB           → QLoRA
# ├─ high-end single, 24-48GB   → QLoRA (13B to 70B); LoRA an option up to 7B
# └─ cluster, over 80GB per GPU → QLoRA; full fine-tuning only if absolutely necessary
# Question 2: other factors?
# ├─ many tasks                 → QLoRA, LoRA or adapters rather than full
# ├─ latency critical           → LoRA or QLoRA: merged, they add no latency; adapters do
# └─ very small dataset         → LoRA with a small rank, or prompt tuning
# ```
#
# The guides are in the library, as rules with the place they come from. Let us ask both trees about the same GPUs. Watch
# the edges, where one branch ends and the next begins.


# %%
def branch(guide, place, gib):
    """What a guide's tree says about a GPU with that much memory."""
    said = [s for s in guide.advise(Situation(gpu_gib=gib)).statements if s.place == place]
    firm = [s.says.replace("**", "") for s in said if s.topic == "method" and not s.yields]
    return " / ".join(firm) or "(silent)"


rows = []
for gib in (6, 8, 16, 20, 24, 40, 64, 80, 141):
    says = {"lesson4": branch(lesson4, "decision tree", gib), "module9": branch(module9, "question 1", gib)}
    rows.append({"GPU, GB": gib} | says)
table(rows)

# %% [markdown]
# Where two branches share an edge, lesson4 gives two answers. module9 leaves gaps: `(silent)` means that no branch of it
# covers that GPU. When a guide is silent, we do not guess what it would have said.
#
# ## The tables
#
# lesson4 goes on with three tables: one more on hardware, one on the goal, one on the amount of data. Compare the first one
# with lesson4's own tree above.

# %%
from IPython.display import display

for name in ("hardware", "goal", "data"):
    display(table(lesson4.TABLES[name], "lesson4"))

# %% [markdown]
# The hardware table does not say what the tree says, and that is within one guide: look at its line for 16 GB. The other two
# tables say which kind of data the method learns from. **SFT** learns from good answers. **DPO** learns from pairs of answers
# of which one is preferred.
#
# Two more tables compare the methods.

# %%
display(table(module9.TABLES["summary"], "module9"))
display(table(overview.TABLES["comparison"], "overview"))

# %% [markdown]
# None of these tables says how it knows. Keep two questions in mind for each cell: *could I measure that?* and *for which model
# and which settings was it true?*
#
# ## A recommendation
#
# `recommend` goes through rules of our own, each with its source, and never counts on a method that may not fit by the
# memory model. Expect a method, the reasons with their sources, and for every other method why not.

# %%
from course_lib import recommend

answer = recommend(example)
print(f"{answer.method}, objective {answer.objective}, on {answer.model}")
low, high = answer.estimate.interval("device")
print(f"It needs {answer.estimate.device_gib:.1f} GiB on the GPU, 95 % between {low:.1f} and {high:.1f}.")
rows = [{"": "because", "words": r.text, "source": r.source} for r in answer.reasons]
rows += [{"": "beware", "words": r.text, "source": r.source} for r in answer.warnings]
rows += [{"": f"not {a.method}", "words": a.why_not, "source": a.source} for a in answer.alternatives]
rows += [{"": "change", "words": answer.what_would_change, "source": "our rules"}]
table(rows)

# %% [markdown]
# How to read it: **because** and **beware** are reasons for and warnings about what was chosen; the upper end of the memory
# range must fit, or the method is not taken. **change** is the nearest change of one single field that would give another
# method. `print(recommend(example))` says the same in plain text.
#
# ## Six scenarios
#
# The guide `selector` tells six short stories, each with its answer. Their texts leave much open, so we had to fill gaps.
# First one story with our reading of it, then all six: the published answer beside ours.

# %%
from course_lib import SCENARIOS

story = SCENARIOS[0]
told = {"scenario": story.name, "story": story.text, "its answer": story.published}
table([told | {"what we filled in": story.reading}])

# %%
ours = {story.name: recommend(story.situation) for story in SCENARIOS}
rows = []
for story in SCENARIOS:
    mine = ours[story.name]
    high = mine.estimate.interval("device")[1]
    row = {"scenario": story.name, "published": story.published, "ours": mine.method}
    row |= {"objective": mine.objective, "model": mine.model, "GiB per GPU, at most": f"{high:.1f}"}
    rows.append(row)
same = sum(ours[story.name].method == story.method for story in SCENARIOS)
print(f"{same} of {len(SCENARIOS)} as published.")
table(rows)

# %% [markdown]
# Do not take the agreement for proof. The rules were written by people who knew these six answers. It shows only that one set
# of rules *can* give them all. Note also that this guide knows two methods only, full fine-tuning and LoRA: a guide that
# defaults to QLoRA would have answered some of the stories differently.
#
# ## Does it fit?
#
# Memory is where the guides say most and where they can be checked. One training step needs room for the weights, for
# gradients and optimizer values of whatever is trained, and for intermediate results that wait for the backward pass.
# `estimate` adds this up for a plan. Expect full fine-tuning to stand out, and the other methods to lie closer together than
# the words *low* and *very low* suggest.

# %%
from course_lib import ModelShape, Plan, estimate
from course_lib.choose.gpus import gpu
from course_lib.choose.guides.advice import METHODS
from course_lib.prove.tables import plot_memory

thrifty = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True}
thrifty["optimizer"] = "paged_adamw_8bit"
shape, card = ModelShape.of("meta-llama/Llama-3.1-8B"), gpu("RTX 4090")
bars = {
    METHODS[method]: estimate(Plan(method=method, **thrifty), shape)
    for method in ("full", "lora", "qlora", "adapters", "prompt_tuning")
}
plot_memory(bars, card.memory_gib, card.name, title=shape.name)

# %% [markdown]
# Solid bars are the estimates, thin lines the range that should hold 95 of 100 runs,
# the dashed line is the card. A bar that ends short of the line while its range crosses it *may* fit; `recommend` does not
# count on it. LoRA, adapters and prompt tuning all keep the frozen model in 16 bits, and beside that it hardly matters how few
# weights they train.
#
# The settings matter more than you may expect. Here is one card, and the largest model that surely fits, as settings that
# save memory are added one by one. Each line keeps those above it. Compare the two columns in the first line.

# %%
from course_lib import largest_model

steps = {"gradient_checkpointing": True, "micro_batch": 1, "optimizer": "paged_adamw_8bit"}
settings, rows = {}, []
for name in (None, *steps):
    settings |= {name: steps[name]} if name else {}
    added = f"+ {name} = {steps[name]}" if name else "(the plan's defaults)"
    sizes = {METHODS[m]: f"{largest_model(16, m, **settings):.1f}" for m in ("lora", "qlora")}
    rows.append({"settings": added} | sizes)
table(rows, "Largest model on 16 GiB, billions of parameters")

# %% [markdown]
# **Gradient checkpointing** computes intermediate results a second time instead of keeping them; the **micro-batch** is how many
# rows go through the model at once. Without the two, intermediate results fill the card, and QLoRA's 4-bit weights gain
# little: they save room for weights only.
#
# So "which model fits on 16 GB" has no answer without the settings. lesson4 names one of them (gradient checkpointing, for
# "Limited VRAM"); beside their sizes no guide gives any. Below we always use the thrifty settings of the figure, which
# are kind to the guides' claims.
#
# ## The contradictions
#
# `compare_guides` asks all five guides about a situation and pairs statements that cannot both be right. Expect a dozen or two
# for a GPU of 16 GB, on several topics. We print those on the size of the model.

# %%
from collections import Counter

from course_lib import compare_guides

clashes = compare_guides(Situation(gpu_gib=16)).contradictions
print(len(clashes), "contradictions:", dict(Counter(clash.topic for clash in clashes)))
table([{"on the size of the model": clash.text} for clash in clashes if clash.topic == "model size"])

# %% [markdown]
# That is one GPU, and the sizes lie far apart. Now the memory model. Which models of 7B, 13B, 65B and 70B? Those
# sizes are the first two Llama generations', so we take these. The verdict is **holds** where even the upper end of the
# range fits, **not here** where not even the lower end does, and **partly** in between.

# %%
MODELS = {7: "Llama-2-7b-hf", 13: "Llama-2-13b-hf", 65: "huggyllama/llama-65b", 70: "Llama-2-70b-hf"}


def needs(method, billions):
    """The 95 % interval of what a model of that size needs on one GPU, GiB."""
    plan = Plan(method=method, **thrifty)
    return estimate(plan, ModelShape.of(MODELS[billions])).interval("device")


def verdict(interval, gib):
    return "holds" if interval[1] <= gib else "not here" if interval[0] > gib else "partly"


def words(interval):
    return "{:.1f} to {:.1f} GiB".format(*interval)


# %%
rows = []
for size in MODELS:
    need = needs("qlora", size)
    fits = {f"on {gib} GB": verdict(need, gib) for gib in (8, 16, 24, 48, 80)}
    rows.append({"QLoRA on": f"{size}B", "needs": words(need)} | fits)
largest = largest_model(16, "qlora", **thrifty)
print(f"The largest model that surely fits on 16 GiB: {largest:.1f} billion parameters.")
table(rows)

# %% [markdown]
# On 16 GB lesson4's table ("13B") is right by the memory model, and the upper end of its tree ("7-70B") is far off. Is the
# size all that you need to know? Not quite. The embeddings, a row of numbers for each word piece of the vocabulary, are not
# among the weights that QLoRA holds in 4 bits, and the scores for the next word piece grow with the vocabulary too. Here are
# two models of one size: Llama 2's, and one built like Llama 3 (which is what `largest_model` takes). And a card sold as 16
# GB has a little less.

# %%
t4 = gpu("T4").memory_gib
print(f"Of a T4's 16 GB, torch sees {t4} GiB.")
for shape in (ModelShape.of("Llama-2-13b-hf"), ModelShape.generic(13)):
    need = estimate(Plan(method="qlora", **thrifty), shape).interval("device")
    found = f"on 16 GiB: {verdict(need, 16)}; on a T4: {verdict(need, t4)}"
    print(f"{shape.name}: vocabulary {shape.vocab:,}, needs {words(need)}; {found}")

# %% [markdown]
# A guide's number can be right for the models of its year and tight for the next ones.
#
# Now the boldest claims: 70B on 24 GB (lesson4), 65B and more on consumer GPUs (overview), 70B on a single GPU (practices).
# Which card would it take? Expect no consumer card.

# %%
from course_lib.choose.gpus import gpus

nvidia = [g for g in gpus() if g.kind == "nvidia"]
consumer = max((g for g in nvidia if not g.server), key=lambda g: g.memory_gib)
print(f"Largest consumer card: {consumer.name}, {consumer.memory_gib} GiB")
rows = []
for size in (65, 70):
    weights = estimate(Plan(method="qlora"), ModelShape.of(MODELS[size])).parts["weights"]
    verdicts = {g.name: verdict(needs("qlora", size), g.memory_gib) for g in nvidia}
    row = {"QLoRA on": f"{size}B", "weights alone": f"{weights:.1f} GiB", "needs": words(needs("qlora", size))}
    for title, wanted in {"surely fits on": "holds", "perhaps on": "partly"}.items():
        row[title] = ", ".join(name for name, found in verdicts.items() if found == wanted)
    rows.append(row)
table(rows)

# %% [markdown]
# "Single GPU" is true of a large data-centre GPU. The paper that introduced QLoRA reports 65B on one card of 48 GB, which lies
# in our "perhaps". "Consumer GPUs" is not true unless part of the model is moved to the computer's own memory, which is slow
# and which none of the guides mentions.
#
# ## How far to trust the memory model
#
# We used it as a judge, so it has to be judged as well. The course carries published measurements of training runs, each with
# its source. `score` predicts every one of them that it can express. *Quality A* are the runs whose settings are all known.

# %%
from course_lib import score

scores = score()
print("\n".join(str(scores).splitlines()[1:4]))
expressed = scores.scorable - len(scores.not_represented)
print(f"{expressed} of {scores.scorable} runs can be expressed; the others are left out, not guessed.")

# %% [markdown]
# In plain words, for quality A. **allocated** is what the tensors take, **reserved** and **device** add what torch keeps in hand
# and what the driver takes; the percentages are typical errors, half of the runs are nearer. **covered** is how often the
# measured value lay inside the range: it should be 95 % or a little more. **under 5 %** is how often we promised too little,
# which is the costly mistake.
#
# With quality B, where somebody had to infer a setting, we promise too little far more often. If you do not know how long
# your longest row is, no formula can make up for it: leave a margin.
#
# Is that good? Only beside others. Two public tools and two rules of thumb, each on the quality A runs that it can express, and
# ours on the same runs. **rejected** are runs that worked, and of which it says that they do not fit their card. Errors are
# differences of logarithms: small ones read as per cent, and 100 % is a factor of nearly three.

# %%
from course_lib.choose.rivals import rivals

rows = []
for rival in rivals(scores):
    errors = {"typical error": f"{rival.median_error:.0%}", "ours": f"{rival.median_ours:.0%}"}
    rejected = {"rejected": f"{rival.rejected:.0%}", "by ours": f"{rival.rejected_ours:.0%}"}
    rows.append({"tool or rule": rival.name, "runs": rival.runs} | errors | rejected)
table(rows)

# %% [markdown]
# Read both kinds of columns: whoever promises too little rejects nothing. Ours is closer, and the comparison flatters it: a
# few of its constants were fitted on these very runs, which the others have not seen. `course estimate --score --leave-one-out` in a terminal fits them without each source in turn and tests on
# that source; it takes minutes.
#
# Where is it worst? The sources with the largest errors, and the quality of their rows:

# %%
quality = {}
for o in scores.observations:
    quality.setdefault(o.row.cells["source"], set()).add(o.row.cells["config_quality"])
rows = []
for source, s in scores.by("source").items():
    error = max(s[f"{figure}_median_error"] or 0 for figure in ("allocated", "reserved", "device"))
    rows.append({"source": source, "quality": ", ".join(sorted(quality[source])), "runs": s["n"]})
    rows[-1] |= {"typical error": f"{error:.0%}", "covered": f"{s['coverage']:.0%}"}
table(sorted(rows, key=lambda row: -int(row["typical error"][:-1]))[:5])

# %% [markdown]
# So: trust it for a plan whose settings you know, on one NVIDIA card. Elsewhere take it as a first guess, and run ten steps on
# your longest rows before you rent anything for a week.
#
# ## What it costs
#
# Time follows from the operations per token and from the share of a card's speed that training reaches. The ranges are wide,
# and so they should be. Prices are worse: the course's table was written down once, and nobody has checked it since.

# %%
from course_lib.choose.gpus import prices

table_of_prices = prices()
print("as of:", table_of_prices.as_of)
print("compared with the providers' pages:", "yes" if table_of_prices.checked else "no")
print("note:", table_of_prices.note)

# %%
from course_lib.choose.cost import adapter_gib, hosted_price, price, training_time

plan = recommend(example).plan
tokens = 300 * example.n_examples * plan.epochs  # if rows are 300 tokens long on average
cards = {"T4": plan, "T4, precision fp16": plan.but(precision="fp16"), "RTX 4090": plan, "A100-80GB": plan}
rows = []
for name, on_it in cards.items():
    time = training_time(on_it, tokens, name.split(",")[0], seq_len=300)
    cost = "{:.2f} to {:.2f}".format(*price(time, name.split(",")[0]))
    rows.append({"GPU": name, "time": time, "dollars, rented": cost})
hosted = f"{hosted_price(tokens, 'open, up to 16B', 'lora'):.2f}, or its least fee"
rows.append({"GPU": "none, at a service", "time": "theirs", "dollars, rented": hosted})
table(rows, f"{plan.method} on {plan.model}: {tokens:,} tokens, a file of {adapter_gib(plan) * 1024:.0f} MiB")

# %% [markdown]
# One run costs little beside your own time; fifty runs of a search, or a run on the wrong model, do not. The two lines of the
# T4 show what a setting can do: it has no arithmetic in bf16, and without `fp16` the plan falls back to slow fp32. The
# recommendation above warned of that.
#
# ## Your situation
#
# Now yours. Answer the five questions, look at the other views, and press **Save as my plan**. All of it works from the
# keyboard. Where no widgets run (on GitHub, in a terminal) you see a picture of it instead; then write
# `recommend(gpu_gib=..., n_examples=...)`.

# %%
from course_lib import Selector

Selector()

# %% [markdown]
# The button writes `my_work/my_plan.yaml`. The next cell reads it back. If there is none yet, it takes this page's example and
# says so; save yours and run the cell again.

# %%
from course_lib import work_folder

file = work_folder() / "my_plan.yaml"
if file.exists():
    plan, whose = Plan.from_yaml(file), "Your own plan"
else:
    plan, whose = recommend(example).plan, "No plan saved yet, so this is the example's"
print(f"{whose}: {plan.method} on {plan.model}, objective {plan.objective}.\n")
print(estimate(plan))

# %% [markdown]
# A plan is a small file that says everything that decides a run. `plan.to_text()` shows all of it, `plan.to_script()` turns
# it into a program that needs nothing of ours. As it stands it trains on the course's mails; `plan.but(data="my.jsonl")`
# makes it train on your file.
#
# ## Claim and measurement
#
# What the guides claim on these matters, beside what this page computed. Nothing was trained here: "holds" means that it fits
# by the memory model with the thrifty settings (the student's model: with the plan recommended above), not that it was run. 7B
# and 13B are Llama 2's.

# %%
from course_lib.prove.claims import Finding


def over(*found):
    """One verdict on a claim that has several parts."""
    return found[0] if len(set(found)) == 1 else "partly"


q = {size: needs("qlora", size) for size in MODELS}
lora = {size: needs("lora", size) for size in MODELS}
q7, q13, q65, q70 = (f"QLoRA on {size}B needs {words(need)}" for size, need in q.items())
only = {"holds": "not here", "not here": "holds"}.get(verdict(lora[7], 16), "partly")  # if LoRA fits, it is not

# %%
found = {
    "lesson4.tree.8-16": (q7, over(verdict(q[7], 8), verdict(q[7], 16))),
    "lesson4.tree.16-24": (q70, verdict(q[70], 24)),
    "lesson4.tree.24-up": (q70, verdict(q[70], 24)),
    "lesson4.hardware.8": (q7, verdict(q[7], 8)),
    "lesson4.hardware.16": (q13, verdict(q[13], 16)),
    "lesson4.hardware.24": (q70, verdict(q[70], 24)),
    "lesson4.hardware.48": (f"LoRA on 70B needs {words(lora[70])}", verdict(lora[70], 48)),
    "lesson4.safe.fits": (q7, over(verdict(q[7], 8), verdict(q[7], 24))),
    "module9.single.qlora": (f"{q13}; {q70}", over(verdict(q[13], 24), verdict(q[70], 48))),
    "module9.single.lora": (f"LoRA on 7B needs {words(lora[7])}", verdict(lora[7], 24)),
    "module9.consumer.only": (f"LoRA on 7B needs {words(lora[7])}", only),
}

# %%
student = ours[SCENARIOS[0].name]
small = student.estimate.interval("device")
found |= {
    "practices.qlora.single": (f"{q70}; on 80 GB", verdict(q[70], gpu("A100-80GB").memory_gib)),
    "overview.qlora.65b": (f"{q65}; on {consumer.name}", verdict(q[65], consumer.memory_gib)),
    "selector.scenarios.student": (f"LoRA on {student.model} needs {words(small)}; on a T4", verdict(small, t4)),
}
course.claims("102", {claim: Finding(*what) for claim, what in found.items()})

# %% [markdown]
# "Untestable" are claims that no lesson of this course can test; each says why. What the guides say about quality and speed
# needs training, and later lessons measure it: `course claims` in a terminal lists every claim of the five guides, the lesson
# that it belongs to, and what was measured.

# %% [markdown]
# ## Check yourself
#
# Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("102")

# %% [markdown]
# ## Your turn
#
# The exercise asks you to estimate a QLoRA run by hand, to find the situation that makes `recommend` say *full*, and to settle
# one of the contradictions. It is
# [exercises/beginner/102_choosing_a_strategy.ipynb](../../exercises/beginner/102_choosing_a_strategy.ipynb); `make learn` puts
# a copy of it into `my_work/`, where nothing overwrites what you write.
#
# This page ticks: *Verified hardware can handle chosen approach* (lesson4's checklist before fine-tuning).

# %% [markdown]
# ## Recap
#
# - Five factors decide most: GPU memory, performance, number of tasks, latency, data.
# - The guides contradict each other, and one contradicts itself. On memory they can be checked; on quality only training tells.
# - "Does it fit" depends on the settings and on the vocabulary as much as on the method.
# - The memory model is close where all settings are known. Where they are not, leave a margin.
# - Start small: the recommendation is a first plan, and a measured run beats it.

# %%
course.finish("102")

# %% [markdown]
# **Next:** the exercise above; then [103 · Full fine-tuning](103_full_fine_tuning.ipynb), the plain case that all other methods
# leave something out of.
