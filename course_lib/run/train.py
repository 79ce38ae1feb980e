"""`train(plan)`: one run, from checked plan to saved weights; killed anywhere, it goes on where it was."""

import errno
import hashlib
import json
import os
import platform
import shutil
import signal
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate.utils.memory import should_reduce_batch_size
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging as hf_logging

from course_lib.errors import CourseError
from course_lib.folders import work_folder, write_whole
from course_lib.plan import Plan
from course_lib.run import data as data_module
from course_lib.run.assets import check_model, known_config, model_folder
from course_lib.run.chat import IGNORED, encode_rows
from course_lib.run.checkpoints import newest_valid, prune, throw_away
from course_lib.run.merge import merge
from course_lib.run.meter import GIB, Meter, busy_neighbours
from course_lib.run.methods import (
    METHODS,
    check_method,
    check_targets,
    compute_dtype,
    load_tokenizer,
    prepare,
    trainable_parameters,
)
from course_lib.run.seal import MANIFEST, fault, seal
from course_lib.run.step import collate, order, target_loss
from course_lib.run.trained import TRAINED_FILE, base_digest, go_on, reload, save, save_to_go_on

hf_logging.set_verbosity_error()
hf_logging.disable_progress_bar()


@dataclass(frozen=True)
class Run:
    """A training run on disk.

    history: one dict per optimizer step: step, loss (nats per trained token), grad_norm, learning_rate, tokens, seconds.
    tokens_per_s: real tokens of the rows, never padding; a prompt that rows share counts for each row.
    peak_gib: see `meter.Meter`. finished: False after Ctrl-C.
    """

    folder: Path
    plan: Plan
    record: dict

    @property
    def history(self) -> list[dict]:
        return self.record["history"]

    @property
    def finished(self) -> bool:
        return self.record["finished"]

    @property
    def seconds(self) -> float:
        return sum(step["seconds"] for step in self.history)

    @property
    def tokens_per_s(self) -> float:
        return sum(step["tokens"] for step in self.history) / self.seconds

    @property
    def peak_gib(self) -> float:
        return self.record["peak_gib"]

    @property
    def weights(self) -> Path:
        """Folder with the adapter, or with the whole model after full fine-tuning."""
        return self.folder / "final"

    def model(self):
        """The trained model, in eval mode."""
        return reload(self._base(), self.plan, self.weights)

    def merged(self, dtype: torch.dtype | None = None):
        """The trained model as one ordinary model with no adapter beside it, in eval mode; see `merge.merge`."""
        return merge(self._base(), self.plan, self.weights, dtype)

    def _base(self) -> Path:
        if not self.finished:
            raise CourseError(
                f"The run in {self.folder} is not finished: call train with the same plan and folder to go on."
            )
        return model_folder(self.plan.model, self.plan.revision)

    def __str__(self) -> str:
        trained, everything = self.record["trainable"], self.record["parameters"]
        return (
            f"{self.plan.method}: {len(self.history)} steps in {self.seconds:.0f} s, {self.tokens_per_s:.0f} tokens/s, "
            f"peak {self.peak_gib:.2f} GiB ({self.record['memory_of']}), "
            f"{trained:,} of {everything:,} parameters trained ({trained / everything:.2%})"
        )


def train(plan: Plan, *, folder: str | Path | None = None, resume: bool = True) -> Run:
    """Train `plan` in `folder` (default: one folder per plan under `my_work/runs`) and return the run.

    A finished run of the same plan is returned as it is; an unfinished one goes on from its newest valid checkpoint.
    `resume=False` throws away the run that the folder holds. On Ctrl-C or SIGTERM the step under way is finished and saved.
    Out of memory: the micro-batch is halved, accumulation doubled, so that each step keeps its rows.

    Raises:
        CourseError: before anything is downloaded or trained, for a plan that cannot run here; later for a full disk, or
            when one row alone does not fit in memory.
    """
    folder = Path(folder) if folder else work_folder() / "runs" / f"{plan.method}-{plan.id}"
    _check(plan, folder, resume)
    data = data_module.load(plan.data, n_train=plan.n_train)
    digest = hashlib.sha256(json.dumps(data.train).encode()).hexdigest()
    kept = folder / "data.sha256"
    if resume and kept.exists() and kept.read_text() != digest:
        raise CourseError(
            f"The training rows of {plan.data} have changed since the run in {folder} began: "
            "choose another folder, or pass resume=False to train anew."
        )
    if resume and (folder / "final").exists() and fault(folder / "final") is None:
        print(f"This plan was trained before; its run is in {folder}. (resume=False trains it anew.)")
        return Run(folder, plan, json.loads((folder / "final" / "run.json").read_text()))
    base = model_folder(plan.model, plan.revision)
    check_targets(base, plan)
    tokenizer = load_tokenizer(base)
    rows = encode_rows(tokenizer, data.train, plan.max_len)
    if not resume:
        throw_away(folder)
    start = newest_valid(folder)
    _check_disk(folder, base, plan, checkpoints=1 if start else 3)
    write_whole(folder / "data.sha256", digest)
    write_whole(folder / "plan.yaml", plan.to_text())
    if (others := busy_neighbours()) > 0.5:
        print(
            f"Other processes keep {others:.1f} of {os.cpu_count()} cores busy: training will be much slower than it could be."
        )

    step_rows = plan.micro_batch * plan.grad_accum
    # Smaller than the plan's if memory ran out before the run was cut off.
    micro_batch = (
        json.loads((start / MANIFEST).read_text()).get("micro_batch", plan.micro_batch) if start else plan.micro_batch
    )
    while True:
        try:
            return _train_once(plan, folder, base, tokenizer, rows, data.notice, micro_batch, start)
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
        if micro_batch == 1:
            raise CourseError(
                "Out of memory with one row at a time: set gradient_checkpointing to true, lower max_len, or choose a smaller model."
            )
        micro_batch = next(size for size in range(micro_batch // 2, 0, -1) if step_rows % size == 0)
        print(
            f"Out of memory: going on with micro_batch {micro_batch} and grad_accum {step_rows // micro_batch}; "
            f"each step keeps its {step_rows} rows."
        )
        start = newest_valid(folder)


def _check(plan: Plan, folder: Path, resume: bool) -> None:
    """Everything that can be refused without downloading or loading anything."""
    if plan.objective != "sft":
        raise CourseError(
            f"`train` cannot yet run objective {plan.objective}: it runs every method with sft, and `estimate` takes the plan "
            "as it is."
        )
    check_method(plan)
    if not torch.cuda.is_available():
        if plan.precision == "fp16":
            raise CourseError("fp16 training needs a GPU: set precision to auto.")
        if plan.loss == "fused_linear":
            raise CourseError("loss fused_linear is a GPU kernel: set loss to targets.")
    data_module.check_name(plan.data)
    check_model(plan.model)
    if config := known_config(plan.model):
        check_targets(config, plan)
    if plan.n_gpus > 1 and int(os.environ.get("WORLD_SIZE", "1")) != plan.n_gpus:
        raise CourseError(
            f"The plan wants {plan.n_gpus} devices: start it with `accelerate launch`, or set n_gpus to 1 and sharding to none."
        )
    if plan.attention == "flash_attention_2" and not torch.cuda.is_available():
        raise CourseError("flash_attention_2 needs an NVIDIA GPU: set attention to sdpa.")
    kept = folder / "plan.yaml"
    if resume and kept.exists() and Plan.from_yaml(kept) != plan:
        raise CourseError(
            f"{folder} holds a run of another plan: choose another folder, or pass resume=False to throw that run away."
        )


def _check_disk(folder: Path, base: Path, plan: Plan, checkpoints: int) -> None:
    """The coming checkpoints must fit (two are kept while one is written): weights and two Adam moments of what is trained."""
    weights = sum(file.stat().st_size for file in base.glob("*.safetensors"))
    share = 2 if plan.method == "full" else 0.1
    need = checkpoints * 3 * weights * share
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"The folder {folder} cannot be made ({error.strerror}): choose another with folder=..."
        ) from None
    free = shutil.disk_usage(folder).free
    if free < need:
        raise CourseError(
            f"Not enough disk for checkpoints in {folder}: about {need / GIB:.1f} GiB needed, {free / GIB:.1f} GiB free. "
            "Free some, or choose a folder on another disk."
        )


class _StepTrainer(Trainer):
    """transformers' Trainer with our step, our record of a step, and checkpoints that are sealed when complete."""

    loss_is_scaled_for_ga = True
    plan: Plan

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if num_items_in_batch is None:
            num_items_in_batch = (inputs["labels"] != IGNORED).sum()
        return target_loss(model, inputs, num_items_in_batch, self.plan.loss == "full")

    def _save(self, output_dir=None, state_dict=None):
        super()._save(output_dir, state_dict)
        save_to_go_on(self.model, self.plan, output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        if (file := Path(resume_from_checkpoint) / TRAINED_FILE).exists():
            go_on(self.model, self.plan, file)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _save_checkpoint(self, model, trial):
        step = self.state.global_step
        target = Path(self.args.output_dir) / f"checkpoint-{step}"
        try:
            super()._save_checkpoint(model, trial)
            seal(target, step=step, micro_batch=self.args.per_device_train_batch_size)
        except Exception as error:
            if not _disk_is_full(error, self.args.output_dir):
                raise
            shutil.rmtree(target, ignore_errors=True)
            last = newest_valid(Path(self.args.output_dir))
            raise CourseError(
                f"The disk filled up while step {step} was being saved. "
                + (
                    f"{last.name} is complete: free some space and train again to go on from it."
                    if last
                    else "Free some space and train again."
                )
            ) from None
        prune(Path(self.args.output_dir), keep=2)


def _disk_is_full(error: Exception, folder: str) -> bool:
    said = str(error)
    return (
        getattr(error, "errno", None) == errno.ENOSPC
        or "No space left" in said
        or "code: 28" in said
        or shutil.disk_usage(folder).free < 1024**2
    )


class _Progress(TrainerCallback):
    """A progress bar, the tokens and seconds of each step, and a clean end on Ctrl-C."""

    def __init__(self, meter: Meter, tokens: list[int]):
        self.meter, self.tokens, self.stop_asked, self.bar = meter, tokens, False, None

    def on_train_begin(self, args, state, control, **_):
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc="training")

    def on_step_begin(self, args, state, control, **_):
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        self.seconds = time.perf_counter() - self.start
        if self.stop_asked:
            control.should_save = control.should_training_stop = True

    def on_log(self, args, state, control, logs, **_):
        if "loss" in logs:
            state.log_history[-1] |= {"tokens": self.tokens[state.global_step - 1], "seconds": round(self.seconds, 4)}
            self.bar.update()
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}")

    def close(self):
        if self.bar:
            self.bar.close()


@contextmanager
def _clean_end(progress: _Progress):
    """Ctrl-C and SIGTERM finish the step under way; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum, frame):
        if progress.stop_asked:
            raise KeyboardInterrupt
        progress.stop_asked = True
        print("\nStopping after this step; it will be saved.")

    before = {signum: signal.signal(signum, ask) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _train_once(plan, folder, base, tokenizer, rows, notice, micro_batch, start) -> Run:
    step_rows = plan.micro_batch * plan.grad_accum
    schedule = [rows[i] for i in order([len(row.input_ids) for row in rows], step_rows, plan.epochs, plan.seed)]
    tokens = [
        sum(len(row.input_ids) for row in schedule[i : i + step_rows]) for i in range(0, len(schedule), step_rows)
    ]
    model = prepare(base, plan)
    args = TrainingArguments(
        output_dir=str(folder),
        use_cpu=not torch.cuda.is_available(),
        bf16=compute_dtype(plan.precision) is torch.bfloat16,
        fp16=compute_dtype(plan.precision) is torch.float16,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=step_rows // micro_batch,
        num_train_epochs=1,  # `schedule` holds every epoch
        train_sampling_strategy="sequential",
        learning_rate=plan.lr,
        lr_scheduler_type=plan.schedule,
        warmup_steps=plan.warmup_ratio,
        weight_decay=plan.weight_decay,
        optim=plan.optimizer,
        activation_checkpointing=plan.gradient_checkpointing,
        seed=plan.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=plan.save_steps,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )
    share = not METHODS[plan.method].virtual and not plan.gradient_checkpointing and plan.n_gpus == 1
    with Meter() as meter:
        progress = _Progress(meter, tokens)
        trainer = _StepTrainer(
            model=model,
            args=args,
            train_dataset=schedule,
            data_collator=lambda batch: collate(batch, tokenizer.pad_token_id, share),
            callbacks=[progress],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.plan = plan
        if start:
            print(f"Going on from {start.name} of {len(tokens)} steps.")
        with closing(progress), _clean_end(progress):
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    trained, everything = trainable_parameters(model)
    history = [entry for entry in trainer.state.log_history if "tokens" in entry]
    record = {
        "finished": trainer.state.global_step == len(tokens),
        "plan": plan.id,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model_files": str(base),
        "base": base_digest(base),
        "data": notice,
        "rows": len(rows),
        "micro_batch": micro_batch,
        "precision": str(compute_dtype(plan.precision)).removeprefix("torch."),
        "parameters": everything,
        "trainable": trained,
        "peak_gib": meter.peak_gib,
        "memory_of": meter.memory_of,
        "joules": meter.joules,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")},
        "history": history,
    }
    if record["finished"]:
        _save_final(model, plan, tokenizer, folder, record)
    else:
        print(
            f"Stopped after step {trainer.state.global_step} of {len(tokens)}: train the same plan again to go on from here."
        )
    return Run(folder, plan, record)


def _save_final(model, plan, tokenizer, folder: Path, record: dict) -> None:
    final = folder / "final"
    shutil.rmtree(final, ignore_errors=True)
    try:
        save(model, plan, final)
        tokenizer.save_pretrained(final)
        (final / "run.json").write_text(json.dumps(record, indent=1))
        seal(final)
    except Exception as error:
        if not _disk_is_full(error, str(folder)):
            raise
        shutil.rmtree(final, ignore_errors=True)
        raise CourseError(
            f"The disk filled up while the result was being saved in {final}: free some space and train again; no step is lost."
        ) from None
