"""The memory of a training step, weighed rather than estimated: with real tensors, or with fake ones and no model at all.

`simulate` runs a training step of the plan on tensors that have shapes and dtypes but no numbers: the model class of
transformers, the method of PEFT, the loss, autocast, checkpointing and optimizer are those of `train`. `measure` runs the
same step with the model itself. Both read the same ledger. What happens inside one kernel is seen by neither.
"""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from accelerate.utils.operations import convert_outputs_to_fp32
from bitsandbytes.functional import QuantState, dequantize_4bit
from bitsandbytes.nn import Params4bit
from bitsandbytes.optim import GlobalOptimManager
from peft.tuners.lora import dora
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    Trainer,
    TrainingArguments,
    masking_utils,
)
from transformers.integrations import replace_with_bnb_linear
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.utils import logging as hf_logging

from course_lib.choose.memory_estimate import PARTS, MemoryEstimate
from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.assets import known_config, model_folder
from course_lib.run.ledger import FakeLedger, Ledger
from course_lib.run.methods import METHODS, check_method, compute_dtype, prepare
from course_lib.run.step import target_loss
from course_lib.run.targets import check_lora

hf_logging.disable_progress_bar()
fake_log = logging.getLogger("torch._subclasses.fake_tensor")  # repeats what it raises

CUDA_BLOCK = 512  # bytes; torch's allocator on a GPU rounds each tensor up to this
NF4_BLOCK, SCALE_BLOCK = 64, 256  # weights to a scale, scales to a scale of scales
PAGED_FROM = 100_000  # elements; bitsandbytes keeps smaller optimizer states on the GPU


def simulate(plan: Plan, shape=None, device: str = "cuda") -> MemoryEstimate:
    """Peak memory of `plan` on one device ("cuda" or "cpu"), weighed on fake tensors: no GPU, no weights, no download.

    shape: a ModelShape to use instead of the plan's model.

    Raises:
        CourseError: an unknown model, a sharded plan, a method or an optimizer that cannot run on fake tensors.
    """
    _check(plan)
    dtype = torch.bfloat16 if device == "cuda" and plan.precision == "auto" else compute_dtype(plan.precision)
    ledger = FakeLedger(round_to=CUDA_BLOCK if device == "cuda" else 1)
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    untraced = patch.multiple(masking_utils, is_tracing=lambda *_: False, find_packed_sequence_indices=lambda *_: None)
    unpacked = patch.object(dora, "dequantize_module_weight", _unpacked)
    config = _config(plan, shape)
    try:
        with patch.object(fake_log, "disabled", True), unpacked:
            model = _fake_weights(_skeleton(plan, config, dtype), fake)
            with untraced, fake:
                _weigh_step(model, plan, dtype, device, ledger)
    except (RuntimeError, ValueError) as error:
        raise CourseError(_unfit(plan, error)) from None
    return _result(model, plan, device, ledger)


def measure(plan: Plan, folder: str | Path | None = None) -> MemoryEstimate:
    """What `simulate` weighs, weighed on the real model of `folder` (default: the plan's own), on the GPU if there is one."""
    _check(plan)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ledger = Ledger(device, round_to=CUDA_BLOCK if device == "cuda" else 1)
    model = prepare(folder or model_folder(plan.model, plan.revision), plan)
    _weigh_step(model, plan, compute_dtype(plan.precision), device, ledger)
    return _result(model, plan, device, ledger)


def _check(plan: Plan) -> None:
    if plan.objective != "sft":
        raise CourseError(
            f"`simulate` cannot run objective {plan.objective}: it runs every method with sft; use `estimate` for this plan."
        )
    check_method(plan)
    if plan.sharding in ("zero2", "fsdp"):
        raise CourseError("simulate covers one GPU or plain data parallel: use estimate for sharded plans.")


def _unfit(plan: Plan, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if "scaled_dot_product_attention" in reason:
        return f"transformers has no sdpa attention for {plan.model}: set attention to eager."
    return (
        f"{plan.model} with {plan.method} and {plan.optimizer} cannot be weighed on fake tensors "
        f"({reason.rstrip('.')[:150]}): use estimate for this plan."
    )


def _config(plan: Plan, shape):
    if shape is None and (folder := known_config(plan.model)):
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    from course_lib.choose.shapes import ModelShape
    from course_lib.run.hf_config import hf_config

    return hf_config(shape or ModelShape.of(plan.model))


def _skeleton(plan: Plan, config, dtype: torch.dtype) -> nn.Module:
    """`methods.prepare` on the meta device: the plan's model with its trained weights in place, and no memory behind it."""
    attention = "sdpa" if plan.attention == "flash_attention_2" else plan.attention
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32 if plan.method == "full" else dtype, attn_implementation=attention
        )
        if plan.method in ("lora", "qlora"):
            check_lora(model, plan)
        if plan.base_bits == 4:
            four_bits = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
            )
            replace_with_bnb_linear(model, get_keys_to_not_convert(model), four_bits)
            model.is_loaded_in_4bit = True
        model = METHODS[plan.method].build(model, plan)
    if plan.gradient_checkpointing and plan.method != "full":
        model.enable_input_require_grads()
    return model


def _fake_weights(model: nn.Module, fake: FakeTensorMode) -> nn.Module:
    """Put a fake tensor in place of each meta one; tied weights stay tied."""
    made: dict[torch.Tensor, torch.Tensor] = {}

    def faked(tensor: torch.Tensor, module: nn.Module) -> torch.Tensor:
        if isinstance(tensor, Params4bit):
            return _packed(tensor, module)
        empty = torch.empty(tensor.shape, dtype=tensor.dtype)
        return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty

    with fake:
        for module in model.modules():
            for tensors in (module._parameters, module._buffers):
                for name, tensor in tensors.items():
                    if tensor is not None:
                        tensors[name] = made[tensor] = made[tensor] if tensor in made else faked(tensor, module)
    return model


def _packed(weight: Params4bit, module: nn.Module) -> nn.Parameter:
    """A layer's 4-bit weight as bitsandbytes stores it: two in a byte, scales in a byte each, scales of scales in fp32.

    Params4bit itself cannot hold a fake tensor; its layer only asks for the weight and the `quant_state`.
    """
    n_scales = -(-weight.numel() // NF4_BLOCK)
    scales_of_scales = QuantState(
        torch.empty(-(-n_scales // SCALE_BLOCK)), code=torch.empty(256), blocksize=SCALE_BLOCK, dtype=torch.float32
    )
    module.quant_state = QuantState(
        torch.empty(n_scales, dtype=torch.uint8),
        shape=weight.shape,
        code=torch.empty(16),
        blocksize=NF4_BLOCK,
        quant_type="nf4",
        dtype=module.compute_dtype,
        offset=torch.empty(()),
        state2=scales_of_scales,
    )
    packed = nn.Parameter(torch.empty((weight.numel() + 1) // 2, 1, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = module.quant_state
    return packed


def _unpacked(module: nn.Module) -> torch.Tensor:
    """What DoRA asks of PEFT, which knows 4-bit weights by a class that holds no fake tensors."""
    state = getattr(module, "quant_state", None)
    return dequantize_4bit(module.weight, state) if state else module.weight


def _weigh_step(model: nn.Module, plan: Plan, dtype: torch.dtype, device: str, ledger: Ledger) -> None:
    """One step as Trainer runs it, from then on when the optimizer has its states: an update by zeros goes before it.

    With accumulation, two micro-batches: the second finds the first one's gradients there, as all later ones do.
    """
    ledger.vocab = model.config.get_text_config().vocab_size
    autocast = partial(torch.autocast, ledger.device, dtype=dtype, enabled=dtype is not torch.float32)
    if plan.gradient_checkpointing:
        model.activation_checkpointing_enable()
    if dtype is not torch.float32:
        model.forward = convert_outputs_to_fp32(autocast()(model.forward))
    model.train()
    _write_down(model, plan, ledger)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.register_post_accumulate_grad_hook(lambda parameter: ledger.add(parameter.grad, "gradients"))
    optimizer = _optimizer(model, plan, device)
    ids = torch.randint(0, ledger.vocab, (plan.micro_batch, plan.max_len), device=ledger.device)
    batch = {"prefix_ids": ids[:1, :0], "input_ids": ids, "labels": ids.clone()}
    with ledger:
        ledger.phase, ledger.category = "optimizer step", "optimizer"
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        _update(optimizer, plan, device, ledger)
        ledger.forget_peak()
        for _ in range(min(plan.grad_accum, 2)):
            ledger.phase, ledger.category = "forward pass", "activations"
            loss = _loss(model, plan, batch, autocast)
            ledger.phase = "backward pass"
            loss.backward()
            del loss
        ledger.phase, ledger.category = "optimizer step", "optimizer"
        torch.nn.utils.clip_grad_norm_(trained, 1.0, foreach=True if device == "cuda" else None)
        _update(optimizer, plan, device, ledger)
    vars(model).pop("forward", None)  # it refers to its own model, which would outlive its use


def _update(optimizer: torch.optim.Optimizer, plan: Plan, device: str, ledger: Ledger) -> None:
    optimizer.step()
    if plan.optimizer.startswith("paged") and device == "cuda":
        _page_out(optimizer, ledger)
    optimizer.zero_grad()


def _write_down(model: nn.Module, plan: Plan, ledger: Ledger) -> None:
    """Enter what is there before the first step."""
    for parameter in model.parameters():
        added = parameter.requires_grad and plan.method != "full"
        ledger.add(parameter, "adapter" if added else "weights")
    for buffer in model.buffers():
        ledger.add(buffer, "weights")
    for module in model.modules():
        if state := getattr(module, "quant_state", None):
            for tensor in (state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code):
                ledger.add(tensor, "weights")


def _loss(model: nn.Module, plan: Plan, batch: dict[str, torch.Tensor], autocast) -> torch.Tensor:
    n_targets = batch["labels"][:, 1:].numel()
    if plan.loss == "fused_linear":
        return _fused_loss(model, batch, autocast) / n_targets
    return target_loss(model, batch, n_targets, everywhere=plan.loss == "full")


def _fused_loss(model: nn.Module, batch: dict[str, torch.Tensor], autocast) -> torch.Tensor:
    """Summed cross-entropy whose logits are made, used and thrown away in chunks of Liger's size."""
    head, caught = model.get_output_embeddings(), []

    def catch(_, args):
        caught.append(args[0])
        return (args[0][:, :0],)

    hook = head.register_forward_pre_hook(catch)
    model(input_ids=batch["input_ids"], use_cache=False)
    hook.remove()
    targets = batch["labels"][:, 1:].flatten()
    hidden = caught.pop()[:, -batch["labels"].shape[1] : -1].flatten(0, 1)
    vocab, width = head.weight.shape
    rows = 2 ** (-(-len(hidden) // -(-vocab // width)) - 1).bit_length()

    def part(states, labels):
        with autocast():
            return F.cross_entropy(head(states).float(), labels, reduction="sum")

    chunks = zip(hidden.split(rows), targets.split(rows), strict=True)
    return sum(checkpoint(part, states, labels, use_reentrant=False) for states, labels in chunks)


def _optimizer(model: nn.Module, plan: Plan, device: str) -> torch.optim.Optimizer:
    """The optimizer that Trainer makes of `plan.optimizer`, as it behaves on `device`."""
    args = TrainingArguments(
        output_dir="unused", optim=plan.optimizer, use_cpu=not torch.cuda.is_available(), report_to="none"
    )
    kind, options = Trainer.get_optimizer_cls_and_kwargs(args)
    if device == "cuda" and kind in (torch.optim.AdamW, torch.optim.SGD) and not options.get("fused"):
        options["foreach"] = True
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with unset_fake_temporarily():  # bitsandbytes works out its map of 8-bit values with real numbers
        optimizer = kind(trained, weight_decay=plan.weight_decay, **options)
    if "8bit" in plan.optimizer:
        optimizer.mng = _embeddings_in_fp32(model)
        optimizer._cpu_paged_warned = True  # fake tensors are on the CPU, the plan may not be
    return optimizer


def _embeddings_in_fp32(model: nn.Module) -> GlobalOptimManager:
    """As Trainer asks bitsandbytes: no 8-bit states for embeddings. The manager is ours, not the process's only one."""
    manager = GlobalOptimManager.__new__(GlobalOptimManager)
    manager.initialize()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            manager.register_module_override(module, "weight", {"optim_bits": 32})
    return manager


def _page_out(optimizer: torch.optim.Optimizer, ledger: Ledger) -> None:
    """Paged states live in the computer's memory, the small ones excepted."""
    for state in optimizer.state.values():
        for name in ("state1", "state2"):
            if state[name].numel() >= PAGED_FROM:
                ledger.forget(state[name])


def _result(model: nn.Module, plan: Plan, device: str, ledger: Ledger) -> MemoryEstimate:
    from course_lib.choose.memory import around
    from course_lib.choose.peak import WORKSPACE, Peak

    parts = {name: float(ledger.at_peak.get(name, 0)) for name in PARTS}
    if plan.n_gpus > 1:
        parts["gradients"] += sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    if device == "cuda":
        parts["activations"] += WORKSPACE
    logits = 0 if plan.loss == "fused_linear" else plan.micro_batch * plan.max_len * ledger.vocab
    peak = Peak(_moment(ledger), parts, passing=0, logit_count=logits, sharded=False)
    result = around(peak, "cpu" if device == "cpu" else "nvidia", assumes=_assumed(plan, device, ledger))
    if device == "cpu":  # counted to the byte; what a process holds beyond that is not
        result = replace(result, intervals=result.intervals | {"allocated": (result.allocated_gib,) * 2})
    return result


def _moment(ledger: Ledger) -> str:
    return max(ledger.phases, key=ledger.phases.get)


def _assumed(plan: Plan, device: str, ledger: Ledger) -> tuple[str, ...]:
    words = [
        f"the peak is in the {_moment(ledger)}",
        f"every row has {plan.max_len} tokens and every one of them is a target: an upper bound",
    ]
    if plan.loss == "fused_linear":
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
            words.append("precision auto is bf16 on a GPU")
        if plan.optimizer.startswith("paged"):
            words.append("paged optimizer states are in the computer's memory, not on the GPU")
    return tuple(words)
