"""One training step of a plan under a ledger, as Trainer runs it: forward, backward, clipping and update."""

from functools import partial

import torch
from accelerate.utils.operations import convert_outputs_to_fp32
from bitsandbytes.optim import GlobalOptimManager
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import Trainer, TrainingArguments

from course_lib.choose.setup import LABELS
from course_lib.plan import Plan
from course_lib.run.ledger import Ledger
from course_lib.run.objectives import BaseLogits, Batch, loss

PAGED_FROM = 100_000  # elements; bitsandbytes keeps smaller optimizer states on the GPU


def weigh_step(
    model: nn.Module,
    plan: Plan,
    dtype: torch.dtype,
    device: str,
    ledger: Ledger,
    base_logits: BaseLogits | None = None,
) -> None:
    """One step of one stage, from then on when the optimizer has its states: an update by zeros goes before it.

    With accumulation, two micro-batches: the second finds the first one's gradients there, as all later ones do.
    """
    ledger.vocab = model.config.get_text_config().vocab_size
    model.config.use_cache = False
    autocast = partial(torch.autocast, ledger.device, dtype=dtype, enabled=dtype is not torch.float32)
    if plan.gradient_checkpointing:
        model.activation_checkpointing_enable()
    if dtype is not torch.float32:
        model.forward = convert_outputs_to_fp32(autocast()(model.forward))
    model.train()
    write_down(model, plan, ledger)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.register_post_accumulate_grad_hook(lambda parameter: ledger.add(parameter.grad, "gradients"))
    optimizer = _optimizer(model, plan, device)
    batch = _batch(plan, ledger)
    with ledger:
        ledger.phase, ledger.category = "optimizer step", "optimizer"
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        _update(optimizer, plan, device, ledger)
        ledger.forget_peak()
        for _ in range(min(plan.grad_accum, 2)):
            ledger.phase, ledger.category = "forward pass", "activations"
            value = _loss(model, plan, batch, autocast, base_logits)
            ledger.phase = "backward pass"
            value.backward()
            del value
        ledger.phase, ledger.category = "optimizer step", "optimizer"
        torch.nn.utils.clip_grad_norm_(trained, 1.0, foreach=True if device == "cuda" else None)
        _update(optimizer, plan, device, ledger)
    vars(model).pop("forward", None)  # it refers to its own model, which would outlive its use


def write_down(model: nn.Module, plan: Plan, ledger: Ledger) -> None:
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


def fuses(plan: Plan) -> bool:
    """Whether the loss never makes its logits whole. Where log-probabilities of whole answers are compared, it must."""
    return plan.loss == "fused_linear" and plan.objective in ("sft", "cpt") and not plan.kl


def _batch(plan: Plan, ledger: Ledger) -> Batch:
    """Full rows of random tokens, each of them a target; a pair is two rows, a text to classify has one label."""
    rows = plan.micro_batch * (2 if plan.objective == "dpo" else 1)
    ids = torch.randint(0, ledger.vocab, (rows, plan.max_len), device=ledger.device)
    if plan.objective == "classification":
        labels, mask = torch.randint(0, LABELS, (rows,), device=ledger.device), torch.ones_like(ids)
        mask[0, -1] = 0  # one row is shorter, as in nearly every batch: where there is no padding, there is no mask
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}
    batch = {"prefix_ids": ids[:1, :0], "input_ids": ids, "labels": ids.clone()}
    if plan.objective == "dpo":
        batch["reference"] = torch.zeros(2, plan.micro_batch, device=ledger.device)
    return batch


def _loss(model: nn.Module, plan: Plan, batch: Batch, autocast, base_logits: BaseLogits | None) -> torch.Tensor:
    if fuses(plan):
        return _fused_loss(model, batch, autocast)
    return loss(model, batch, plan, len(batch["labels"]), base_logits)


def _fused_loss(model: nn.Module, batch: Batch, autocast) -> torch.Tensor:
    """Cross-entropy whose logits are made, used and thrown away in chunks of Liger's size."""
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
    return sum(checkpoint(part, states, labels, use_reentrant=False) for states, labels in chunks) / len(targets)


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


def _update(optimizer: torch.optim.Optimizer, plan: Plan, device: str, ledger: Ledger) -> None:
    optimizer.step()
    if plan.optimizer.startswith("paged") and device == "cuda":
        _page_out(optimizer, ledger)
    optimizer.zero_grad()


def _page_out(optimizer: torch.optim.Optimizer, ledger: Ledger) -> None:
    """Paged states live in the computer's memory, the small ones excepted."""
    for state in optimizer.state.values():
        for name in ("state1", "state2"):
            if state[name].numel() >= PAGED_FROM:
                ledger.forget(state[name])
