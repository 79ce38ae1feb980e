"""The plan's numbers: from the guides' tables, adjusted to how much data there is."""

from course_lib.choose.guides.lesson4_tables import EPOCHS
from course_lib.choose.guides.practices import BY_TASK, HYPERPARAMETERS
from course_lib.choose.situation import Situation

FEW = 1_000  # rows: below, `lesson4` says "watch for overfitting"
MANY = 10_000  # rows: from here on one pass shows the model as much as three passes of FEW
VERY_FEW = 300  # rows: a small rank, as `module9` advises for very small data
# Tokens of the longest row, by task. Ours: long enough for most data of the kind; the reader's own data decides.
MAX_LEN = {"instruction": 1024, "classification": 512, "code": 2048, "domain_adaptation": 2048}
# Until the reader's own file takes its place: a data set of the course whose answers are labels.
LABELLED = "licences"
# Learning rates of methods for which no guide gives any: PEFT's examples of prompt tuning and IA3, Houlsby et al. 2019.
LR = {"prompt_tuning": 3e-2, "prefix_tuning": 1e-2, "p_tuning": 1e-2, "ia3": 5e-3, "adapters": 3e-4}


def hyperparameters(s: Situation, method: str, objective: str) -> dict:
    """Plan fields that the method, the task and the amount of data decide; sizes that memory decides are not among them."""
    rows = s.n_examples
    fields = {
        "lr": _learning_rate(method, objective, rows),
        "epochs": EPOCHS[1] if rows < FEW else 2 if rows < MANY else EPOCHS[0],
        "warmup_ratio": HYPERPARAMETERS["full"]["warmup"][0],
        "weight_decay": HYPERPARAMETERS["full"]["weight_decay"] if method == "full" else 0.0,
        "schedule": "constant_with_warmup",
        "max_len": MAX_LEN[s.task],
        "optimizer": "paged_adamw_8bit" if method == "qlora" else "adamw_torch_fused",
    }
    if objective == "classification":
        fields["data"] = LABELLED
    if method in ("lora", "qlora"):
        low, high = BY_TASK["code"]["rank"]
        rank = HYPERPARAMETERS["lora"]["rank_sweet_spot"]
        if s.task == "code":
            rank = low if rows < MANY else high
        elif rows < VERY_FEW:
            rank = HYPERPARAMETERS["lora"]["rank"][0]
        fields |= {
            "rank": rank,
            "alpha": float(HYPERPARAMETERS["lora"]["alpha_over_rank"] * rank),
            "dropout": 0.05 if rows < FEW else 0.0,
            "targets": "all-linear",
        }
    return fields


def _learning_rate(method: str, objective: str, rows: int) -> float:
    if method in LR:
        rate = LR[method]
    else:
        low, high = HYPERPARAMETERS["full" if method == "full" else "lora"]["lr"]
        rate = high if rows < FEW else low if rows >= MANY * 10 else (low * high) ** 0.5
    if objective == "dpo":
        rate /= 20  # preferences are learned with far smaller steps; Rafailov et al. 2023 take 1e-6 for whole models
    return float(f"{rate:.1e}")
