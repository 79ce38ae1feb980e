# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 107 · Your own data
#
# **You will** take a file of your own through all of it: checking, splitting, a plan, training, a fair test, a chat with the
# result and a model card; and learn what to try when the result is bad.
#
# **Needs** [lesson 104](104_lora.ipynb); a small file of yours, or the sample that comes with the course. No GPU, no account.
#
# **Time** 30 min reading; running all cells takes about two minutes on two cores.

# %%
import course_lib as course

course.lesson("107")

# %% [markdown]
# ## Why
#
# In the lessons before this one the data was clean, split and known to work. Yours is not. Most of what goes wrong in
# fine-tuning goes wrong before the first step, in the file; so that is where most of this page is.
#
# ## Your file
#
# One example per row: what is asked, and the answer that you would want. Two forms will do:
#
# - **CSV** with the columns `prompt` and `completion` (save it as *CSV UTF-8* in a spreadsheet), or
# - **JSONL**, one `{"prompt": "...", "completion": "..."}` or `{"messages": [...]}` on each line.
#
# Save it as `my_data.csv` or `my_data.jsonl` in `my_work/` and run this page again. Until then it takes a sample: notes to a
# grocer, each with the order in one tidy line. A hundred rows or more are advised; ten are the least.

# %%
from course_lib import work_folder
from course_lib.run.samples import sample

mine = [work_folder() / name for name in ("my_data.csv", "my_data.jsonl")]
file = next((path for path in mine if path.exists()), sample("orders.csv"))
print("Your own file:" if file in mine else "The sample:", file.name)

# %% [markdown]
# ## Look at it
#
# `read` takes every row or says why not, with its line. Nothing is guessed, mended or dropped in silence. Expect no rejects
# in the sample.

# %%
from course_lib.prove.tables import table
from course_lib.run.rows import read

rows = read(file)
print(rows.report())
table([{message["role"]: message["content"] for message in row["messages"]} for row in rows.rows[:4]])

# %% [markdown]
# What would it say of a worse one? Here is a file with four faults in five lines. Each is named with its place.

# %%
from pathlib import Path
from tempfile import mkdtemp

bad = Path(mkdtemp()) / "bad.jsonl"
bad.write_text(
    '{"prompt": "two eggs", "completion": "2 eggs"}\n'
    '{"prompt": "a loaf of bread", "completion": ""}\n'
    '{"prompt": "milk", "completion": 1}\n'
    '{"question": "tea", "answer": "1 pack tea"}\n'
    '{"messages": [{"role": "assistant", "content": "1 kg rice"}]}\n',
    encoding="utf-8",
)
print(read(bad).report())

# %% [markdown]
# ## Split it
#
# The model must be tested on rows that it has not been trained on, nor on near copies of them: otherwise the test asks what it
# remembers. `load` puts rows that are near copies of each other on the same side, and says how many there are.

# %%
from course_lib import load

data = load(file)
print(data.notice)
print(
    f"{len(data.train)} rows to learn from, {len(data.valid)} to choose settings by, {len(data.test)} for the final test"
)

# %% [markdown]
# ## As the model sees it
#
# A chat model was trained on conversations in a certain form, its **chat template**. Your rows are put into the same form;
# only the marked part is trained on. Read one, and look for what does not belong there. (Where your rows have no system
# message, this model's template puts its own in front; it is there in training and in use, so it does no harm.)

# %%
from course_lib import current_profile, show_mask
from course_lib.run.assets import model_folder
from course_lib.run.chat import encode
from course_lib.run.methods import load_tokenizer

size = current_profile()
tokenizer = load_tokenizer(model_folder(size.model))
lengths = sorted(len(encode(tokenizer, row)) for row in data.train)
print(f"tokens in a row: {lengths[0]} to {lengths[-1]}, the middle one {lengths[len(lengths) // 2]}")
show_mask(tokenizer, data.train[0])

# %% [markdown]
# ## A plan
#
# The selector gives the method. We tell it the size of the model that this machine holds, and the number of rows.

# %%
from course_lib import ModelShape, recommend

billions = ModelShape.of(size.model).params / 1e9
advice = recommend(n_examples=len(data.train), model_b=billions, goal="output_format")
print(f"{advice.method}, objective {advice.objective}")
table([{"because": reason.text, "source": reason.source} for reason in advice.reasons])

# %% [markdown]
# Its plan is for hundreds of steps. A page has a minute: so fewer rows in a step, a larger rate, and LoRA in the upper blocks
# only, as in lesson 104. Everything else stays as advised. (If the advice was *prompting* or *hosted*, there is no plan for
# this machine to carry out; then we go on with LoRA, to see what it would have done.)

# %%
from course_lib import Plan

advised = advice.plan if advice.method in ("full", "lora", "qlora") else Plan()
plan = advised.but(
    model=size.model, data=str(file), lr=size.lr, micro_batch=size.micro_batch, grad_accum=1, epochs=1,
    max_len=max(256, lengths[-1]), first_layer=size.first_layer if advised.method != "full" else 0,
)  # fmt: skip
print(plan.method, "rank", plan.rank, "rate", plan.lr, "on", len(data.train), "rows")

# %% [markdown]
# ## Train, and test
#
# The pipeline scores what fine-tuning has to beat, trains, scores again, and writes a report and a model card. Each step is
# kept: if the kernel dies, run the cell again. Expect about a minute and a half.

# %%
from course_lib import run_pipeline

made = run_pipeline(plan, n=size.n_test)

# %%
from course_lib import Report
from course_lib.prove.baselines import nearest_row

copied = {"nearest row copied": nearest_row(data, n=size.n_test)}  # no language model at all
Report(copied | made.report.entries)

# %%
for sentence in made.verdict:
    print(sentence)

# %% [markdown]
# Read what it gets wrong. Is the *form* wrong or the *content*? The first means too little training, the second mostly too
# few or too uniform rows.

# %%
wrong = made.tuned.failures()
print(f"{len(wrong)} of {len(made.tuned.answers)} answers are not exactly as wanted.")
table([{"asked": a.asked, "wanted": a.wanted, "said": a.said} for a in wrong[:4]])

# %% [markdown]
# ## Chat with it
#
# Change the question and run the cell again. Ask something that is not in your data, too.

# %%
from course_lib.run.generate import answers

model = made.run.model()


def ask(question):
    """What the tuned model answers."""
    said = {"role": "assistant", "content": ""}
    return answers(model, tokenizer, [{"messages": [{"role": "user", "content": question}, said]}], 40)[0]


for question in (
    made.tuned.answers[0].asked,
    "three lemons and a bag of sugar please",
    "What is the capital of France?",
):
    print(question, "\n  ->", ask(question))

# %% [markdown]
# ## The model card
#
# Whoever gets the model from you, and that is you in half a year, wants to know what it was made from, how good it is, and how
# to load it. The pipeline wrote that down beside the weights. Add what it cannot know: what the model is for and not for.

# %%
from IPython.display import Markdown

card = made.card.read_text(encoding="utf-8")
Markdown(card.split("---\n", 2)[2].split("## How to load it")[0].replace("\n#", "\n###"))

# %% [markdown]
# ## When the result is bad
#
# Go down the list and stop at the first line that fits. Change one thing at a time, and test again on the same rows.
#
# 1. **The loss does not fall.** The rate is wrong by a factor of three or more, in one direction or the other; or the mask is:
#    look at `show_mask` again.
# 2. **It answers in the wrong form.** Train longer (`epochs=2`, then 3) or on more rows. Is the form the same in all rows?
# 3. **The form is right, the content is wrong.** More and more varied rows. Read twenty failures: do two of your own rows
#    contradict each other?
# 4. **Good on training rows, bad on the test.** It has learned them by heart: fewer epochs, a lower rank, more rows.
# 5. **A 4-shot prompt is as good.** Then use the prompt.
# 6. **Good on your rows, bad at all else.** It forgot: lower the rate, train fewer steps, mix in general text (`replay`).
# 7. **Nothing helps.** The model is too small for the job: take the next larger one. Lesson 102 says what fits.
#
# ## Claim and measurement
#
# One guide's checklist wants 500 examples before you begin. Did fewer do? We take the best rival without fine-tuning, and count
# the claim as *not here* if fewer rows surely beat it.

# %%
from course_lib import difference
from course_lib.prove.claims import Finding

metric = next(iter(made.tuned.scores))
rivals = copied | made.base
best = max(reversed(rivals), key=lambda name: rivals[name][metric].value)
gap = difference(made.tuned, rivals[best], metric)
verdict = "not here" if len(data.train) < 500 and gap.low > 0 else "partly"
words = f"{len(data.train)} rows; {metric}, fine-tuned less {best}: {gap}"
course.claims("107", {"lesson4.checklist.examples": Finding(words, verdict, gap.n)}, seed=plan.seed)

# %% [markdown]
# ## Check yourself
#
# Each answer is explained at once, the wrong ones too. Try as often as you like.

# %%
course.quiz("107")

# %% [markdown]
# ## Your turn
#
# The exercise asks you to bring messy records into the right form, to find a leak between training and test, and to choose the
# next step after a bad result. It is
# [exercises/beginner/107_your_own_data.ipynb](../../exercises/beginner/107_your_own_data.ipynb); `make learn` puts a copy of it
# into `my_work/`, where nothing overwrites what you write.
#
# This page ticks: *Fine-tune a model on your own simple dataset* (quick-start path; the exercise belongs to it).

# %% [markdown]
# ## Recap
#
# - Look at the file first: what cannot be used is named, line by line.
# - Test on rows that are no copies of training rows, and against a prompt with examples.
# - Change one thing at a time, and read the failures.
# - A model without a card is a riddle to the next person, who may be you.

# %%
course.finish("107")

# %% [markdown]
# **Next:** the exercise above. That was the last lesson of the *Quick Start* path: `course.progress()` shows what is left of its
# six items. The intermediate path begins with lesson 201, on evaluation.
