"""The plan: everything that decides a training run, in one small YAML file."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from course_lib import exports
from course_lib.errors import CourseError
from course_lib.sentences import first_fault

Positive = Annotated[int, Field(ge=1)]


class Plan(BaseModel):
    """One training run. Frozen; `plan.but(rank=8)` gives a changed copy.

    Defaults are the `practices` guide's for LoRA (rank 16, alpha 2 x rank) but for the learning rate, ten times its 3e-4:
    a run of lesson 104 has thirty steps, and in so few a smaller one learned less (2e-3: 0.87 of fields right, 3e-3: 0.92).

    Raises:
        CourseError: an unknown field, a value out of range, or fields that contradict each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field("smollm2-135m", description="embedded model, local folder, or model hub id (org/name)")
    revision: str | None = Field(None, description="commit of a hub model; None = the newest, written into the run")
    method: Literal["full", "lora", "qlora", "adapters", "prompt_tuning", "prefix_tuning", "p_tuning", "ia3"] = Field(
        "lora", description="which weights are trained"
    )
    objective: Literal["sft", "dpo", "cpt", "sft+dpo", "cpt+sft", "classification"] = Field(
        "sft", description="what the loss rewards; a+b = first a, then b"
    )
    data: str = Field("mails", description="built-in data set, or a JSONL, CSV or Parquet file of chats")
    pairs: str = Field("mail-pairs", description="dpo: built-in data set, or a file of preference pairs")
    texts: str = Field("licence-texts", description="cpt: built-in data set, or a file of plain texts")
    n_train: Positive | None = Field(None, description="training rows of each of these; None = all that is offered")

    rank: Positive = Field(16, description="LoRA: columns of A and B")
    alpha: Annotated[float, Field(gt=0)] = Field(32, description="LoRA: the update is scaled by alpha / rank")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="LoRA: dropout before A")
    targets: str | tuple[str, ...] = Field("all-linear", description="LoRA: module names, or all-linear")
    first_layer: Annotated[int, Field(ge=0)] = Field(
        0, description="LoRA: blocks below this one get none, and need no backward pass"
    )
    variant: Literal["plain", "dora", "rslora", "pissa"] = Field(
        "plain",
        description="LoRA: dora trains lengths too, rslora scales by alpha / sqrt(rank), pissa starts elsewhere",
    )
    virtual_tokens: Positive = Field(20, description="prompt, prefix and P-tuning: learned positions before the text")
    bottleneck: Positive = Field(64, description="adapters: width of the bottleneck")
    placement: Literal["houlsby", "pfeiffer"] = Field(
        "houlsby", description="adapters: after attention and MLP of each block, or after the MLP only"
    )
    base_bits: Literal[4, 16] = Field(16, description="4 = frozen base held as NF4 (QLoRA); 16 = not quantised")

    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto = bf16 where the hardware computes in it, else fp16 on a GPU and fp32 on a CPU"
    )
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"] = (
        Field("adamw_torch", description="name as in transformers' `optim`")
    )
    lr: Annotated[float, Field(gt=0)] = Field(3e-3, description="peak learning rate")
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = Field(0.05, description="share of the steps spent warming up")
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="each block learns at this times the rate of the block above it"
    )
    beta: Annotated[float, Field(gt=0)] = Field(0.1, description="dpo: how strongly it holds to where it started")
    dpo_lr: Annotated[float, Field(gt=0)] | None = Field(
        None, description="sft+dpo: peak learning rate of its second part; None = lr / 20"
    )
    general: str = Field("python-docs", description="plain texts that replay and early_stop take: what to keep")
    replay: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share of the training rows that are general")
    kl: Annotated[float, Field(ge=0)] = Field(
        0.0, description="weight of the KL divergence from the base model, in nats at each trained token"
    )
    early_stop: Annotated[float, Field(gt=0)] | None = Field(
        None, description="stop a stage before the loss on general texts has risen by this much in it, nats per token"
    )
    epochs: Positive = 1
    micro_batch: Positive = Field(4, description="rows per forward pass")
    grad_accum: Positive = Field(1, description="forward passes per optimizer step")
    max_len: Positive = Field(512, description="longest row, tokens; a longer one is refused, never cut")
    packing: Literal[False] = Field(False, description="several rows in one sequence: not offered yet")
    gradient_checkpointing: bool = Field(False, description="recompute activations in the backward pass")
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    loss: Literal["targets", "full", "fused_linear"] = Field(
        "targets", description="logits only where there is a target, everywhere, or never whole (Liger kernel, GPU)"
    )
    n_gpus: Positive = 1
    sharding: Literal["none", "ddp", "zero2", "fsdp"] = "none"
    save_steps: Positive = Field(10, description="optimizer steps between checkpoints")
    seed: Annotated[int, Field(ge=0)] = 0

    def __init__(self, **fields):
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise CourseError(first_fault(error, Plan, "plan")) from None

    @model_validator(mode="before")
    @classmethod
    def _qlora_means_four_bits(cls, fields):
        if isinstance(fields, dict) and fields.get("method") == "qlora":
            fields = {"base_bits": 4, **fields}
        return fields

    @model_validator(mode="after")
    def _consistent(self):
        if self.method == "qlora" and self.base_bits != 4:
            raise ValueError("QLoRA is LoRA on a 4-bit base: set base_bits to 4, or method to lora for a 16-bit base")
        if self.method != "qlora" and self.base_bits == 4:
            raise ValueError(
                f"a 4-bit base cannot be trained with method {self.method}: set method to qlora, or base_bits to 16"
            )
        if self.method == "qlora" and self.variant == "pissa":
            raise ValueError(
                "PiSSA takes the matrices of the base apart, which 4 bits cannot hold: set variant to plain, dora or rslora, "
                "or method to lora"
            )
        if self.objective in ("dpo", "classification"):
            for field in ("replay", "kl", *(["early_stop"] if self.objective == "classification" else [])):
                if getattr(self, field):
                    raise ValueError(
                        f"{field} goes with text that is learned by heart, and {self.objective} has none: leave it out"
                    )
        if self.kl and self.method == "lora" and self.variant == "pissa":
            raise ValueError("PiSSA changes the base model that kl compares with: set variant to plain, or kl to 0")
        if self.layer_decay < 1 and self.method in ("prompt_tuning", "p_tuning", "prefix_tuning"):
            raise ValueError(f"layer_decay needs weights in the blocks, and {self.method} has none: set it to 1")
        if self.n_gpus == 1 and self.sharding != "none":
            raise ValueError(f"sharding {self.sharding} needs n_gpus of 2 or more: set sharding to none for one device")
        return self

    @property
    def id(self) -> str:
        """Eight hex digits of a hash over all fields: the same plan has the same id."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]

    def but(self, **fields) -> "Plan":
        """A copy with some fields changed, checked like a new plan."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        if "method" in fields:
            kept.pop("base_bits", None)
        return Plan(**{**kept, **fields})

    def to_text(self) -> str:
        """Every field as YAML, defaults included, so that the file says all that was decided."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def to_yaml(self, path: str | Path) -> Path:
        """Write `to_text` to a file."""
        path = Path(path)
        path.write_text(self.to_text(), encoding="utf-8")
        return path

    def to_script(self) -> str:
        """A runnable TRL + PEFT script that needs nothing of ours; see `exports`."""
        return exports.to_script(self)

    def to_trl_yaml(self) -> str:
        """What `trl sft --config` reads (`trl dpo` for objective dpo)."""
        return exports.to_trl_yaml(self)

    def to_llamafactory(self) -> str:
        """What `llamafactory-cli train` reads."""
        return exports.to_llamafactory(self)

    def to_axolotl(self) -> str:
        """What `axolotl train` reads."""
        return exports.to_axolotl(self)

    def to_unsloth(self) -> str:
        """A script for Unsloth, which was never run; see `exports`."""
        return exports.to_unsloth(self)

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Plan":
        """Read a plan; fields left out take their defaults.

        Raises:
            CourseError: no such file, not YAML, or not a valid plan.
        """
        path = Path(path)
        try:
            fields = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CourseError(f"There is no plan file {path}: write one with plan.to_yaml({str(path)!r}).") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CourseError(
                f"{path} is not YAML ({str(error).splitlines()[0]}): mend it, or write it anew with plan.to_yaml."
            ) from None
        if not isinstance(fields, dict):
            raise CourseError(f"{path} holds no plan: it should have lines such as `method: lora`.")
        return cls(**fields)
