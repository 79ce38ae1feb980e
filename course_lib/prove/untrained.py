"""What fine-tuning has to beat: the same model with a prompt alone or with solved examples, and what needs no language model."""

from pathlib import Path

from transformers import AutoConfig

from course_lib.plan import Plan
from course_lib.prove.baselines import most_frequent_label, tf_idf_classifier
from course_lib.prove.evaluate import evaluate, few_shot
from course_lib.prove.evaluated import metrics_of, room_for
from course_lib.prove.log_likelihood import longest
from course_lib.prove.scores import Scores
from course_lib.run.chat import prompt_ids
from course_lib.run.data import DataSet
from course_lib.run.methods import load_base, load_tokenizer
from course_lib.run.targets import is_encoder

SHOTS = 4  # solved examples in the longer prompt
CHATS = ("json", "label", "text")


def untrained(plan: Plan, folder: Path, data: DataSet, n: int | None) -> dict[str, Scores]:
    """Name of each way to do without fine-tuning -> its scores on the first `n` test rows; `folder` holds the base model.

    The base model is not quantised, whatever the plan: a prompt needs no room for training.
    """
    metrics, found = metrics_of(plan, data), {}
    if "accuracy" in metrics:
        found["most frequent label"] = most_frequent_label(data, n)
    if data.answer == "label" and len({row["messages"][-1]["content"] for row in data.train}) > 1:
        found["TF-IDF classifier"] = tf_idf_classifier(data, n)
    if is_encoder(AutoConfig.from_pretrained(folder, trust_remote_code=False)):
        return found
    model = load_base(folder, Plan(model=plan.model, precision=plan.precision)).eval()
    tokenizer = load_tokenizer(folder)
    if data.answer not in CHATS:
        return found | {"base model": evaluate(model, data, metrics, n=n)}
    room = room_for(tokenizer, data)
    for shots in (0, min(SHOTS, len(data.train))):
        prompts = few_shot(data.test[:n], data.train[:shots])
        if max(len(prompt_ids(tokenizer, row)) for row in prompts) + room > longest(model):
            print(f"{shots} solved examples and a question are longer than the model reads: they are not tried.")
            continue
        name = f"{shots}-shot prompt"
        found[name] = evaluate(model, data, metrics, shots=shots, n=n, max_new_tokens=room, name=name)
    return found
