# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 106 · Comparing techniques
#
# **You will** compare full fine-tuning, LoRA and prompt tuning on one task with one budget: quality, memory, time, file size
# and forgetting, each with its uncertainty; and hold the guides' comparison tables against these numbers.
#
# **Needs** [103](103_full_fine_tuning.ipynb), [104](104_lora.ipynb) and [105](105_prompt_tuning.ipynb). No GPU, no account.
#
# **Time** 25 min reading; running all cells takes about a minute on two cores.

# %%
import course_lib as course

course.lesson("106")

# %% [markdown]
# ## Why
#
# "LoRA reaches 99 % of the quality" is half a sentence. Of what quality, on which task, with how many rows, and how far would
# another run have come out? A fair comparison holds everything still but one thing. Here that is: the same model, the same
# mails as often in the same number of steps, the same test. Only the technique changes; and each runs with **three seeds**,
# since one lucky run proves nothing.
#
# That takes too long for a page. So the runs were made once, by a command of this course (`make bench`), and
# stored with machine, versions and date. You will repeat one of them below, to see whether the stored numbers can be trusted.
#
# ## The runs

# %%
from course_lib.prove.measured import measured
from course_lib.prove.tables import table

bench = measured()
print(bench.where())
THREE = {"full": "full fine-tuning", "lora": "LoRA", "prompt_tuning": "prompt tuning"}
print({name: len(bench.of(case)) for case, name in THREE.items()}, "runs")

# %% [markdown]
# First the quality: the share of fields of the record that are right, on mails that were not trained on. The interval counts
# both: other test mails, and other seeds.

# %%
from course_lib import Plan, evaluate, load, train
from course_lib.prove.baselines import nearest_row

s = bench.setting
copied = nearest_row(load(s.data, n_train=s.train_rows), n=s.test_rows)
rows = [{"": "nearest mail copied", "fields right": str(copied["field_accuracy"]), "each seed": ""}]
for case in ("0-shot", "4-shot", *THREE):
    seeds = [sum(run.values["field_accuracy"]) / len(run.values["field_accuracy"]) for run in bench.of(case)]
    row = {"": THREE.get(case, f"base, {case}"), "fields right": str(bench.score(case))}
    rows.append(row | {"each seed": ", ".join(f"{seed:.2f}" for seed in seeds)})
table(rows)

# %% [markdown]
# Look at the last column before you believe in the order of two methods. Then what each one cost.

# %%
rows, whole = [], bench.of("full")[0].training.parameters
for case, name in THREE.items():
    cost = bench.cost(case)
    row = {"": name, "trained weights": f"{cost['trained']:,.0f} ({cost['trained'] / whole:.3%})"}
    row |= {"training, s": f"{cost['seconds']:.0f}", "tokens/s": f"{cost['tokens_per_s']:.0f}"}
    row |= {"peak GiB": f"{cost['peak_gib']:.2f}", "file, MB": f"{cost['saved_bytes'] / 1e6:,.2f}"}
    rows.append(row | {"forgetting": str(bench.forgetting(case))})
table(rows)

# %% [markdown]
# **Peak GiB** is of the whole process; Python and its libraries are about half a GiB of it. **Forgetting** is how many times
# the base model's perplexity on general texts the tuned one's is: 1.00 means that nothing was lost there, 1.10 that the model
# hesitates as between 1.1 times as many words. **File** is what you keep for each task.
#
# Do not write prompt tuning off for one line: sixteen steps are few for it (Lester et al. 2021 take 30,000). Its score says
# what it reaches on *this* budget. Note how small the differences between the other two are beside their intervals.
#
# ## The picture
#
# All methods of the course, by how many weights they train. Expect no straight line: more trained weights are not simply
# better.

# %%
bench.plot()

# %% [markdown]
# ## One run, again
#
# Should you believe stored numbers? Repeat one: LoRA, first seed. Expect a score near the stored one; the seconds are your
# machine's. It takes about half a minute.

# %%
stored = bench.of("lora")[0]
plan = Plan(
    model=s.model,
    data=s.data,
    n_train=s.train_rows,
    micro_batch=s.step_rows,
    lr=stored.training.lr,
    seed=stored.seed,
    max_len=2048,
)
run = train(plan)
again = evaluate(run, load(s.data), n=s.test_rows, max_new_tokens=s.max_new_tokens, name="LoRA again")

# %%
kept = sum(stored.values["field_accuracy"]) / s.test_rows
rows = [{"": "fields right", "stored": f"{kept:.2f}", "yours": str(again["field_accuracy"])}]
rows += [{"": "training, s", "stored": f"{stored.training.seconds:.0f}", "yours": f"{run.seconds:.0f}"}]
rows += [{"": "peak GiB", "stored": f"{stored.training.peak_gib:.2f}", "yours": f"{run.peak_gib:.2f}"}]
table(rows, s.machine)

# %% [markdown]
# A notebook's process holds more than the one that the bench started for this run alone, so your peak may lie a little higher.
#
# ## The guides' tables
#
# The guide *overview* compares five techniques in four columns that can be measured (its fifth, complexity, is a matter of
# taste). Each cell beside what was measured here.

# %%
from course_lib.choose.guides import overview

CASES = dict(zip(("Full Fine-Tuning", "LoRA", "QLoRA", "Prompt Tuning", "Adapters"),
                 ("full", "lora", "qlora", "prompt_tuning", "adapters"), strict=True))  # fmt: skip
rows = []
for technique, share, memory, speed, quality, _ in overview.TABLES["comparison"].rows:
    case = CASES[technique]
    cost = bench.cost(case)
    row = {"technique": technique, "parameters": f"{share}: {cost['trained'] / whole:.3%}"}
    row |= {"memory": f"{memory}: {cost['peak_gib']:.2f} GiB", "speed": f"{speed}: {cost['tokens_per_s']:.0f} tokens/s"}
    rows.append(row | {"quality": f"{quality}: {bench.score(case)}"})
table(rows, "said by the guide: measured here")

# %% [markdown]
# This is a small model on a processor. On a GPU, with a model fifty times as large, memory is where methods differ most, and
# there the memory model can say more than a run on a laptop:

# %%
from course_lib import ModelShape, estimate

shape = ModelShape.of("meta-llama/Llama-3.1-8B")
thrifty = {"max_len": 1024, "micro_batch": 1, "gradient_checkpointing": True}
rows = []
for technique, case in CASES.items():
    need = estimate(Plan(method=case, **thrifty), shape)
    rows.append(
        {
            "technique": technique,
            "8B model, GiB": f"{need.device_gib:.1f}",
            "95 %": "{:.1f} to {:.1f}".format(*need.interval("device")),
        }
    )
table(rows, "Estimated, one GPU")

# %% [markdown]
# The guide *selector* puts full fine-tuning and LoRA side by side. Its last row is advice and cannot be measured. For *task
# switching* we take the time: loading another model, against putting another adapter into the model that is there.

# %%
import time
from statistics import median

from course_lib.run.assets import model_folder
from course_lib.run.methods import load_base

tuned, whole_folder = run.model(), model_folder(s.model)


def seconds(action, *args):
    start = time.perf_counter()
    action(*args)
    return time.perf_counter() - start


swap = median(seconds(tuned.load_adapter, run.weights, name) for name in ("one", "two", "three"))
load_whole = median(seconds(load_base, whole_folder, Plan(model=s.model)) for _ in range(3))
print(f"another model {load_whole:.2f} s, another adapter {swap:.2f} s")

# %%
from course_lib.choose.guides import selector

full, lora = bench.cost("full"), bench.cost("lora")
gap = bench.difference("full", "lora")
need = {m: f"{estimate(Plan(method=m, **thrifty), shape).device_gib:.0f} GiB for 8B" for m in ("full", "lora")}
found = [
    (f"{full['trained'] / whole:.0%}", f"{lora['trained'] / whole:.1%}"),
    (f"{full['peak_gib']:.2f} GiB; estimated {need['full']}", f"{lora['peak_gib']:.2f} GiB; estimated {need['lora']}"),
    (f"{full['tokens_per_s']:.0f} tokens/s", f"{lora['tokens_per_s']:.0f} tokens/s"),
    (f"{full['saved_bytes'] / 1e6:.0f} MB", f"{lora['saved_bytes'] / 1e6:.1f} MB"),
    (f"{load_whole:.2f} s", f"{swap:.2f} s"),
    (str(bench.score("full")), f"{bench.score('lora')}; full less LoRA {gap}"),
    (f"perplexity times {bench.forgetting('full')}", f"times {bench.forgetting('lora')}"),
]

# %%
rows = []
for (aspect, of_full, of_lora), (full_here, lora_here) in zip(selector.TABLES["comparison"].rows, found, strict=False):
    rows.append(
        {
            "aspect": aspect,
            "full: said": of_full,
            "measured": full_here,
            "LoRA: said": of_lora,
            "measured here": lora_here,
        }
    )
table(rows)

# %% [markdown]
# ## Claim and measurement
#
# The ledger of this course has every checkable claim of the five guides (`course claims` prints all of it). Those on this page
# are about order: one technique is said to need less, or to reach more, than another. So the verdict on a cell looks at all
# pairs that the guide ranks. **Holds**: each pair lies as the guide says, beyond its uncertainty. **Not here**: some pair surely
# lies the other way round. **Partly**: neither.

# %%
from course_lib.prove.ranking import WORD, apart, ranked, side

stars = {"full": 5, "lora": 4, "qlora": 4, "prompt_tuning": 3, "adapters": 4}
high = {"full": 3, "adapters": 2, "lora": 1, "qlora": 0, "prompt_tuning": 0}
fast = {"prompt_tuning": 3, "lora": 2, "qlora": 1, "adapters": 1, "full": 0}
gib = {m: estimate(Plan(method=m, **thrifty), shape).interval("device") for m in CASES.values()}
speeds = {m: [run.training.tokens / run.training.seconds for run in bench.of(m)] for m in CASES.values()}
spans = {m: (min(all_seeds), max(all_seeds)) for m, all_seeds in speeds.items()}
shares = {m: bench.cost(m)["trained"] / whole for m in CASES.values()}
verdicts = {
    "quality": ranked(stars, lambda a, b: side(bench.difference(a, b))),
    "memory": ranked(high, lambda a, b: apart(gib[a], gib[b])),
    "speed": ranked(fast, lambda a, b: apart(spans[a], spans[b])),
}

# %%
from course_lib.prove.claims import Finding

limits = {"full": (1, 1), "lora": (0, 0.01), "qlora": (0, 0.01), "prompt_tuning": (0, 0.0001), "adapters": (0.01, 0.05)}
measured_words = {
    "quality": {m: str(bench.score(m)) for m in stars},
    "memory": {m: "8B, estimated: {:.1f} to {:.1f} GiB".format(*gib[m]) for m in stars},
    "speed": {m: "{:.0f} to {:.0f} tokens/s".format(*spans[m]) for m in stars},
}
findings = {
    f"overview.table.{m}.{column}": Finding(measured_words[column][m], verdicts[column][m])
    for m in stars
    for column in verdicts
}
for m, (low, most) in limits.items():
    inside = low <= shares[m] <= most
    findings[f"overview.table.{m}.parameters"] = Finding(f"{shares[m]:.3%}", "holds" if inside else "not here")

# %% [markdown]
# The remaining claims compare two techniques each. For a claim such as "99 % of the quality" we take LoRA's score less 99 % of
# full fine-tuning's, row by row. "Minimal loss" we read as at most a twentieth.

# %%
lost = {m: bench.forgetting(m) for m in ("full", "lora")}
bounds = {m: (score.low, score.high) for m, score in lost.items()}
findings |= {
    "overview.lora.quality": Finding.at_least(bench.difference("lora", "full", share=0.99), 0, of="LoRA less 99 % of full"),
    "practices.lora.quality": Finding.at_least(bench.difference("lora", "full", share=0.9), 0, of="LoRA less 90 % of full"),
    "overview.lora.lower": Finding.at_most(bench.difference("lora", "full"), 0, of="LoRA less full"),
    "overview.qlora.quality": Finding.at_least(bench.difference("qlora", "lora", share=0.95), 0, of="QLoRA less 95 % of LoRA"),
    "selector.table.ceiling": Finding.at_least(gap, 0, of="full less LoRA"),
    "selector.table.forgetting": Finding(
        f"full {lost['full']}, LoRA {lost['lora']}", WORD[apart(bounds["full"], bounds["lora"])]
    ),
}  # fmt: skip

# %%
mb, full_mb, inside = lora["saved_bytes"] / 1e6, full["saved_bytes"] / 1e6, 0.001 <= shares["lora"] <= 0.01
tokens = {m: measured_words["speed"][m] for m in ("full", "lora", "qlora")}
findings |= {
    "overview.lora.speed": Finding(f"{tokens['lora']}, full {tokens['full']}", WORD[apart(spans["lora"], spans["full"])]),
    "overview.qlora.speed": Finding(f"{tokens['qlora']}, LoRA {tokens['lora']}", WORD[apart(spans["lora"], spans["qlora"])]),
    "selector.table.parameters": Finding(f"LoRA {shares['lora']:.1%}", "holds" if inside else "not here"),
    "selector.table.memory": Finding(f"8B, estimated: {need}", WORD[apart(gib["full"], gib["lora"])]),
    "selector.table.speed": Finding(f"{tokens['lora']}, full {tokens['full']}", WORD[apart(spans["lora"], spans["full"])]),
    "selector.table.storage": Finding(f"{mb:.1f} MB, full {full_mb:.0f} MB", "holds" if 10 <= mb <= 50 else "partly"),
    "selector.table.switching": Finding(
        f"{swap:.2f} s, another model {load_whole:.2f} s", "holds" if swap < load_whole else "not here"
    ),
}  # fmt: skip
course.claims("106", findings)

# %% [markdown]
# Do not read this as "the guides are wrong". Few steps on a small model are one situation among many, and wide intervals leave
# much open. It says which of their sentences you may rely on *here*, and which need a measurement of your own.

# %% [markdown]
# ## Check yourself
#
# Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("106")

# %% [markdown]
# ## Your turn
#
# The exercise asks you to compare two methods row by row, to choose a method from a table of measurements under a budget, and
# to count what many tasks take on disk. It is
# [exercises/beginner/106_compare_techniques.ipynb](../../exercises/beginner/106_compare_techniques.ipynb); `make learn` puts a copy
# of it into `my_work/`, where nothing overwrites what you write.
#
# This page ticks: *Compare results and understand trade-offs* (quick-start path; the quiz belongs to it).

# %% [markdown]
# ## Recap
#
# - A comparison holds everything still but one thing, and runs more than once.
# - Differences are compared row by row; the interval tells whether there is one at all.
# - Trained weights, memory, time, file size and forgetting are five things, and no method is best in all.
# - Stored results need machine, versions and date, and somebody who repeats one.

# %%
course.finish("106")

# %% [markdown]
# **Next:** the exercise above; then [107 · Your own data](107_your_own_data.ipynb): the whole way, with a file of yours.
