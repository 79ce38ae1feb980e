"""What the words of a published table mean in the memory model's terms."""

import re

from course_lib.choose.setup import NF4, NF4_DOUBLE
from course_lib.choose.shapes import ModelShape

GPTQ = 0.5 + (2 + 0.5) / 128  # bytes per weight: 4 bits, a 16-bit scale and a 4-bit zero point per 128
METHODS = {
    "full": "full",
    "lora": "lora",
    "dora": "dora",
    "qlora": "qlora",
    "qdora": "qlora",
    "ia3": "ia3",
    "prompt_tuning": "prompt_tuning",
    "prefix_tuning": "prefix_tuning",
    "p_tuning": "p_tuning",
    "lora+trainable embeddings": "lora",
    "houlsby": "adapters",
    "pfeiffer": "adapters",
    "bottleneck": "adapters",
}
LORA_LIKE = ("lora", "qlora", "dora")
# Matrices as papers and configuration files call them.
MATRICES = {
    "q": ("q_proj",),
    "k": ("k_proj",),
    "v": ("v_proj",),
    "o": ("o_proj",),
    "query": ("q_proj",),
    "key": ("k_proj",),
    "value": ("v_proj",),
    "projection": ("o_proj",),
    "gate": ("gate_proj",),
    "up": ("up_proj",),
    "down": ("down_proj",),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
    "w1": ("gate_proj",),
    "w2": ("up_proj",),
    "w3": ("up_proj",),
    "c_attn": ("q_proj", "k_proj", "v_proj"),
    "query_key_value": ("q_proj", "k_proj", "v_proj"),
    "c_proj": ("o_proj", "down_proj"),
    "self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
}
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# Model classes that computed the loss on 16-bit logits before transformers 4.46 upcast them for all.
NATIVE_LOSS = {"gpt_bigcode", "gpt2", "gptj", "gpt_neo", "gpt_neox", "opt", "bloom"}


class NotRepresented(Exception):
    """Why a row lies outside the memory model."""


def quantised(text: str) -> float | None:
    """Bytes per weight of quantised matrices, None where they are not quantised."""
    name = text.lower()
    if "nf4" in name or "fp4" in name:
        return NF4_DOUBLE if "dq" in name or "double" in name else NF4
    if "gptq" in name or "awq" in name:
        return GPTQ + 0.5 if "8" in name else GPTQ
    if "int8" in name or "8bit" in name or "8-bit" in name:
        return 1.0
    return NF4 if "int4" in name or "4bit" in name or "4-bit" in name else None


def style(framework: str) -> dict:
    """What a training framework does its own way."""
    if "litgpt" in framework or "lit-gpt" in framework:
        old = "bnb 0.41" in framework or "bf60124" in framework
        return {
            "adapter": 2,
            "upcast": False,
            "quantised_head": True,
            "litgpt": True,
            "keeps_quantised_inputs": 2 if old else 4,  # newer versions keep them in fp32 (seen in five runs, not read)
        }
    if "fms-acceleration" in framework:
        return {"fused_norms": "foak" in framework, "upcast": "baseline-peft-bnb" in framework}
    if "unsloth" in framework:
        return {"fused_norms": True, "upcast": False}
    if "torchtune" in framework:
        return {"adapter": 2, "upcast": False, "fsdp2": True}
    if "fsdp_qlora" in framework:
        return {"upcast": False}
    return {}


def method(text: str) -> str:
    """Our name of a method; raises NotRepresented for one that the model has no terms for."""
    name = text.lower()
    if name in METHODS:
        return METHODS[name]
    base = re.split(r"[ (]", name)[0]
    inside = re.findall(r"\((.*?)\)", name)
    if base == "adapter" and inside and inside[0] in METHODS:
        return METHODS[inside[0]]
    if name.startswith("full"):
        return "full"
    if base in ("lora", "qlora") and (
        base != "lora" or not inside or inside[0] in ("rslora", "mica", "pissa", "olora")
    ):
        return base
    raise NotRepresented(f"method {text or 'not stated'} is not in our table")


def sharding(text: str) -> str:
    """none, ddp, zero2, zero3 or fsdp; raises NotRepresented for offloading and for model parallelism."""
    name = text.lower()
    if name in ("", "none", "nan"):
        return "none"
    if "offload" in name:
        raise NotRepresented("weights or states offloaded to the host")
    if name == "ddp" or "no_shard" in name:
        return "ddp"
    if re.search(r"zero[-_ ]?2", name) or "shard_grad_op" in name:
        return "zero2"
    if re.search(r"zero[-_ ]?3", name):
        return "zero3"
    if name.startswith("fsdp"):
        return "fsdp"
    raise NotRepresented(f"{text}: model, pipeline or tensor parallel")


def targets(text: str, shape: ModelShape) -> frozenset[str]:
    """The matrices with LoRA, under llama's names; raises NotRepresented where none is named."""
    name = text.lower()
    if not name:
        raise NotRepresented("LoRA targets not stated")
    found = set(ALL) if "all" in name and "linear" in name else set()
    for word in re.split(r"[+,()\s]+", name):
        found |= {*MATRICES.get(word.removesuffix("_proj"), ()), *MATRICES.get(word, ())}
    found &= set(shape.linear_shapes)
    if not found:
        raise NotRepresented(f"LoRA targets {text}")
    return frozenset(found)


def optimizer(text: str) -> str:
    """The optimizer, as transformers' `optim` names it; AdamW where nothing is said."""
    name = text.lower()
    for known in ("paged_adamw_8bit", "adamw_8bit", "adafactor", "sgd"):
        if known in name:
            return known
    if "paged" in name:
        return "paged_adamw_32bit"
    if "8bit" in name:
        return "adamw_8bit"
    if "hf" in name or "loop" in name:
        return "adamw_loop"  # one weight after the other: no copy of all
    return "adamw_torch_fused" if "fused" in name else "adamw_torch"


def checkpointing(text: str) -> str:
    """none, full or offload; raises NotRepresented where it is not stated."""
    name = text.lower()
    if name in ("true", "full", "yes", "1"):
        return "full"
    if name in ("false", "none", "no", "0"):
        return "none"
    if name in ("offload", "unsloth"):
        return "offload"
    raise NotRepresented(f"checkpointing {text or 'not stated'}")


def attention(name: str) -> str:
    """eager, sdpa or flash_attention_2, by what it keeps."""
    if name.startswith("eager"):
        return "eager"
    if ("flash" in name and "sdpa" not in name) or "xformers" in name or "unsloth" in name:
        return "flash_attention_2"
    return "sdpa"


def loss(name: str, shape: ModelShape, date: str, framework: str) -> str:
    """A key of LOSS in peak.py; raises NotRepresented where the loss path is not stated."""
    if shape.kind == "encoder":
        return "none"
    if "liger" in name or "cut" in name or "fused linear" in name:
        return "fused_linear"
    if "chunk" in name or "unsloth" in name:
        return "chunked"
    if "fused" in name:
        # transformers upcasts the logits for every model class since 4.46; gpt_bigcode's own loss came on top of autocast's copy
        if shape.model_type in NATIVE_LOSS:
            return "fused_native"
        return "fused_upcast" if date >= "2025" else "fused"
    if "f.cross_entropy" in name and "torchtune" in framework:
        return "full"  # its models give fp32 logits
    if "f.cross_entropy" in name or ("eager" in name and shape.model_type in NATIVE_LOSS):
        return "native"
    if "eager" in name or "fp32 logits" in name:
        return "full"
    raise NotRepresented("loss path not stated")
