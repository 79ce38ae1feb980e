"""Options (a JSON list on stdin) through axolotl's own pydantic models, which are on the path as a wheel; prints what they read.

Each answer is {"read": {option: value}} or {"fault": "what the models say"}. The models ignore options that they do not
know, so a name among none of their fields is a fault here. `axolotl.utils.config.validate_config`, which calls them,
imports the whole trainer; these are its steps.
"""

import json
import logging
import sys
import types

import axolotl.integrations

# The package of the Liger plugin imports the kernels; its schema stands alone.
liger = types.ModuleType("axolotl.integrations.liger")
liger.__path__ = [f"{axolotl.integrations.__path__[0]}/liger"]
sys.modules[liger.__name__] = liger
from axolotl.integrations.liger.args import LigerArgs  # noqa: E402
from axolotl.utils.schemas.config import AxolotlConfigWCapabilities  # noqa: E402
from axolotl.utils.schemas.datasets import DPODataset, SFTDataset  # noqa: E402
from axolotl.utils.schemas.fsdp import FSDPConfig  # noqa: E402

logging.disable(logging.CRITICAL)
GPUS = {"bf16": True, "fp8": False, "n_gpu": 2, "compute_capability": "sm_90"}


class WithLiger(AxolotlConfigWCapabilities, LigerArgs):
    """What axolotl makes of its model when the plugin is named."""


def known(model, names) -> None:
    fields = set(model.model_fields) | {field.alias for field in model.model_fields.values()}
    unknown = set(names) - fields
    if unknown:
        raise ValueError(f"{model.__name__} has no {', '.join(sorted(unknown))}")


def read(options: dict) -> dict:
    model = WithLiger if options.get("plugins") else AxolotlConfigWCapabilities
    rows = DPODataset if options.get("rl") else SFTDataset
    known(model, options)
    known(FSDPConfig, options.get("fsdp_config", {}))
    for row in options["datasets"]:
        known(rows, row)
    given = {**options, "datasets": [rows(**row) for row in options["datasets"]]}
    found = model(**given, capabilities=GPUS, env_capabilities={"torch_version": "2.11.0"})
    return {name: getattr(found, name) for name in options if isinstance(getattr(found, name, None), str | int | float)}


answers = []
for options in json.load(sys.stdin):
    try:
        answers.append({"read": read(options)})
    except Exception as fault:
        answers.append({"fault": f"{type(fault).__name__}: {fault}"})
print("\n" + json.dumps(answers))
