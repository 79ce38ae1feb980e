"""What fitscout and canifinetune predict for the published runs: writes course_lib/choose/published/baselines.csv.

    python -m venv ENV && ENV/bin/pip install fitscout==0.1.1 canifinetune==0.4.1
    python -m tests.bench.baselines --python ENV/bin/python

The tools run in that other interpreter, so that they are no dependency of ours: this file runs there as well, with the
rows on stdin. Last written on 22 November 2026 with fitscout 0.1.1 and canifinetune 0.4.1 from PyPI.

Asked is each tool's static estimate, without its calibration by running, for every row of memory-measured.csv of quality
A or B that has a peak and that `represent` takes. Each gets the model's sizes as the memory model has them, the same
micro-batch and length, and every setting that it has an input for. Where it has no input (loss, attention kernel, LoRA
targets) its answer stands as it is; where it has one but not the row's value, the row stays empty with a reason.

    fitscout      `estimate_memory(...).total_gb`: before its margin of 20 %
    canifinetune  `estimate(...).memory`: the total less its safety margin (5 % of the card), as the tool itself compares
                  it with torch's reserved memory; the 8 % of the card for context and fragmentation stay in
"""

import argparse
import csv
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

TOOLS = ("fitscout", "canifinetune")


def question(row, card_gib: float) -> dict:
    """A row in the words that both tools share."""
    setup, shape, cells = row.setup, row.setup.shape, row.cells
    per_rank = shape.lora_params(1, tuple(setup.targets)) if setup.targets else 0
    attention = {"q_proj", "k_proj", "v_proj", "o_proj"}
    scopes = {"conservative": {"q_proj", "v_proj"}, "attention": attention}
    return {
        "id": cells["id"],
        "model": cells["model"],
        "dora": "dora" in cells["method"].lower(),
        "weights_held_as": cells["weights_dtype"].lower(),
        "method": setup.method,
        "rows": setup.rows,
        "seq": max(2, round(setup.seq)),
        "grad_accum": int(row.number("grad_accum") or 1),
        "rank": int(row.number("rank") or (per_rank and max(1, round(setup.trained / per_rank)))),
        "scope": next((name for name, parts in scopes.items() if setup.targets <= parts), "all_linear"),
        "whole_matrices": setup.whole_matrices,
        "weight": setup.weight,
        "adapter": setup.adapter,
        "fp16": cells["compute_dtype"].lower().startswith("fp16"),
        "optimizer": setup.optimizer,
        "checkpointing": setup.checkpointing,
        "attention": setup.attention,
        "liger": setup.loss == "fused_linear",
        "n_gpus": setup.n_gpus,
        "card_gib": card_gib,
        "shape": {
            name: getattr(shape, name)
            for name in (
                *("params", "layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "tied"),
                *("experts", "active_experts", "model_type"),
            )
        },
    }


def neither_can(ask: dict) -> str:
    """Why neither tool has words for the row; empty where both have."""
    if ask["n_gpus"] > 1:
        return "estimates one GPU only"
    if ask["dora"]:
        return "no DoRA"
    if ask["method"] not in ("full", "lora", "qlora"):
        return f"no {ask['method'].replace('_', ' ').replace('ia3', 'IA3')}"
    if ask["whole_matrices"]:
        return "no embeddings or head trained whole beside LoRA"
    if ask["checkpointing"] == "offload":
        return "checkpointing is on or off: none kept in the host's memory"
    return ""


def fitscout(ask: dict) -> tuple[float | None, str]:
    from fitscout.memory.estimator import estimate_memory
    from fitscout.model.profile import ModelProfile

    if ask["method"] == "qlora" and "int8" in ask["weights_held_as"]:
        return None, "no 8-bit weights"
    if "adam" not in ask["optimizer"]:
        return None, f"no {ask['optimizer'].upper()}: AdamW in 8 or 32 bits"
    shape = ask["shape"]
    profile = ModelProfile(
        params=shape["params"],
        num_layers=shape["layers"],
        hidden_size=shape["hidden"],
        num_attention_heads=shape["heads"],
        num_kv_heads=shape["kv_heads"],
        intermediate_size=shape["ffn"],
        vocab_size=shape["vocab"],
        tie_word_embeddings=shape["tied"],
        num_experts=max(1, shape["experts"]),
        dtype_bytes=int(ask["weight"]),
    )
    found = estimate_memory(
        profile,
        method=ask["method"],
        micro_batch=ask["rows"],
        seq_len=ask["seq"],
        grad_ckpt=ask["checkpointing"] == "full",
        opt_8bit="8bit" in ask["optimizer"],
        lora_rank=ask["rank"] or 16,
        grad_dtype_bytes=int(ask["weight"] if ask["method"] == "full" else ask["adapter"]),
    )
    return found.total_gb, ""


def canifinetune(ask: dict) -> tuple[float | None, str]:
    from canifinetune.estimator.memory import EstimateRequest, estimate

    held = ask["weights_held_as"]
    if held.startswith("gptq"):
        return None, "refuses checkpoints quantised beforehand"
    shape = ask["shape"]
    sizes = {
        "hidden_size": shape["hidden"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["kv_heads"],
        "intermediate_size": shape["ffn"],
        "vocab_size": shape["vocab"],
        "tie_word_embeddings": shape["tied"],
        "total_params": shape["params"],
        "num_local_experts": max(1, shape["experts"]),
        "num_experts_per_tok": max(1, shape["active_experts"]),
    }
    if shape["model_type"]:  # without it the tool guesses the family from the model's name
        sizes["family"] = shape["model_type"]
    wanted = {
        "model_id": ask["model"],
        "method": ask["method"],
        "seq_len": ask["seq"],
        "micro_batch_size": ask["rows"],
        "gradient_accumulation_steps": ask["grad_accum"],
        "base_dtype": "fp32" if ask["weight"] == 4 else "fp16" if ask["fp16"] else "bf16",
        "lora_rank": ask["rank"] or 16,
        "lora_target_scope": ask["scope"],
        "optimizer": ask["optimizer"],
        "gradient_checkpointing": ask["checkpointing"] == "full",
        "attention_implementation": ask["attention"],
        "use_liger_kernel": ask["liger"],
        "gpu_vram_gb": ask["card_gib"],
        "override": sizes,
        "use_network": False,
    }
    if ask["method"] == "qlora":
        wanted["quantization"] = {"nf4-dq": "nf4_double_quant"}.get(held, held)
    try:
        memory = estimate(EstimateRequest(**wanted)).memory
    except ValueError as error:
        return None, str(error).split(". ")[0].replace("\n", " ")
    return memory.total_estimated_gb - memory.safety_margin_gb, ""


def answer() -> None:
    """In the other interpreter: questions on stdin, answers on stdout, both JSON."""
    answers = []
    for ask in json.load(sys.stdin):
        for tool in TOOLS:
            reason = neither_can(ask)
            value, reason = (
                (None, reason) if reason else {"fitscout": fitscout, "canifinetune": canifinetune}[tool](ask)
            )
            answers.append([ask["id"], tool, importlib.metadata.version(tool), value, reason])
    json.dump(answers, sys.stdout)


def questions() -> list[dict]:
    from course_lib.choose.gpus import gpu
    from course_lib.choose.published import number, read_rows, represent
    from course_lib.choose.published.words import NotRepresented

    asked = []
    for cells in read_rows():
        if cells["config_quality"] not in ("A", "B") or not number(cells["peak_gib_per_gpu"]):
            continue
        try:
            asked.append(question(represent(cells), gpu(cells["gpu"]).memory_gib))
        except NotRepresented:
            continue
    return asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="interpreter of an environment that has the two tools")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.answer:
        answer()
        return
    if not args.python:
        parser.error("--python is needed: the interpreter of an environment that has the two tools")
    done = subprocess.run(
        [args.python, __file__, "--answer"],
        input=json.dumps(questions()),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers = json.loads(done.stdout)
    target = Path(__file__).parents[2] / "course_lib/choose/published/baselines.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "tool", "version", "predicted_gib", "why_not"))
        for name, tool, version, value, reason in answers:
            writer.writerow((name, tool, version, "" if value is None else f"{value:.3f}", reason))
    for tool in TOOLS:
        mine = [line for line in answers if line[1] == tool]
        print(f"{tool} {mine[0][2]}: {sum(line[3] is not None for line in mine)} of {len(mine)} rows")


if __name__ == "__main__":
    main()
