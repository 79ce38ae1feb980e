"""What training made: saved, gone on with, and read back on the model that it belongs to, and on no other.

An adapter's file is read as numbers and nothing else: its own configuration is not asked, since the plan says what it
must hold, and a pickle, which can run code when it is opened, is never opened.
"""

import hashlib
import json
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run import variants
from course_lib.run.methods import METHODS, load_base
from course_lib.run.seal import MANIFEST, sha256
from course_lib.run.targets import weightless
from course_lib.run.variants import ADAPTER_FILE

TRAINED_FILE = "trained.safetensors"  # in a checkpoint, where the adapter's file does not hold what is being trained


def save(model: PreTrainedModel | PeftModel, plan: Plan, folder: str | Path) -> None:
    """Write the trained weights: an adapter in PEFT's format, or the whole model."""
    model.save_pretrained(folder)
    if variants.is_pissa(plan):
        variants.save_as_plain(model, folder)


def save_to_go_on(model: PreTrainedModel | PeftModel, plan: Plan, folder: str | Path) -> None:
    """Complete a checkpoint that Trainer wrote, where PEFT's file would not do.

    P-tuning's holds the virtual tokens without the MLP that writes them; PiSSA's fits a model whose weights were changed.
    """
    if plan.method != "p_tuning" and not variants.is_pissa(plan):
        return
    tensors = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    if variants.is_pissa(plan):
        tensors |= variants.starts(model)
        variants.save_as_plain(model, folder)
    save_file(tensors, Path(folder) / TRAINED_FILE)


@torch.no_grad()
def go_on(model: PreTrainedModel | PeftModel, plan: Plan, file: Path) -> None:
    """Put back what `save_to_go_on` wrote."""
    tensors = load_file(file)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.copy_(tensors[name])
    if variants.is_pissa(plan):
        variants.move_start(model, tensors)


def check(folder: str | Path, plan: Plan, weights: str | Path) -> None:
    """Refuse weights that the base model in `folder` cannot take, before any model is loaded.

    Raises:
        CourseError: weights that are missing, damaged, in another format than safetensors, of other shapes than the plan's, or
            trained on another base model.
    """
    weights = Path(weights)
    shapes = _shapes(weights)
    if plan.method != "full":
        _check_base(Path(folder), plan, weights)
        empty = weightless(folder, plan, len(labels_of(weights)) or 2)
        model = METHODS[plan.method].build(empty, variants.saved_plan(plan), trains=False)
        _check_fit(plan, weights, shapes, _expected(model))


def reload(folder: str | Path, plan: Plan, weights: str | Path) -> PreTrainedModel | PeftModel:
    """A trained model in eval mode: the weights of a finished run, on the base model of its plan. Raises as `check`."""
    check(folder, plan, weights)
    if plan.method == "full":
        return load_base(weights, plan).eval()
    return on_base(load_base(folder, plan, labels_of(weights)), plan, weights)


def on_base(base: PreTrainedModel, plan: Plan, weights: str | Path) -> PeftModel:
    """A base model with the trained weights of a folder in place, in eval mode; `check` comes first."""
    model = METHODS[plan.method].build(base, variants.saved_plan(plan), trains=False)
    set_peft_model_state_dict(model, load_file(Path(weights) / ADAPTER_FILE))
    return model.eval()


def start_from(model: PeftModel, plan: Plan, weights: str | Path) -> None:
    """Go on with what an earlier stage trained, or with a checkpoint: its numbers take the place of the new ones."""
    if (file := Path(weights) / TRAINED_FILE).exists():
        go_on(model, plan, file)
    elif plan.method == "full":
        for file in Path(weights).glob("model*.safetensors"):
            model.load_state_dict(load_file(file), strict=False)
    else:
        set_peft_model_state_dict(model, load_file(Path(weights) / ADAPTER_FILE))


def labels_of(weights: str | Path) -> list[str]:
    """The labels that a classifier was trained on, as its run says; empty for models that write text."""
    try:
        return json.loads((Path(weights) / "run.json").read_text(encoding="utf-8")).get("labels", [])
    except (OSError, ValueError, AttributeError):
        return []


def base_digest(folder: str | Path) -> str:
    """Which base model a folder holds: SHA-256 over names, shapes and first rows of its tensors, whatever their dtype.

    Milliseconds, also for a large model; "" where there are no safetensors files.
    """
    rows = {}
    for file in Path(folder).glob("model*.safetensors"):
        with safe_open(file, "pt") as tensors:
            for name in sorted(tensors.keys()):
                part = tensors.get_slice(name)
                rows[name] = (part.get_shape(), part[:1] if part.get_shape() else tensors.get_tensor(name))
    digest = hashlib.sha256()
    for name, (shape, row) in sorted(rows.items()):
        digest.update(f"{name} {shape} ".encode() + row.to(torch.float32).numpy().tobytes())
    return digest.hexdigest() if rows else ""


def _shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors in a folder, from the heads of its files."""
    files = sorted(file for file in weights.glob("*.safetensors") if file.name != TRAINED_FILE)
    if not files:
        pickles = [path.name for path in weights.glob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".ckpt")]
        if pickles:
            raise CourseError(
                f"{weights} holds its weights as a pickle ({pickles[0]}), which can run any program when it is opened: it "
                "was not opened, so ask for the same weights as safetensors."
            )
        raise CourseError(f"{weights} holds no weights: train the plan first, or name another folder.")
    shapes = {}
    for file in files:
        try:
            with safe_open(file, "pt") as tensors:
                shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in sorted(tensors.keys())}
            whole = file.name != ADAPTER_FILE or _as_sealed(file)
        except (SafetensorError, OSError):
            whole = False
        if not whole:
            raise CourseError(
                f"{file} is damaged and cannot be read: train the plan again with resume=False, or copy the file anew."
            )
    return shapes


def _as_sealed(file: Path) -> bool:
    """Whether a file is what its folder's manifest says, as far as there is one."""
    try:
        entry = json.loads((file.parent / MANIFEST).read_bytes())["files"][file.name]["sha256"]
    except (OSError, ValueError, LookupError, TypeError):
        return True
    return sha256(file) == entry


def _expected(model: PeftModel) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}


def _check_base(folder: Path, plan: Plan, weights: Path) -> None:
    """Older runs do not say what they were trained on."""
    try:
        trained_on = json.loads((weights / "run.json").read_text(encoding="utf-8")).get("base")
    except (OSError, ValueError, AttributeError):
        return
    if trained_on and trained_on != base_digest(folder):
        raise CourseError(
            f"The weights in {weights} were trained on another base model than {plan.model} is here: give the model and "
            "the revision that they were trained on, or train anew."
        )


def _check_fit(plan: Plan, weights: Path, found: dict, expected: dict) -> None:
    if found == expected:
        return
    name = min(found.items() ^ expected.items())[0]
    raise CourseError(
        f"The weights in {weights} do not fit method {plan.method} on {plan.model}: {name} should be "
        f"{expected.get(name, 'absent')} and is {found.get(name, 'missing')}; give the plan that they were trained with."
    )
