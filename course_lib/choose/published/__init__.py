"""Published, measured memory of fine-tuning runs: rows of a CSV, read as setups of the memory model.

`memory-measured.csv` holds facts collected from public repositories and pages; the column `source_ref` names each one's.
A row that the model cannot represent gets a reason instead: nothing is guessed for it.
"""

import csv
import io
import math
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from course_lib.choose.published import words
from course_lib.choose.published.words import NotRepresented
from course_lib.choose.setup import COMPOSED_GELU, Setup
from course_lib.choose.shapes import ModelShape
from course_lib.errors import CourseError

# Without these a file cannot be scored; other columns may be missing or empty.
NEEDED = ("id", "source", "model", "method", "micro_batch", "seq_len_max", "peak_gib_per_gpu", "mem_class")


@dataclass(frozen=True)
class Row:
    """One published run: its cells, and the setup it comes down to.

    shortest: tokens per row at the peak, at least, where the longest row is not published (then `setup.seq` is a guess
    between it and the cap, which `setup_longest` has).
    """

    cells: dict[str, str]
    setup: Setup
    setup_shortest: Setup
    setup_longest: Setup

    def number(self, name: str) -> float | None:
        """A cell of the row as a number; None when it is empty or none."""
        return number(self.cells.get(name))

    @property
    def length_unknown(self) -> bool:
        """Whether the longest row is not published."""
        return self.setup_shortest != self.setup_longest


def number(text) -> float | None:
    """A cell as a number; None when it is empty, or none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def read_rows(path: str | Path | None = None) -> list[dict[str, str]]:
    """The rows of a CSV with the columns of the carried file (`path` None: that file), as they stand.

    Raises:
        CourseError: no such file, no CSV, or columns are missing.
    """
    try:
        if path is None:
            text = resources.files(__name__).joinpath("memory-measured.csv").read_text(encoding="utf-8")
        else:
            text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CourseError(f"{path} cannot be read ({error.strerror}): give the path of a CSV file.") from None
    except UnicodeDecodeError:
        raise CourseError(f"{path} is not UTF-8 text: save it as CSV in UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise CourseError(
            f"{path} has no column {', '.join(missing)}: it needs at least {', '.join(NEEDED)}, as in the carried file."
        )
    rows = list(reader)
    if not rows:
        raise CourseError(f"{path} has a header but no rows: there is nothing to score.")
    return rows


def represent(cells: dict[str, str]) -> Row:
    """A row as a setup.

    Raises:
        NotRepresented: says what of it the model has no terms for, or what the row does not say.
    """

    def text(name):
        return (cells.get(name) or "").strip()

    try:
        shape = ModelShape.of(text("model"))
    except CourseError:
        raise NotRepresented(f"sizes of {text('model') or 'a model without a name'} unknown") from None
    method = words.method(text("method"))
    sharding = words.sharding(text("sharding"))
    micro_batch, longest = number(text("micro_batch")), number(text("seq_len_max"))
    if not micro_batch or micro_batch < 1:
        raise NotRepresented("micro-batch not stated")
    if not longest or longest < 1:
        raise NotRepresented("token length not stated")
    mean = number(text("seq_len_mean"))
    framework, attention = text("framework").lower(), text("attn").lower()
    n_gpus = max(1, int(number(text("n_gpus")) or 1))
    style = words.style(framework)
    weights = text("weights_dtype").lower()
    quantised = words.quantised(weights)
    if method == "qlora" and quantised is None:
        raise NotRepresented(f"weights held as {weights or 'something not stated'}")
    compute = text("compute_dtype").lower()
    fp32 = compute.startswith("fp32")
    autocast = "autocast" in compute or compute.startswith("amp")
    targets = words.targets(text("targets"), shape) if method in words.LORA_LIKE else frozenset()
    rank = number(text("rank"))
    adapter = style.get("adapter", 4)
    whole = 0
    trained = number(text("trainable_params"))
    if method in words.LORA_LIKE:
        if "embed" in text("targets") or "wte" in text("targets") or "embeddings" in text("method"):
            whole = shape.embedding_params + (shape.head_params or 0)
            trained = None
        if trained is None:
            if not rank:
                raise NotRepresented("LoRA rank not stated")
            trained = shape.lora_params(int(rank), tuple(targets))
    elif method == "full":
        trained = 0
    elif trained is None:
        raise NotRepresented("trained parameters not stated")
    upcast = (
        method == "qlora"
        and weights.startswith(("nf4", "fp4"))
        and sharding in ("none", "ddp")
        and style.get("upcast", True)
    )
    setup = Setup(
        shape=shape,
        method=method,
        rows=int(micro_batch),
        seq=longest,
        trained=int(trained),
        whole_matrices=whole,
        targets=targets,
        virtual_tokens=int(rank or 0) if method in ("prompt_tuning", "p_tuning", "prefix_tuning") else 0,
        weight=4 if weights == "fp32" else 2,
        adapter=4 if fp32 else adapter,
        quantised=quantised,
        upcast_rest=upcast,
        compute=4 if fp32 else 2,
        autocast=autocast,
        master=method == "full" and (sharding == "zero3" or "deepspeed" in text("optimizer")),
        optimizer=words.optimizer(text("optimizer")),
        accumulates=method == "full" and (number(text("grad_accum")) or 1) > 1,
        in_backward="backward" in text("optimizer").lower(),
        checkpointing=words.checkpointing(text("grad_ckpt")),
        attention=words.attention(attention),
        loss=words.loss(text("loss_impl").lower(), shape, text("source_date"), framework),
        sharding=sharding,
        fsdp2=style.get("fsdp2", False),
        n_gpus=n_gpus,
        gelu_copies=1
        if "plain pytorch" in framework and attention != "eager"
        else COMPOSED_GELU.get(shape.model_type, 1),
        quantised_head=style.get("quantised_head", False) and quantised is not None,
        fused_norms=style.get("fused_norms", False),
        keeps_quantised_inputs=style.get("keeps_quantised_inputs", 0),
        litgpt=style.get("litgpt", False),
    )
    shortest = longest
    if text("config_quality") == "B" and mean and mean < longest / 2:
        shortest = mean
    return Row(
        cells,
        replace(setup, seq=math.sqrt(shortest * longest)),
        replace(setup, seq=shortest),
        setup,
    )
