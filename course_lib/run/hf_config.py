"""From a row of the catalogue to transformers' configuration object: what builds the same model without downloading it."""

from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError

# transformers' names of our sizes, each class's own spelling first.
_NAMES = {
    "layers": ("num_hidden_layers",),
    "hidden": ("hidden_size",),
    "heads": ("num_attention_heads",),
    "kv_heads": ("num_kv_heads", "num_key_value_heads"),
    "head_dim": ("head_dim",),
    "ffn": ("moe_intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", "hidden_dim", "intermediate_size"),
    "vocab": ("vocab_size",),
    "context": ("max_position_embeddings",),
    "experts": ("num_local_experts", "num_experts"),
    "active_experts": ("num_experts_per_tok",),
}


def hf_config(shape: ModelShape, layers: int | None = None):
    """transformers' configuration of that model, with fewer layers if `layers` is given.

    Raises:
        CourseError: transformers has no class of its own for the model.
    """
    from transformers import AutoConfig

    if not shape.model_type:
        raise CourseError(
            f"transformers has no class of its own for {shape.name}, so it cannot be built here: "
            "take a model of another family, or ModelShape.generic(billions)."
        )
    known = AutoConfig.for_model(shape.model_type)
    given = {"tie_word_embeddings": shape.tied}
    for size, names in _NAMES.items():
        value = layers if size == "layers" and layers else getattr(shape, size)
        spelled = next((known.attribute_map.get(name, name) for name in names if hasattr(known, name)), None)
        computed = spelled and isinstance(getattr(type(known), spelled, None), property)
        if spelled and value and not computed:
            given[spelled] = value
    return AutoConfig.for_model(shape.model_type, **given | shape.config)
