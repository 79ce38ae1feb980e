"""Sizes of models: what a memory or cost estimate needs to know of one. Pure arithmetic, no torch."""

import difflib
import math
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib import resources

from course_lib.errors import CourseError

# What hub names add to a model's own name: tuning, packaging, quantisation, and the makers that some leave out.
_DECORATION = r"instruct|chat|it|pt|hf|base|meta|unsloth|bnb|[48]bit|int[48]|fp16|bf16|nf4|gptq|awq|gguf|mlx"
_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_FUSED = {"qkv": ("q_proj", "k_proj", "v_proj"), "gate_up": ("gate_proj", "up_proj")}
# Other families' names for the same projections.
_SYNONYMS = {
    **dict.fromkeys(("c_attn", "query_key_value", "qkv_proj", "Wqkv", "W_pack"), _FUSED["qkv"]),
    **{alias: (f"{alias[0]}_proj",) for alias in ("query", "query_proj", "key", "key_proj", "value", "value_proj")},
    **dict.fromkeys(("fc1", "fc_in", "c_fc", "dense_h_to_4h"), ("up_proj",)),
    **dict.fromkeys(("fc2", "fc_out", "dense_4h_to_h"), ("down_proj",)),
    **{"out_proj": ("o_proj",), "c_proj": ("o_proj", "down_proj"), "gate_up_proj": _FUSED["gate_up"]},
}
# Layers and width between which `generic` goes: from 0.5 billion on as Qwen 2.5 (two), then Llama 3 (3B, 8B) and larger ones.
_LAYERS = (16, 24, 24, 28, 28, 32, 40, 80, 126, 160)
_WIDTHS = (256, 576, 896, 1536, 3072, 4096, 5120, 8192, 16384, 32768)


@dataclass(frozen=True)
class ModelShape:
    """The sizes of one model. Counts, unless a unit is given; `params` counts tied weights once."""

    name: str
    params: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int  # inner width of the MLP; of one expert in a mixture of experts
    vocab: int
    mlp: int = 3  # matrices in the MLP: 3 = gated, 2 = plain
    tied: bool = False  # output head and token embeddings are one matrix
    kind: str = "causal"  # causal | encoder
    experts: int = 0
    active_experts: int = 0  # experts that one token goes through
    embed: int = 0  # width of the token embeddings where it is not `hidden`
    fused: tuple[str, ...] = ()  # held as one tensor: qkv, gate_up; experts = all of a block, out of PEFT's sight
    context: int = 0  # tokens
    licence: str = ""
    gated: bool = False  # the model hub asks for acceptance of the licence first
    year: int = 0
    model_type: str = ""  # transformers' name of the class; empty = it has none
    config: dict = field(default_factory=dict, hash=False, compare=False)  # what that class needs beyond the sizes
    suggest: bool = False  # a selector may recommend it
    chat: str = ""  # hub id of its version with a chat template, where `name` has none
    family: str = ""
    source: str = ""
    note: str = ""
    aliases: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str) -> "ModelShape":
        """The model of that hub id, alias or short name; `-Instruct`, `-bnb-4bit` and the like do not matter.

        Raises:
            CourseError: no such model in the catalogue, or more than one.
        """
        for key, index in zip((name.strip().lower(), _key(name), _key(name, version=False)), _indexes(), strict=True):
            found = {shape.name: shape for shape in index.get(key, ())}
            if len(found) == 1:
                return next(iter(found.values()))
            if found:
                raise CourseError(f"{name} may be {', '.join(found)}: write which one.")
        spelled = {alias.lower(): shape.name for shape in catalogue() for alias in (shape.name, *shape.aliases)}
        tails = {full.rsplit("/", 1)[-1]: full for full in reversed(spelled)}
        wanted = name.lower().rsplit("/", 1)[-1]
        close = difflib.get_close_matches(wanted, tails, n=12, cutoff=0.0)
        near = list(dict.fromkeys(spelled[tails[tail]] for tail in close))[:3]
        raise CourseError(
            f"The sizes of {name} are not in the catalogue: the nearest names are {', '.join(near)}; "
            "for any other model take ModelShape.generic(billions)."
        )

    @classmethod
    @lru_cache(maxsize=1024)
    def generic(cls, params_b: float) -> "ModelShape":
        """A made-up Llama-like model of about that many billions of parameters (count within 8 %).

        Layers and width rise together along a ladder of real ones (24 x 896 for 0.5 billion, 32 x 4096 for 8, 80 x 8192
        for 70), and the step with the nearest count is taken. As every size rises along the ladder, a larger
        `params_b` never gives a smaller one. As Llama 3: MLP 3.5 x hidden, heads of 128 and up to 8 for
        keys and values, 128,256 tokens in the vocabulary (64 x hidden if fewer), embeddings tied below 3,584 wide.

        Raises:
            CourseError: outside 0.02 to 2,000 billion.
        """
        if not 0.02 <= params_b <= 2000:
            raise CourseError(
                f"A model of {params_b} billion parameters is outside 0.02 to 2000: give its size in billions."
            )
        low, high = 0.0, float(len(_LAYERS) - 1)
        while high - low > 1e-4:  # the smallest step with at least that many is at `high`, the one before it at `low`
            middle = (low + high) / 2
            low, high = (middle, high) if _rung(middle).params < params_b * 1e9 else (low, middle)
        return min(_rung(low), _rung(high), key=lambda shape: abs(shape.params - params_b * 1e9))

    @cached_property
    def linear_shapes(self) -> dict[str, tuple[int, int]]:
        """(inputs, outputs) of the matrices of one block under llama's names, with one expert; fused ones in their parts."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes = {
            "q_proj": (self.hidden, queries),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (queries, self.hidden),
            "gate_proj": (self.hidden, self.ffn),
            "up_proj": (self.hidden, self.ffn),
            "down_proj": (self.ffn, self.hidden),
        }
        if self.mlp == 2:
            del shapes["gate_proj"]
        return shapes

    @property
    def block_linear_params(self) -> int:
        """Parameters of the matrices of one block: attention, all experts and their router. No biases, no norms."""
        matrices = sum(i * o * self._copies(name) for name, (i, o) in self.linear_shapes.items())
        return matrices + self.hidden * self.experts

    @property
    def block_params(self) -> float:
        """Parameters of one block, biases and norms included (an average: what is left of `params` over the blocks)."""
        return (self.params - self.embedding_params - self.head_params) / self.layers

    @property
    def embedding_params(self) -> int:
        """Parameters of the token embeddings."""
        return self.vocab * (self.embed or self.hidden)

    @property
    def head_params(self) -> int:
        """Parameters of an output head of its own; 0 where it shares the embeddings' matrix, and for an encoder."""
        return 0 if self.tied or self.kind == "encoder" else self.embedding_params

    @property
    def active_params(self) -> int:
        """Parameters that take part in one token: all but the experts that it does not go through."""
        return self.params - self.layers * (self.experts - self.active_experts) * self.mlp * self.hidden * self.ffn

    def target_parts(self, targets: str | tuple[str, ...]) -> frozenset[str]:
        """The matrices of a block that LoRA targets mean, under llama's names.

        Raises:
            CourseError: a target that this model does not have.
        """
        if targets == "all-linear":
            return frozenset(set(self.linear_shapes) & set(_PARTS[:4] if "experts" in self.fused else _PARTS))
        names = (targets,) if isinstance(targets, str) else tuple(targets)
        meant = {name: set(_SYNONYMS.get(name, (name,))) & set(self.linear_shapes) for name in names}
        if not meant or not all(meant.values()):
            strange = ", ".join(str(name) for name, parts in meant.items() if not parts) or "without a name"
            has = ", ".join(self.linear_shapes)
            raise CourseError(f"{self.name} has no module {strange} for LoRA: targets are all-linear or some of {has}.")
        return frozenset().union(*meant.values())

    def lora_params(
        self, rank: int, targets: str | tuple[str, ...] = "all-linear", first_layer: int = 0, dora: bool = False
    ) -> int:
        """Parameters of a LoRA of that rank on the blocks from `first_layer` on; `dora`: and a length for each output.

        Counted as PEFT does: a fused matrix gets one A; a mixture's `all-linear` takes in its router and each expert, whose
        gate and up are one matrix of twice the rank; a BERT's pooler, outside the blocks, is not counted. A target may
        have llama's name or that of its own family (c_attn, query_key_value, ...).

        Raises:
            CourseError: a target that this model does not have.
        """
        wanted, total = self.target_parts(targets), 0
        if targets == "all-linear" and self.experts and "experts" not in self.fused:
            total = rank * (self.hidden + self.experts) + dora * self.experts  # on the router
        for parts in self._modules():
            if wanted & set(parts):
                inputs = self.linear_shapes[parts[0]][0]
                outputs = sum(self.linear_shapes[part][1] for part in parts)
                ranks = rank * len(parts) if self.experts and parts == _FUSED["gate_up"] else rank
                total += (ranks * (inputs + outputs) + dora * outputs) * self._copies(parts[0])
        return total * max(0, self.layers - first_layer)

    def adapter_params(self, bottleneck: int, placement: str = "houlsby") -> int:
        """Parameters of bottleneck adapters, with biases: after attention and MLP of each block (houlsby), or after the MLP only."""
        in_a_block = 2 if placement == "houlsby" else 1
        return self.layers * in_a_block * (2 * self.hidden * bottleneck + bottleneck + self.hidden)

    def prompt_params(self, n: int) -> int:
        """Parameters of prompt tuning with n virtual tokens."""
        return n * self.hidden

    def prefix_params(self, n: int) -> int:
        """Parameters of prefix tuning with n virtual tokens: a key and a value in each block, without reparametrisation."""
        return n * self.layers * 2 * self.kv_heads * self.head_dim

    def ptuning_params(self, n: int, encoder_hidden: int | None = None) -> int:
        """Parameters of P-tuning: n virtual tokens and PEFT's MLP of three layers, `encoder_hidden` wide (None = hidden)."""
        width, inner = self.hidden, encoder_hidden or self.hidden
        return n * width + (width * inner + inner) + (inner * inner + inner) + (inner * width + width)

    @property
    def ia3_params(self) -> int:
        """Parameters of IA3 where PEFT puts it by default: keys, values and the MLP's inner outputs.

        All of a fused qkv; queries for keys in Qwen and Gemma; no MLP in a mixture of experts.
        """
        scaled = ("q_proj" if self.model_type.startswith(("qwen", "gemma")) else "k_proj", "v_proj")
        outputs = sum(self.linear_shapes[part][1] for part in (_FUSED["qkv"] if "qkv" in self.fused else scaled))
        return self.layers * (outputs + (0 if self.experts else self.ffn))

    def _copies(self, name: str) -> int:
        return max(1, self.experts) if name in _PARTS[4:] else 1

    def _modules(self) -> list[tuple[str, ...]]:
        """The matrices of one block, each as the parts it is made of."""
        held = [_FUSED[name] for name in self.fused if name in _FUSED]
        return held + [(part,) for part in self.linear_shapes if not any(part in parts for parts in held)]


@cache
def catalogue() -> tuple[ModelShape, ...]:
    """All models of models.toml, in its order."""
    text = resources.files("course_lib.choose").joinpath("models.toml").read_text(encoding="utf-8")
    return tuple(_shape(family, model) for family in tomllib.loads(text)["family"] for model in family["models"])


def suggestions() -> tuple[ModelShape, ...]:
    """The models that a selector may recommend, smallest first."""
    return tuple(sorted((s for s in catalogue() if s.suggest), key=lambda shape: (shape.params, shape.name)))


def _shape(family: dict, model: dict) -> ModelShape:
    fields = {key: value for key, value in family.items() if key not in ("models", "name")} | model
    fields.setdefault("kv_heads", fields["heads"])
    fields.setdefault("head_dim", fields["hidden"] // fields["heads"])
    fields.setdefault("source", f"config.json of {fields['name']} on the model hub")
    fields |= {key: tuple(fields.get(key, ())) for key in ("aliases", "fused")}
    return ModelShape(family=family["name"], **fields)


def _key(name: str, version: bool = True) -> str:
    """The name without owner, separators and decoration, and without its version (v0.1) if so asked."""
    words = re.split(r"[-_ ]+", name.strip().lower().rsplit("/", 1)[-1])
    drop = _DECORATION if version else rf"{_DECORATION}|v\d+\.\d+"
    return "".join(word for word in words if not re.fullmatch(drop, word))


@cache
def _indexes() -> tuple[dict[str, list[ModelShape]], ...]:
    """Names to models: as written, without decoration, and without version."""
    indexes = ({}, {}, {})
    for shape in catalogue():
        for name in (shape.name, *shape.aliases):
            for index, key in zip(indexes, (name.lower(), _key(name), _key(name, version=False)), strict=True):
                index.setdefault(key, []).append(shape)
    return indexes


def _rung(step: float) -> ModelShape:
    """The made-up model at a place on the ladder: no size falls as `step` rises."""
    below = min(int(step), len(_LAYERS) - 2)
    layers, width = (s[below] * (s[below + 1] / s[below]) ** (step - below) for s in (_LAYERS, _WIDTHS))
    layers = round(layers)
    unit = 16 if width < 2048 else 64
    hidden = unit * math.floor(width / unit + 0.5)
    kv_heads = 2 if hidden < 1536 else 4 if hidden < 3072 else 8
    sizes = {"layers": layers, "hidden": hidden, "kv_heads": kv_heads, "head_dim": 128, "ffn": 7 * hidden // 2}
    sizes |= {"vocab": min(128256, 64 * hidden), "tied": hidden < 3584}
    sizes["heads"] = kv_heads * math.floor(hidden / 128 / kv_heads + 0.5)
    bare = ModelShape(name="generic", params=0, **sizes)
    params = bare.embedding_params + bare.head_params + layers * (bare.block_linear_params + 2 * hidden) + hidden
    name, built = f"generic {params / 1e9:.3g}B", {"model_type": "mistral", "config": {"sliding_window": None}}
    return ModelShape(name=name, params=params, context=8192, **built, **sizes)
