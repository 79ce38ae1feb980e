"""Every method and variant that `train` runs, as fields of a plan, and rows short enough to walk them all."""

from course_lib.run.methods import METHODS

CASES = {name: {"method": name} for name in METHODS} | {
    "dora": {"method": "lora", "variant": "dora"},
    "rslora": {"method": "lora", "variant": "rslora"},
    "pissa": {"method": "lora", "variant": "pissa"},
    "qlora-dora": {"method": "qlora", "variant": "dora"},
    "pfeiffer": {"method": "adapters", "placement": "pfeiffer"},
}
# Parts of the names of what each method trains.
TRAINED = {
    "full": "",
    "lora": "lora_",
    "qlora": "lora_",
    "adapters": "adapters_",
    "prompt_tuning": "prompt_encoder",
    "prefix_tuning": "prompt_encoder",
    "p_tuning": "prompt_encoder",
    "ia3": "ia3_",
}

COLOURS = ("red", "blue", "green", "white", "black", "grey", "pink", "gold")
ROWS = [
    {
        "messages": [
            {"role": "system", "content": "Name the colour."},
            {"role": "user", "content": f"item {i}, {COLOURS[i % 8]}"},
            {"role": "assistant", "content": COLOURS[i % 8]},
        ]
    }
    for i in range(24)
]
