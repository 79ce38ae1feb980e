"""Pieces of the exported script that one method needs: text with {fields}, {{ and }} standing for braces."""

LINEAR = """\
linear = {name.split(".")[-1] for name, part in model.named_modules() if isinstance(part, (torch.nn.Linear, Conv1D))}
linear = sorted(linear - {"lm_head", "score", "classifier", "pre_classifier"})
"""

PEFT = """\
{before}peft_config = {kind}(
{fields}
)
model = get_peft_model(model, peft_config)"""

# As `course_lib.run.variants` does it.
PISSA = """

# PiSSA: the largest singular parts of each matrix move from the frozen weights into A and B.
for layer in model.modules():
    if isinstance(layer, LoraLayer):
        layer.pissa_init("default", "pissa_niter_16")
first = {name: weight.clone() for name, weight in get_peft_model_state_dict(model).items()}


def save_as_plain(folder: str) -> None:
    \"\"\"Write a plain LoRA of twice the rank, B A - B0 A0: it fits the untouched model, which A and B alone would not.\"\"\"
    state = get_peft_model_state_dict(model)
    for name in state:
        if ".lora_A." in name:
            state[name] = torch.cat([state[name], first[name].to(state[name])], 0).contiguous()
        if ".lora_B." in name:
            state[name] = torch.cat([state[name], -first[name].to(state[name])], 1).contiguous()
    save_file(state, f"{folder}/adapter_model.safetensors", metadata={"format": "pt"})
    config = copy.copy(model.peft_config["default"])
    config.r, config.lora_alpha, config.inference_mode = 2 * config.r, 2 * config.lora_alpha, True
    config.save_pretrained(folder)"""

# As `course_lib.run.soft_prompts` does it.
START = (
    "The text below is clear and complete. Read all of it first, then write the answer that is asked for, and no more."
)
PREFIX = """

# The prefix starts as the keys and values that the model makes of a plain text; random ones would drown what it knew.
START = (
    {start}
)
ids = tokenizer(START, add_special_tokens=True)["input_ids"]
ids = (ids * -(-{n} // len(ids)))[:{n}]
with torch.no_grad():
    base = model.get_base_model()
    cache = base(input_ids=torch.tensor([ids], device=base.device), use_cache=True).past_key_values
initialize_kv_prefix_from_past_key_values(model, past_key_values=cache)"""

# As `course_lib.run.adapters` does it.
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
ADAPTERS = """\
class WithAdapter(torch.nn.Module):
    \"\"\"A layer and an adapter after it: h + up(relu(down(h))). `up` starts at zero: a new adapter changes nothing.\"\"\"

    def __init__(self, layer: torch.nn.Module):
        super().__init__()
        width = getattr(layer, "out_features", None) or layer.nf  # nf: GPT-2's layers
        self.base_layer = layer
        self.adapters_down = torch.nn.Linear(width, {bottleneck}).to(layer.weight.device)
        self.adapters_up = torch.nn.Linear({bottleneck}, width).to(layer.weight.device)
        torch.nn.init.zeros_(self.adapters_up.weight)
        torch.nn.init.zeros_(self.adapters_up.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.base_layer(x)
        return h + self.adapters_up(torch.relu(self.adapters_down(h.to(self.adapters_down.weight.dtype)))).to(h.dtype)


# The last matrix of the attention and of the MLP of a block, as the model classes call it.
AFTER_ATTENTION = (
{after_attention}
)
AFTER_MLP = (
{after_mlp}
)


def last_of_blocks(endings: tuple[str, ...], other: list[str]) -> list[str]:
    \"\"\"Names of the layers, one in each block, that end in the first of `endings` that fits.\"\"\"
    names = [name for name, _ in model.named_modules() if name not in other]
    for ending in endings:
        found = [name for name in names if name.endswith("." + ending)]
        if len(found) == model.config.get_text_config().num_hidden_layers:
            return found
    raise SystemExit("This model's blocks end in no single matrix that this script knows: add its name above.")


attention = last_of_blocks(AFTER_ATTENTION, [])
{places}
model.requires_grad_(False)
for name in [name for name, _ in model.named_modules() if name in places]:
    model.set_submodule(name, WithAdapter(model.get_submodule(name))){head}{inputs}

PREFIX = "base_model.model."  # of names in PEFT's files, and in the course's


def save_adapters(folder: str) -> None:
    \"\"\"Write what was trained, without the model that it belongs to.\"\"\"
    os.makedirs(folder, exist_ok=True)
    trained = {{PREFIX + name: weight.data for name, weight in model.named_parameters() if weight.requires_grad}}
    save_file(trained, f"{{folder}}/adapter_model.safetensors", metadata={{"format": "pt"}})


def load_adapters(folder: str) -> None:
    \"\"\"Put saved adapters into a model that was prepared as above.\"\"\"
    saved = load_file(f"{{folder}}/adapter_model.safetensors")
    model.load_state_dict({{name.removeprefix(PREFIX): weight for name, weight in saved.items()}}, strict=False)"""
HOULSBY = "places = attention + last_of_blocks(AFTER_MLP, attention)"
PFEIFFER = "places = last_of_blocks(AFTER_MLP, attention)"
NEW_HEAD = """
for name, weight in model.named_parameters():  # the new output layer is trained whole
    if any(part.endswith(("score", "classifier")) for part in name.split(".")):
        weight.requires_grad_(True)"""
INPUTS = """
model.enable_input_require_grads()  # gradient checkpointing needs something to differentiate below the first adapter"""

# As `course_lib.run.trainer` does it.
RATES = """
def slow_down(optimizer: torch.optim.Optimizer) -> None:
    \"\"\"Each block learns at {decay!r} times the rate of the block above it; what stands below the blocks counts as one more.\"\"\"
    blocks = model.config.get_text_config().num_hidden_layers
    below = {{id(weight) for weight in model.get_input_embeddings().parameters()}}
    depth, groups = {{}}, []
    for name, weight in model.named_parameters():
        block = re.search(r"\\.(?:layers|layer|h|blocks|block)\\.(\\d+)\\.", "." + name)
        depth[id(weight)] = blocks if id(weight) in below else blocks - 1 - int(block[1]) if block else 0
    for group in optimizer.param_groups:
        for d in sorted({{depth[id(weight)] for weight in group["params"]}}):
            here = [weight for weight in group["params"] if depth[id(weight)] == d]
            groups.append({{**group, "params": here, "lr": group["lr"] * {decay!r}**d}})
    optimizer.param_groups[:] = groups"""
SLOW = """
slow_down(trainer.create_optimizer())"""
