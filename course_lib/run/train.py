"""`train(plan)`: one run, from checked plan to saved weights; killed anywhere, it goes on where it was."""

import json
import os
import platform
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate.utils.memory import should_reduce_batch_size
from safetensors.torch import load_file
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from transformers.utils import logging as hf_logging

from course_lib.errors import CourseError
from course_lib.folders import work_folder, write_whole
from course_lib.plan import Plan
from course_lib.run import general
from course_lib.run.assets import model_folder
from course_lib.run.check import check_disk, check_plan, step_rows_of
from course_lib.run.checkpoints import newest_valid, throw_away
from course_lib.run.distributed import (
    check_processes,
    check_shared,
    divide_alone,
    from_main,
    group,
    is_sharded,
    part,
    processes,
    rank,
    say,
)
from course_lib.run.meter import Meter, busy_neighbours
from course_lib.run.methods import (
    autocast,
    check_targets,
    compute_dtype,
    prepare,
    trainable_parameters,
)
from course_lib.run.objectives import OBJECTIVES, collator, silent
from course_lib.run.preference import with_reference
from course_lib.run.progress_bar import Progress, clean_end
from course_lib.run.result import Run, joined
from course_lib.run.seal import MANIFEST, fault, seal
from course_lib.run.sharded import PARTS, shard, whole
from course_lib.run.stages import Stage, check_data, load_stages
from course_lib.run.step import order
from course_lib.run.trained import base_digest, save, save_to_go_on, start_from
from course_lib.run.trainer import STARTS_FILE, StageTrainer, disk_is_full
from course_lib.run.variants import move_start

hf_logging.set_verbosity_error()
hf_logging.disable_progress_bar()

Watch = Callable[[int, torch.nn.Module], None]


def train(plan: Plan, *, folder: str | Path | None = None, resume: bool = True, watch: Watch | None = None) -> Run:
    """Train `plan` in `folder` (default: one folder per plan under `my_work/runs`) and return the run.

    A finished run of the same plan is returned as it is; an unfinished one goes on from its newest valid checkpoint.
    `resume=False` throws away the run that the folder holds. On Ctrl-C or SIGTERM the step under way is finished and saved.
    Out of memory: the micro-batch is halved, accumulation doubled, so that each step keeps its rows. An objective of two
    stages trains them one after the other, each in a folder of its own.

    watch: called with the step and the model each `save_steps` steps of the last stage; what it raises ends the training.

    Raises:
        CourseError: before anything is downloaded or trained, for a plan that cannot run here; later for a full disk, or
            when one row alone does not fit in memory.
    """
    folder = Path(folder) if folder else work_folder() / "runs" / f"{plan.method}-{plan.id}"
    check_processes(plan)
    check_plan(plan, folder if resume else None)
    divide_alone()
    with group():
        return _train(plan, folder, resume, watch)


def _train(plan: Plan, folder: Path, resume: bool, watch: Watch | None) -> Run:
    base = model_folder(plan.model, plan.revision)
    check_targets(base, plan)
    stages = load_stages(plan, folder, base)
    if resume:
        for stage in stages:
            check_data(stage)
    else:
        from_main(lambda: throw_away(folder))
    records, before = [], None
    for number, stage in enumerate(stages, 1):
        if len(stages) > 1:
            say(f"Stage {number} of {len(stages)}, {stage.plan.objective}: {OBJECTIVES[stage.plan.objective].goal}.")
            from_main(lambda: _write_down(folder / "plan.yaml", plan.to_text()))
        records.append(_train_stage(replace(stage, before=before), base, watch if number == len(stages) else None))
        if not records[-1]["finished"]:
            break
        before = stage.folder / "final"
    return Run(folder, plan, joined(plan, records))


def _write_down(file: Path, text: str) -> None:
    try:
        write_whole(file, text)
    except OSError as error:
        raise CourseError(
            f"The folder {file.parent} cannot be written ({error.strerror}): choose another with folder=..."
        ) from None


def _train_stage(stage: Stage, base: Path, watch: Watch | None) -> dict:
    """The record of the stage's run, which is trained, gone on with, or found finished."""
    plan, folder = stage.plan, stage.folder
    if from_main(lambda: (folder / "final").exists() and fault(folder / "final") is None):
        say(f"This plan was trained before; its run is in {folder}. (resume=False trains it anew.)")
        return json.loads((folder / "final" / "run.json").read_text())
    start = from_main(lambda: newest_valid(folder))
    check_disk(folder, base, plan, checkpoints=1 if start else 3)
    from_main(lambda: _write_down(folder / "data.sha256", stage.digest))
    from_main(lambda: _write_down(folder / "plan.yaml", plan.to_text()))
    check_shared(folder / "plan.yaml", plan.to_text())
    if processes() == 1 and (others := busy_neighbours()) > 0.5:
        print(
            f"Other processes keep {others:.1f} of {os.cpu_count()} cores busy: training will be much slower than it could be."
        )

    step_rows, micro_batch = plan.micro_batch * plan.grad_accum, plan.micro_batch
    if start and processes() == 1:  # smaller than the plan's if memory ran out before the run was cut off
        micro_batch = min(micro_batch, json.loads((start / MANIFEST).read_text()).get("micro_batch", micro_batch))
    while True:
        try:
            return _train_once(stage, base, micro_batch, start, watch)
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
        if processes() > 1:
            raise CourseError(
                f"Out of memory in process {rank()} of {processes()}: set gradient_checkpointing to true, or micro_batch to "
                f"{-(-micro_batch // 2)} and grad_accum so that each step keeps its {step_rows_of(plan)} rows, and start it again: it "
                "goes on from its newest checkpoint."
            )
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


class _AtEachSave(TrainerCallback):
    """Before each checkpoint: a look at general texts, which may end the training, and whoever watches."""

    def __init__(self, plan: Plan, looks: general.Looks | None, watch: Watch | None):
        self.plan, self.looks, self.watch, self.stopped = plan, looks, watch, None

    def on_step_end(self, args, state, control, model=None, **_):
        if state.global_step % self.plan.save_steps and state.global_step != state.max_steps:
            return
        if self.looks and not self.looks.within(state.global_step):
            self.stopped = state.global_step
            control.should_save, control.should_training_stop = False, True
        elif self.watch:
            self.watch(state.global_step, model)


def _train_once(stage: Stage, base: Path, micro_batch: int, start: Path | None, watch: Watch | None) -> dict:
    plan, folder, tokenizer = stage.plan, stage.folder, stage.tokenizer
    origin = stage.before if stage.before and plan.method == "full" else base
    model = prepare(origin, plan, stage.labels)
    trained, everything = trainable_parameters(model)
    if stage.before and plan.method != "full":
        start_from(model, plan, stage.before)
    if start and is_sharded(plan) and not (start / PARTS).exists():
        start_from(model, plan, start)
    if start and (start / STARTS_FILE).exists():
        move_start(model, load_file(start / STARTS_FILE))
    if is_sharded(plan):
        shard(model, plan)
    together = collator(plan, tokenizer.pad_token_id, model.config)
    rows = stage.rows
    if plan.objective == "dpo":
        with autocast(plan):
            rows = with_reference(model, rows, folder, stage.digest, together, plan.micro_batch)
    looks = None
    if plan.early_stop:

        def look() -> float:
            with autocast(plan):
                return general.general_loss(model, stage.held_out, tokenizer.pad_token_id)

        looks = general.Looks(folder, plan.early_stop, look)
    step_rows = step_rows_of(plan)
    schedule = [rows[i] for i in order([len(row) for row in rows], step_rows, plan.epochs, plan.seed)]
    tokens = [sum(map(len, schedule[i : i + step_rows])) for i in range(0, len(schedule), step_rows)]
    args = TrainingArguments(
        output_dir=str(folder),
        use_cpu=not torch.cuda.is_available(),
        bf16=compute_dtype(plan.precision) is torch.bfloat16,
        fp16=compute_dtype(plan.precision) is torch.float16,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=plan.micro_batch * plan.grad_accum // micro_batch,
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
        ddp_find_unused_parameters=False,
        accelerator_config={"gradient_accumulation_kwargs": {"sync_each_batch": is_sharded(plan)}},
        disable_tqdm=True,
        report_to="none",
    )
    args._n_gpu = min(
        args.n_gpu, 1
    )  # with several GPUs in sight and one process, Trainer would spread each batch over them
    with Meter() as meter:
        progress, each_save = Progress(tokens), _AtEachSave(plan, looks, watch)
        mine = part(schedule, step_rows, silent)
        trainer = StageTrainer(
            model=model, args=args, train_dataset=mine, data_collator=together, callbacks=[progress, each_save]
        )
        # The words that Trainer has for: this model is divided already, do not wrap it.
        trainer.is_distributed_loading_by_transformers = is_sharded(plan)
        trainer.remove_callback(PrinterCallback)
        trainer.plan = plan
        if plan.kl:
            trainer.base_logits = general.base_logits(model, plan, base)
        if start:
            say(f"Going on from {start.name} of {len(tokens)} steps.")
        with closing(progress), clean_end(progress):
            trainer.train(resume_from_checkpoint=str(start) if start else None)
    kept = _back_within_bounds(trainer, folder, each_save.stopped) if each_save.stopped else None
    history = [{"stage": plan.objective} | entry for entry in trainer.state.log_history if "tokens" in entry]
    record = {
        "finished": trainer.state.global_step == len(tokens) or kept is not None,
        "plan": plan.id,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model_files": str(base),
        "base": base_digest(base),
        "data": stage.notice,
        "rows": len(rows),
        "labels": stage.labels,
        "micro_batch": micro_batch,
        "processes": processes(),
        "precision": str(compute_dtype(plan.precision)).removeprefix("torch."),
        "parameters": everything,
        "trainable": trained,
        "peak_gib": meter.peak_gib,
        "memory_of": meter.memory_of,
        "joules": meter.joules,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft", "accelerate")},
        "general_loss": looks.losses if looks else {},
        "stopped_early": {"at_step": each_save.stopped, "weights_of_step": kept} if kept else None,
        "history": history,
    }
    if record["finished"]:
        with whole(model):
            from_main(lambda: _save_final(model, plan, tokenizer, folder, record, stage.goes_on))
    else:
        say(
            f"Stopped after step {trainer.state.global_step} of {len(tokens)}: train the same plan again to go on from here."
        )
    return record


def _back_within_bounds(trainer: StageTrainer, folder: Path, stopped: int) -> int:
    """Put back the weights of the newest checkpoint, and say so; returns its step."""
    last = from_main(lambda: newest_valid(folder))
    if last is None:
        raise CourseError(
            f"The loss on general texts had risen by more than early_stop = {trainer.plan.early_stop:g} at the first look, step "
            f"{stopped}: lower lr or save_steps, or set replay to 0.2."
        )
    trainer._load_from_checkpoint(str(last))
    step = int(last.name.removeprefix("checkpoint-"))
    say(
        f"Stopped early: after step {stopped} the loss on general texts had risen by more than {trainer.plan.early_stop:g} "
        f"nats per token; the result is the model after step {step}."
    )
    return step


def _save_final(model, plan, tokenizer, folder: Path, record: dict, goes_on: bool) -> None:
    final = folder / "final"
    shutil.rmtree(final, ignore_errors=True)
    try:
        save(model, plan, final)
        if goes_on:
            save_to_go_on(model, plan, final)
        tokenizer.save_pretrained(final)
        (final / "run.json").write_text(json.dumps(record, indent=1))
        seal(final)
    except Exception as error:
        if not disk_is_full(error, str(folder)):
            raise
        shutil.rmtree(final, ignore_errors=True)
        raise CourseError(
            f"The disk filled up while the result was being saved in {final}: free some space and train again; no step is lost."
        ) from None
