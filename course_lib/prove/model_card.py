"""A model card: what was trained, from what, how well it does and how to load it, beside the weights that it describes."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from course_lib.exports.common import hub_name
from course_lib.prove.kept import write
from course_lib.prove.scores import Scores
from course_lib.prove.verdict import TUNED, scores_table, to_markdown
from course_lib.run.assets import ASSETS
from course_lib.run.result import Run
from course_lib.run.seal import MANIFEST
from course_lib.run.targets import HEADS

CARD = """\
---
{front}---

# {name}

{base} fine-tuned with {method} for the objective {objective}: {trained:,} of {everything:,} parameters were trained.

- Base model: {base}{origin}
- Licence of the base model: {licence}
- Trained: {date}, on {machine}, in {seconds:.0f} s, peak memory {peak:.2f} GiB ({memory_of})
- Versions: {versions}

## Data

{notice}

Training rows: {rows}. The scores below are of test rows, which were not trained on.

## Scores

{scores}

Mean [95 % interval] over {n} test rows.

{verdict}

## How to load it

Start Python in this folder, or give its path.

```python
{snippet}
```

## Limits

- The intervals say how far another draw of test rows of the same kind would move the scores. They say nothing of other data,
  other languages or another training seed: this is one run with seed {seed}.
- Nothing was measured here but the scores above: not safety, not bias, not what the model forgot.
- It inherits what its base model knows, gets wrong and is licensed for, and may repeat what stood in its training rows.

## Every setting

```yaml
{plan}```
"""
UNKNOWN = "not known here: see the base model's own card"


def write_card(run: Run, entries: Mapping[str, Scores], verdict: list[str], notice: str) -> Path:
    """Write `README.md` into the folder of the weights, and return its path.

    The folder's seal no longer covers that file: whoever adds a line to a model card has not damaged the weights.
    """
    file = run.weights / "README.md"
    manifest = json.loads((run.weights / MANIFEST).read_text(encoding="utf-8"))
    if manifest["files"].pop(file.name, None):
        write(run.weights / MANIFEST, json.dumps(manifest, indent=1))
    write(file, card(run, entries, verdict, notice))
    return file


def card(run: Run, entries: Mapping[str, Scores], verdict: list[str], notice: str) -> str:
    """The text of the model card."""
    plan, record, asset = run.plan, run.record, ASSETS.get(run.plan.model)
    base = hub_name(plan)
    front = {"library_name": "transformers" if plan.method == "full" else "peft", "base_model": base}
    front |= {"license": asset.licence.lower()} if asset else {}
    front |= {"tags": [plan.method, plan.objective]}
    settings = plan.model_dump(mode="json") | {
        field: Path(getattr(plan, field)).name for field in ("data", "pairs", "texts", "general")
    }
    return CARD.format(
        front=yaml.safe_dump(front, sort_keys=False),
        name=f"{Path(base).name}, {plan.method}",
        base=base,
        method=plan.method,
        objective=plan.objective,
        trained=record["trainable"],
        everything=record["parameters"],
        origin=f" ({asset.notice.rstrip('.')}; not bit for bit the hub's weights)" if asset else _commit(run),
        licence=asset.licence if asset else UNKNOWN,
        date=record["date"],
        machine=record["machine"],
        seconds=run.seconds,
        peak=run.peak_gib,
        memory_of=record["memory_of"],
        versions=", ".join(f"{name} {version}" for name, version in record["versions"].items()),
        notice=notice,
        rows=record["rows"],
        scores=to_markdown(scores_table(entries)),
        n=next(score.n for score in entries[TUNED].scores.values()),
        verdict="\n".join(f"- {words}" for words in verdict),
        snippet=snippet(run),
        seed=plan.seed,
        plan=yaml.safe_dump(settings, sort_keys=False),
    )


def _commit(run: Run) -> str:
    """The commit of a hub model, which is what its folder is called."""
    if Path(run.plan.model).expanduser().is_dir():
        return ""
    return f", commit {run.plan.revision or Path(run.record['model_files']).name}"


def snippet(run: Run) -> str:
    """Python that loads the trained model from the folder of its weights; transformers and PEFT do it alone, where they can."""
    plan, labels = run.plan, run.record["labels"]
    kind = "AutoModelForSequenceClassification" if labels else "AutoModelForCausalLM"
    dtype = "torch.float32" if plan.method == "full" else f"torch.{run.record['precision']}"
    names, imports, body = [kind, "AutoTokenizer"], [], ['weights = "."']
    if plan.method == "full":
        body.append(f"model = {kind}.from_pretrained(weights, dtype={dtype}).eval()")
    else:
        imports.append("from peft import PeftModel")
        more = f", dtype={dtype}"
        if plan.revision:
            more += f', revision="{plan.revision}"'
        if labels:
            more += f", id2label={dict(enumerate(labels))!r}"
        if plan.method == "qlora":
            names.append("BitsAndBytesConfig")
            body += _quantization(labels, dtype)
            more += ", quantization_config=four_bits"
        body.append(f"base = {kind}.from_pretrained({_base(run)}{more})")
        body.append("model = PeftModel.from_pretrained(base, weights).eval()")
    body.append("tokenizer = AutoTokenizer.from_pretrained(weights)")
    own = ["from course_lib.run import adapters  # PEFT itself has none"] if plan.method == "adapters" else []
    own += ["from course_lib.run.assets import model_folder"] if "model_folder" in "".join(body) else []
    imports = ["import torch", *imports, f"from transformers import {', '.join(names)}", *own]
    return "\n".join([*imports, "", *body, "", *(_label() if labels else _answer())])


def _base(run: Run) -> str:
    if run.plan.model in ASSETS:
        return f'model_folder("{run.plan.model}")'
    return json.dumps(str(Path(run.plan.model).expanduser()), ensure_ascii=False)


def _quantization(labels: list[str], dtype: str) -> list[str]:
    skip = f", llm_int8_skip_modules={list(HEADS)!r}" if labels else ""
    return [
        "four_bits = BitsAndBytesConfig(",
        '    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,',
        f"    bnb_4bit_compute_dtype={dtype}{skip},",
        ")",
    ]


def _answer() -> list[str]:
    return [
        'messages = [{"role": "user", "content": "Your question"}]  # with the system message that it was trained with, if any',
        'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")',
        "with torch.inference_mode():",
        "    tokens = model.generate(**inputs, max_new_tokens=64, do_sample=False)",
        'print(tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
    ]


def _label() -> list[str]:
    return [
        "with torch.inference_mode():",
        '    logits = model(**tokenizer("Your text", return_tensors="pt")).logits',
        "print(model.config.id2label[int(logits.argmax())])",
    ]
