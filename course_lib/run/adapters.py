"""Bottleneck adapters (Houlsby et al. 2019, Pfeiffer et al. 2021) as a method of PEFT, which has none of its own.

An adapter stands after a layer and adds to what comes out of it: h + up(act(down(h))). `up` starts at zero, so that a new
adapter changes nothing. Between the two is a non-linear function, so that an adapter never becomes part of the layer's
own weights: it stays an extra layer, which costs time at each token.
"""

from dataclasses import dataclass, field
from types import MappingProxyType

from peft import PeftConfig, PeftType
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import register_peft_method
from torch import nn

from course_lib.errors import CourseError
from course_lib.plan import Plan

NAME = "adapters"
MERGES_NOT = (
    "Bottleneck adapters cannot be merged, since they compute something non-linear that no matrix can take over: "
    "keep the adapter beside its model, or train with method lora."
)
# The last matrix of the attention and of the MLP of a block, as the model classes call it.
AFTER_ATTENTION = (
    "self_attn.o_proj",
    "self_attn.out_proj",
    "self_attn.dense",
    "attn.c_proj",
    "attn.out_proj",
    "attention.out_proj",
    "attention.dense",
    "self_attention.dense",
    "attention.output.dense",
    "attention.out_lin",
    "attn.Wo",
)
AFTER_MLP = (
    "mlp.down_proj",
    "ffn.down_proj",
    "mlp.c_proj",
    "mlp.fc_out",
    "mlp.dense_4h_to_h",
    "fc2",
    "output.dense",
    "ffn.lin2",
    "mlp.Wo",
)


def places(model: nn.Module, placement: str) -> list[str]:
    """Names of the layers that get an adapter after them: houlsby = attention and MLP of each block, pfeiffer = MLP only.

    Raises:
        CourseError: the blocks of this model class have no such layer (in a mixture of experts, say).
    """
    names, blocks = [name for name, _ in model.named_modules()], model.config.get_text_config().num_hidden_layers

    def ends(spellings: tuple[str, ...], but: list[str]) -> list[str]:
        here = ([name for name in names if name.endswith(f".{end}") and name not in but] for end in spellings)
        return next((layers for layers in here if len(layers) == blocks), [])

    attention = ends(AFTER_ATTENTION, [])
    mlp = ends(AFTER_MLP, attention)
    missing = "attention" if placement == "houlsby" and not attention else "MLP" if not mlp else ""
    if missing:
        raise CourseError(
            f"There is no place for an adapter after the {missing} in models of type {model.config.model_type}, whose "
            "blocks end in no single matrix that the course knows: set method to lora."
        )
    return mlp if placement == "pfeiffer" else attention + mlp


@dataclass
class BottleneckConfig(PeftConfig):
    """PEFT's record of an adapter: its width, and the layers that it stands after."""

    bottleneck: int = field(default=64, metadata={"help": "width of the bottleneck"})
    target_modules: list[str] | str | None = field(default=None, metadata={"help": "layers with an adapter after them"})
    # PEFT asks every method for these; we leave them at None.
    exclude_modules: list[str] | None = None
    modules_to_save: list[str] | None = None
    layers_to_transform: list[int] | None = None
    layers_pattern: str | None = None

    def __post_init__(self):
        super().__post_init__()
        self.peft_type = PeftType.ADAPTERS


def adapters(model: nn.Module, plan: Plan) -> BottleneckConfig:
    """The plan's adapters; `places` says where they go."""
    return BottleneckConfig(
        bottleneck=plan.bottleneck, target_modules=places(model, plan.placement), task_type="CAUSAL_LM"
    )


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """A layer and the adapters behind it, by name; the active ones run one after the other."""

    adapter_layer_names = ("adapters_down", "adapters_up")

    def __init__(self, base_layer: nn.Module, name: str, config: BottleneckConfig):
        super().__init__()
        self.base_layer = base_layer
        self.adapters_down, self.adapters_up = nn.ModuleDict(), nn.ModuleDict()
        self.act = nn.ReLU()
        self.merged_adapters = []
        self.add(name, config)
        self.set_adapter([name], inference_mode=config.inference_mode)

    def add(self, name: str, config: BottleneckConfig) -> None:
        """Another adapter; its `up` is zero, so that it changes nothing yet."""
        width = getattr(self.base_layer, "out_features", None) or self.base_layer.nf  # nf: GPT-2's Conv1D
        self.adapters_down[name] = nn.Linear(width, config.bottleneck)
        self.adapters_up[name] = nn.Linear(config.bottleneck, width)
        nn.init.zeros_(self.adapters_up[name].weight)
        nn.init.zeros_(self.adapters_up[name].bias)
        self._move_adapter_to_device_of_base_layer(name)

    def forward(self, x, *args, **kwargs):
        """(..., in_features) to (..., out_features)."""
        h = self.base_layer(x, *args, **kwargs)
        for name in [] if self.disable_adapters else self.active_adapters:
            if name in self.adapters_down:
                down, up = self.adapters_down[name], self.adapters_up[name]
                h = h + up(self.act(down(self._cast_input_dtype(h, down.weight.dtype)))).to(h.dtype)
        return h

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        raise CourseError(MERGES_NOT)


class BottleneckModel(BaseTuner):
    """Puts a BottleneckLayer in place of each target."""

    prefix = "adapters_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping = MappingProxyType({})  # `places` says it

    def _create_and_replace(self, peft_config, adapter_name, target, target_name, parent, current_key, **_):
        if isinstance(target, BottleneckLayer):
            target.add(adapter_name, peft_config)
            new = target
        else:
            new = BottleneckLayer(target, adapter_name, peft_config)
            self._replace_module(parent, target_name, new, target)
        if adapter_name not in self.active_adapters:
            for layer_name in new.adapter_layer_names:
                getattr(new, layer_name)[adapter_name].requires_grad_(False)


def _add_type(name: str) -> None:
    """PEFT's list of methods is an enumeration without a door for others: add a member by hand (PEFT 0.21, pinned)."""
    member = str.__new__(PeftType, name)
    member._name_ = member._value_ = name
    PeftType._member_map_[name] = PeftType._value2member_map_[name] = member
    PeftType._member_names_.append(name)
    type.__setattr__(PeftType, name, member)


if NAME.upper() not in PeftType.__members__:
    _add_type(NAME.upper())
    register_peft_method(
        name=NAME, config_cls=BottleneckConfig, model_cls=BottleneckModel, prefix=BottleneckModel.prefix
    )
