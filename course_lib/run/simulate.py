"""The memory of a training step, weighed rather than estimated: with real tensors, or with fake ones and no model at all.

`simulate` runs a training step of the plan on tensors that have shapes and dtypes but no numbers: the model class of
transformers, the method of PEFT, the loss, autocast, checkpointing and optimizer are those of `train`. `measure` runs the
same step with the model itself. Both read the same ledger. What happens inside one kernel is seen by neither.
"""

import logging
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PretrainedConfig, masking_utils
from transformers.utils import logging as hf_logging

from course_lib.choose.gpus import gpu as gpu_of
from course_lib.choose.memory import around
from course_lib.choose.memory_estimate import PARTS, MemoryEstimate
from course_lib.choose.peak import WORKSPACE, Peak
from course_lib.choose.setup import LABELS, precision_of
from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run import general
from course_lib.run.assets import model_folder
from course_lib.run.ledger import FakeLedger, Ledger
from course_lib.run.methods import check_method, compute_dtype, load_base, prepare
from course_lib.run.objectives import stage_plans
from course_lib.run.skeleton import config_of, dora_unpacks, fake_weights, skeleton
from course_lib.run.weigh import fuses, weigh_step, write_down

hf_logging.disable_progress_bar()
fake_log = logging.getLogger("torch._subclasses.fake_tensor")  # repeats what it raises

CUDA_BLOCK = 512  # bytes; torch's allocator on a GPU rounds each tensor up to this


def simulate(plan: Plan, shape=None, device: str = "cuda") -> MemoryEstimate:
    """Peak memory of `plan` on one device, weighed on fake tensors: no GPU, no weights, no download.

    shape: a ModelShape to use instead of the plan's model. device: "cuda", "cpu", or a name of gpus.toml, which decides what
    precision `auto` is. Of a plan of two stages, the larger one.

    Raises:
        CourseError: an unknown model or device, a sharded plan, a method or an optimizer that cannot run on fake tensors.
    """
    _check(plan)
    card = None if device in ("cuda", "cpu") else gpu_of(device)
    if card:
        device = "cpu" if card.kind == "cpu" else "cuda"
    precision = precision_of(plan, device, card is None or card.has_bf16) if device == "cuda" else plan.precision
    return max((_simulated(stage, shape, device, precision) for stage in stage_plans(plan)), key=_size)


def measure(plan: Plan, folder: str | Path | None = None) -> MemoryEstimate:
    """What `simulate` weighs, weighed on the real model of `folder` (default: the plan's own), on the GPU if there is one."""
    _check(plan)
    folder = folder or model_folder(plan.model, plan.revision)
    return max((_measured(stage, folder) for stage in stage_plans(plan)), key=_size)


def _size(estimate: MemoryEstimate) -> float:
    return estimate.allocated_gib


def _simulated(plan: Plan, shape, device: str, precision: str) -> MemoryEstimate:
    dtype = compute_dtype(precision)
    ledger = FakeLedger(round_to=CUDA_BLOCK if device == "cuda" else 1)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    untraced = patch.multiple(masking_utils, is_tracing=lambda *_: False, find_packed_sequence_indices=lambda *_: None)
    config = config_of(plan, shape)
    if device == "cuda" and plan.attention != "eager":
        _never_drop_scores(config)
    try:
        with patch.object(fake_log, "disabled", True), dora_unpacks():
            model = fake_weights(skeleton(plan, config, dtype), fake)
            untrained = fake_weights(skeleton(plan, config, dtype), fake) if _copies(plan) else None
            with untraced, fake:
                _weigh(model, untrained, plan, dtype, device, ledger)
    except (RuntimeError, ValueError) as error:
        raise CourseError(_unfit(plan, error)) from None
    return _result(model, plan, device, ledger)


def _never_drop_scores(config: PretrainedConfig) -> None:
    """A GPU's kernels drop out attention scores without writing them down; a CPU's, on which fake tensors are, write them."""
    for name in ("attention_probs_dropout_prob", "attention_dropout"):
        if getattr(config, name, 0):
            setattr(config, name, 0.0)


def _measured(plan: Plan, folder: str | Path) -> MemoryEstimate:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ledger = Ledger(device, round_to=CUDA_BLOCK if device == "cuda" else 1)
    labels = [str(label) for label in range(LABELS)] if plan.objective == "classification" else []
    model = prepare(folder, plan, labels)
    untrained = load_base(folder, plan) if _copies(plan) else None
    _weigh(model, untrained, plan, compute_dtype(plan.precision), device, ledger)
    return _result(model, plan, device, ledger)


def _copies(plan: Plan) -> bool:
    """Whether a frozen copy of the model stands beside the trained one."""
    return plan.kl > 0 and plan.method == "full"


def _weigh(
    model: nn.Module, untrained: nn.Module | None, plan: Plan, dtype: torch.dtype, device: str, ledger: Ledger
) -> None:
    base_logits = None
    if plan.kl:
        with patch.object(general, "load_base", lambda *_, **__: untrained):
            base_logits = general.base_logits(model, plan, Path())
    if untrained:
        write_down(untrained, plan, ledger)
    weigh_step(model, plan, dtype, device, ledger, base_logits)


def _check(plan: Plan) -> None:
    check_method(plan)
    if plan.sharding in ("zero2", "fsdp"):
        raise CourseError("simulate covers one GPU or plain data parallel: use estimate for sharded plans.")


def _unfit(plan: Plan, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f"{plan.model} with {plan.method} and {plan.optimizer} cannot be weighed on fake tensors "
        f"({reason.rstrip('.')[:150]}): use estimate for this plan."
    )


def _result(model: nn.Module, plan: Plan, device: str, ledger: Ledger) -> MemoryEstimate:
    parts = {name: float(ledger.at_peak.get(name, 0)) for name in PARTS}
    if plan.n_gpus > 1:
        parts["gradients"] += sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    if device == "cuda":
        parts["activations"] += WORKSPACE
    peak = Peak(_moment(ledger), parts, passing=0, logit_count=_logits(plan, ledger), sharded=False)
    result = around(peak, "cpu" if device == "cpu" else "nvidia", assumes=_assumed(plan, device, ledger))
    if device == "cpu":  # counted to the byte; what a process holds beyond that is not
        result = replace(result, intervals=result.intervals | {"allocated": (result.allocated_gib,) * 2})
    return result


def _logits(plan: Plan, ledger: Ledger) -> float:
    """Logits that exist at once; the allocator keeps holes in their place."""
    if plan.objective == "classification" or fuses(plan):
        return 0
    return plan.micro_batch * (2 if plan.objective == "dpo" else 1) * plan.max_len * ledger.vocab


def _moment(ledger: Ledger) -> str:
    return max(ledger.phases, key=ledger.phases.get)


def _assumed(plan: Plan, device: str, ledger: Ledger) -> tuple[str, ...]:
    every = "" if plan.objective == "classification" else " and every one of them is a target"
    words = [
        f"the peak is in the {_moment(ledger)}",
        f"every row has {plan.max_len} tokens{every}: an upper bound",
    ]
    if fuses(plan):
        words.append("the fused loss is imitated: logits in chunks of Liger's size, made anew in the backward pass")
    if plan.attention == "flash_attention_2":
        words.append("flash_attention_2 is weighed as sdpa, which keeps as much")
    if plan.n_gpus > 1:
        words.append("data parallel: one more copy of the gradients, in the buckets that the GPUs exchange")
    if device == "cpu" and plan.optimizer.startswith("paged"):
        words.append("a paged optimizer has nowhere to page to on a CPU")
    if device == "cuda":
        words.append("0.05 GiB for what kernels allocate inside themselves, which no ledger sees")
        if plan.precision == "auto":
            words.append("precision auto is bf16 on a GPU, fp16 on one without bf16")
        if plan.optimizer.startswith("paged"):
            words.append("paged optimizer states are in the computer's memory, not on the GPU")
    return tuple(words)
