"""Options (a JSON list on stdin) through LLaMA-Factory's own parser, which is on the path as a wheel; prints what it read.

Each answer is {"read": {option: value}} or {"fault": "what the parser says"}. Python's packages are the course's, newer
than LLaMA-Factory allows, so its check of versions is off (by its own variable).
"""

import dataclasses
import json
import logging
import os
import sys
import types

os.environ["DISABLE_VERSION_CHECK"] = "1"
sys.modules["omegaconf"] = types.ModuleType("omegaconf")  # reads files; here the file is read already
sys.modules["omegaconf"].OmegaConf = None
from transformers import training_args_seq2seq  # noqa: E402


@dataclasses.dataclass
class WithWarmupRatio(training_args_seq2seq.Seq2SeqTrainingArguments):
    """transformers up to 5.6, the newest that LLaMA-Factory allows, takes warmup_ratio; later ones dropped it."""

    warmup_ratio: float | None = None


training_args_seq2seq.Seq2SeqTrainingArguments = WithWarmupRatio
from llamafactory.hparams import get_train_args, parser  # noqa: E402

parser.check_version = lambda *args, **kwargs: None  # of liger-kernel and deepspeed, which are not installed here
built = parser.HfArgumentParser(parser._TRAIN_ARGS)
parser.HfArgumentParser = lambda groups: built  # building it takes longer than all the rest
logging.disable(logging.CRITICAL)


def read(options: dict) -> dict:
    """As the tool does it, from a dict; and as its command line, whose parser looks at types too."""
    options = {**options, "use_cpu": True}
    if options.pop("deepspeed", None):
        assert any(field.name == "deepspeed" for field in dataclasses.fields(parser.TrainingArguments))
    line = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    found = [{**vars(group)} for group in get_train_args(options)]
    typed = [{**vars(group)} for group in get_train_args(line)]
    merged, again = ({name: value for group in groups for name, value in group.items()} for groups in (found, typed))
    assert all(merged[name] == again[name] for name in options), "the command line reads something else"
    return {name: merged[name] for name in options if isinstance(merged[name], str | int | float)}


answers = []
for options in json.load(sys.stdin):
    try:
        answers.append({"read": read(options)})
    except (Exception, SystemExit) as fault:
        answers.append({"fault": f"{type(fault).__name__}: {fault}"})
print("\n" + json.dumps(answers))
