"""Weights, gradients and optimizer states divided over the processes (FSDP2), saved in parts and put together again.

accelerate divides nothing on a CPU: its FSDP falls back to copies without a word. So the model is divided here, in the same
way on a CPU and on GPUs, before Trainer sees it.
"""

from contextlib import contextmanager
from pathlib import Path

import torch
from torch import distributed as dist
from torch import nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.distributed import processes, rank
from course_lib.run.methods import compute_dtype

PARTS = "parts"  # folder in a checkpoint: a file of each process, and .metadata, which says what is where


def shard(model: nn.Module, plan: Plan) -> None:
    """Divide a model over the processes, in place: each block is a group, and what is left over is another.

    A group's weights are whole only while it computes (fsdp), or from its forward to its backward pass (zero2). A model on
    the CPU moves to the GPU block by block, so that no GPU ever holds all of it. Full fine-tuning keeps its parts in fp32, and
    in mixed precision sends and computes with 16 bits.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    dtype = compute_dtype(plan.precision) if plan.method == "full" else None
    options = {"mesh": mesh, "mp_policy": MixedPrecisionPolicy(dtype, torch.float32 if dtype else None)}
    for block in _blocks(model):
        fully_shard(block, reshard_after_forward=plan.sharding == "fsdp", **options)
    fully_shard(model, **options)


def as_parts(model: nn.Module) -> None:
    """Divide again what a forward pass without a backward pass has left whole; a model that is not divided stays as it is."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _blocks(model: nn.Module) -> nn.ModuleList:
    n = model.config.get_text_config().num_hidden_layers
    return next(part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == n)


@contextmanager
def whole(model: nn.Module):
    """Whole tensors in the place of what is trained in parts, so that a model can be saved as if it were not divided.

    All processes take part; the main one alone has the numbers, on the CPU.
    """
    swapped, made = [], {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if isinstance(weight, DTensor) and weight.requires_grad:
                if weight not in made:
                    full = weight.detach().full_tensor()
                    made[weight] = nn.Parameter(full.cpu() if dist.get_rank() == 0 else full.new_empty(0))
                swapped.append((module, name, weight))
    for module, name, weight in swapped:
        module._parameters[name] = made[weight]
    try:
        yield
    finally:
        for module, name, weight in swapped:
            module._parameters[name] = weight


def save_parts(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Each process writes its part of what is trained: weights and optimizer states."""
    state = {"model": _trained(model)}
    if not _own(optimizer):
        state["optimizer"] = get_optimizer_state_dict(model, optimizer)
    dcp.save(state, checkpoint_id=folder / PARTS)
    if _own(optimizer):
        torch.save(optimizer.state_dict(), folder / PARTS / _own_file())


def load_weights(model: nn.Module, folder: Path) -> None:
    """Put back the weights that `save_parts` wrote, in any number of processes, divided or not."""
    dcp.load({"model": _trained(model)}, checkpoint_id=folder / PARTS, no_dist=processes() == 1)


def load_states(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Put back the optimizer states that `save_parts` wrote, in any number of processes, divided or not.

    Raises:
        CourseError: states of 8 bits, written by another number of processes.
    """
    if found := list((folder / PARTS).glob("own-*.pt")):
        if not _own(optimizer) or not (file := folder / PARTS / _own_file()).exists():
            raise CourseError(
                f"The 8-bit optimizer states in {folder.name} were divided over {len(found)} processes and cannot be divided anew: start "
                f"the plan with {len(found)} again, or train it in another folder."
            )
        optimizer.load_state_dict(torch.load(file, weights_only=True))
        return
    states = {"optimizer": get_optimizer_state_dict(model, optimizer)}
    dcp.load(states, checkpoint_id=folder / PARTS, no_dist=processes() == 1)
    set_optimizer_state_dict(model, optimizer, states["optimizer"])


def on_own_parts(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer that knows no divided tensors (those of bitsandbytes) work on this process's parts alone.

    Exact for what treats each weight for itself; blocks of 8-bit states begin anew with each part.
    """
    parts = []
    for group in optimizer.param_groups:
        own = [nn.Parameter(weight.detach().to_local()) for weight in group["params"]]
        parts += zip(own, group["params"], strict=True)
        group["params"] = own

    def hand_over(*_):
        for own, weight in parts:
            if weight.grad is not None and own.numel():
                own.grad = weight.grad.to_local()

    def take_back(*_):
        for own, _ in parts:
            own.grad = None

    optimizer.register_step_pre_hook(hand_over)
    optimizer.register_step_post_hook(take_back)


def _own(optimizer: torch.optim.Optimizer) -> bool:
    """Whether `on_own_parts` was here."""
    return not any(isinstance(weight, DTensor) for group in optimizer.param_groups for weight in group["params"])


def _own_file() -> str:
    return f"own-{rank()}-of-{processes()}.pt"


def divide_states(optimizer: torch.optim.Optimizer) -> None:
    """Divide the states that were loaded whole as the weights that they belong to are."""
    for weight, states in optimizer.state.items():
        for name, state in states.items():
            if isinstance(weight, DTensor) and torch.is_tensor(state) and state.shape == weight.shape:
                states[name] = distribute_tensor(state, weight.device_mesh, weight.placements)


def _trained(model: nn.Module) -> dict[str, torch.Tensor]:
    """What is trained by name; loading writes into these tensors."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
