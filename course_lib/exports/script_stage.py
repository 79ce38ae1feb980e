"""The stages of an exported script: the rows that each reads, and its trainer."""

from course_lib.exports import method_pieces, pieces
from course_lib.exports.script_method import PROMPTS, saving

STAGES = {
    "sft": ("sft",),
    "dpo": ("dpo",),
    "cpt": ("cpt",),
    "sft+dpo": ("sft", "dpo"),
    "cpt+sft": ("cpt", "sft"),
    "classification": ("classification",),
}
# Of each stage: the file that it reads, and what a line of it looks like.
FILES = {
    "sft": ("train.jsonl", '{"messages": [{"role": "user", "content": "..."}, ...]}, the answer last'),
    "classification": ("train.jsonl", '{"messages": [..., {"role": "assistant", "content": "the label"}]}'),
    "dpo": ("pairs.jsonl", '{"prompt": [messages], "chosen": [message], "rejected": [message]}'),
    "cpt": ("texts.jsonl", '{"text": "..."}'),
}
_TEXT = {"sft": pieces.SFT, "dpo": pieces.DPO, "cpt": pieces.CPT, "classification": pieces.CLASSIFY}


def options(stages) -> dict[str, str]:
    """The command line option that names each stage's file: --data, and --pairs or --texts where there are two."""
    extra = {"dpo": "pairs", "cpt": "texts"} if len(stages) > 1 else {}
    return {stage: extra.get(stage, "data") for stage in stages}


def select(plan, rows: str) -> str:
    """The line that keeps the plan's number of training rows."""
    return f"\n{rows} = {rows}.select(range(min({plan.n_train}, len({rows}))))" if plan.n_train else ""


def stage_text(plan, stage: str) -> str:
    """One stage of the script: it goes on with `model` as the stage before left it."""
    stages = STAGES[plan.objective]
    output = "args.output" if stage == stages[-1] else f'args.output + "/{stage}"'
    peft = plan.method not in ("full", "adapters")
    return _TEXT[stage].format(
        file=f"args.{options(stages)[stage]}",
        select=select(plan, {"dpo": "pairs", "cpt": "texts"}.get(stage, "rows")),
        too_long=pieces.TOO_LONG.format(max_len=plan.max_len),
        max_len=plan.max_len,
        packing=plan.packing,
        output=output,
        loss=pieces.LOSS.format(loss=plan.loss) + (pieces.HIDE if plan.method == "qlora" else ""),
        start_here=pieces.START_HERE if peft else "",
        trainer="FromHere" if peft else "DPOTrainer",
        beta=plan.beta,
        training=_second_rate(plan) if (plan.objective, stage) == ("sft+dpo", "dpo") else "training",
        pad_left=pieces.PAD_LEFT if plan.method in PROMPTS else "",
        then=_then(plan, stage, peft) + "\ntrainer.train()\n" + saving(plan, output),
    )


def _then(plan, stage: str, peft: bool) -> str:
    """What happens between making the trainer and training."""
    lines = pieces.NO_COPY if stage == "dpo" and peft else ""
    if stage == "classification":
        lines += pieces.FP32 if plan.method != "full" and plan.precision != "fp32" else ""
    elif plan.method == "qlora":
        lines += pieces.SHOW
    return lines + (method_pieces.SLOW if plan.layer_decay < 1 else "")


def _second_rate(plan) -> str:
    rate = plan.dpo_lr or float(f"{plan.lr / 20:.6g}")  # as `course_lib.run.objectives.stage_plans`
    return f'(training | {{"learning_rate": {rate!r}}})'
