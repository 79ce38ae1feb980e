"""A plan's model as `train` prepares it, with shapes and dtypes but no numbers: on the meta device, or in fake tensors.

No weights are needed, and no memory for them: a configuration is enough, that of a folder or one made of the sizes in the
catalogue. `simulate` weighs such a model, `dry_run` sees whether the plan's method goes onto it.
"""

from unittest.mock import patch

import torch
from bitsandbytes.functional import QuantState, dequantize_4bit
from bitsandbytes.nn import Params4bit
from peft.tuners.lora import dora
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, BitsAndBytesConfig, PretrainedConfig
from transformers.integrations import replace_with_bnb_linear
from transformers.quantizers.base import get_keys_to_not_convert

from course_lib.choose.setup import LABELS
from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.assets import known_config
from course_lib.run.hf_config import hf_config
from course_lib.run.methods import METHODS
from course_lib.run.targets import HEADS, check_lora, model_class

NF4_BLOCK, SCALE_BLOCK = 64, 256  # weights to a scale, scales to a scale of scales


def config_of(plan: Plan, shape: ModelShape | None = None, layers: int | None = None) -> PretrainedConfig:
    """transformers' configuration of the plan's model, or of `shape`, without a download.

    layers: so many blocks of a model of the catalogue, None = all.

    Raises:
        CourseError: neither a folder, nor a course model, nor one of the catalogue.
    """
    if shape is None and (folder := known_config(plan.model)):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    else:
        config = hf_config(shape or ModelShape.of(plan.model), layers)
    if plan.objective == "classification":
        config.num_labels = LABELS
        if config.pad_token_id is None:
            config.pad_token_id = 0
    return config


def skeleton(plan: Plan, config: PretrainedConfig, dtype: torch.dtype) -> nn.Module:
    """`methods.prepare` on the meta device: the plan's model with its trained weights in place, and no memory behind it.

    Raises:
        CourseError: transformers has no such class, or the method finds no place in it.
    """
    attention = "sdpa" if plan.attention == "flash_attention_2" else plan.attention
    kind = model_class(plan)
    if type(config) not in kind._model_mapping:
        raise CourseError(
            f"transformers has no {'classifier' if plan.objective == 'classification' else 'causal model'} of type "
            f"{config.model_type}, which {plan.model} is: take a model of another family."
        )
    held = torch.float32 if plan.method == "full" else dtype
    with torch.device("meta"), dora_unpacks():
        try:
            model = kind.from_config(config, dtype=held, attn_implementation=attention)
        except ValueError as error:
            if "scaled_dot_product_attention" not in str(error):
                raise
            raise CourseError(f"transformers has no sdpa attention for {plan.model}: set attention to eager.") from None
        if plan.method in ("lora", "qlora"):
            check_lora(model, plan)
        if plan.base_bits == 4:
            four_bits = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
            )
            whole = HEADS if plan.objective == "classification" else get_keys_to_not_convert(model)
            replace_with_bnb_linear(model, list(whole), four_bits)
            model.is_loaded_in_4bit = True
        model = METHODS[plan.method].build(model, plan)
    if plan.gradient_checkpointing and plan.method != "full":
        model.enable_input_require_grads()
    return model


def fake_weights(model: nn.Module, fake: FakeTensorMode) -> nn.Module:
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


def dora_unpacks():
    """While it is entered: what DoRA asks of PEFT, which knows 4-bit weights by a class that holds no fake tensors."""
    return patch.object(dora, "dequantize_module_weight", _unpacked)


def _unpacked(module: nn.Module) -> torch.Tensor:
    state = getattr(module, "quant_state", None)
    return dequantize_4bit(module.weight, state) if state else module.weight
