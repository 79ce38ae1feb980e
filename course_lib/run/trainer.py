"""transformers' Trainer, changed where a stage of a plan needs it."""

import errno
import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer import SCHEDULER_NAME

from course_lib.errors import CourseError
from course_lib.plan import Plan
from course_lib.run.checkpoints import newest_valid, prune
from course_lib.run.distributed import is_main, is_sharded, processes, total, wait
from course_lib.run.objectives import BaseLogits, count, loss
from course_lib.run.seal import seal
from course_lib.run.sharded import PARTS, divide_states, load_states, load_weights, on_own_parts, save_parts
from course_lib.run.trained import TRAINED_FILE, go_on, save_to_go_on
from course_lib.run.variants import is_pissa, starts

STARTS_FILE = "starts.safetensors"  # in a checkpoint in parts: what PiSSA took out of the frozen weights
BLOCK = re.compile(r"\.(?:layers|layer|h|blocks|block)\.(\d+)\.")


class StageTrainer(Trainer):
    """transformers' Trainer with our loss, our learning rates, and checkpoints that are sealed when complete."""

    loss_is_scaled_for_ga = True
    plan: Plan
    base_logits: BaseLogits | None = None

    def _get_num_items_in_batch(self, batch_samples, device):
        return total(sum(count(batch, self.plan) for batch in batch_samples).to(device))

    def get_train_dataloader(self):
        """Of several processes each is given its own rows, which accelerate would divide once more."""
        if processes() == 1:
            return super().get_train_dataloader()
        return DataLoader(self.train_dataset, batch_size=self._train_batch_size, collate_fn=self.data_collator)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if num_items_in_batch is None:
            num_items_in_batch = count(inputs, self.plan)
        # Gradients are averaged over the processes, and the loss is a sum.
        return processes() * loss(model, inputs, self.plan, num_items_in_batch, self.base_logits)

    def create_optimizer(self, model=None):
        optimizer = super().create_optimizer(model)
        if self.plan.layer_decay < 1:
            decay_layers(optimizer, self.model, self.plan)
        if is_sharded(self.plan) and "8bit" in self.plan.optimizer:
            on_own_parts(optimizer)
        return optimizer

    def _save(self, output_dir=None, state_dict=None):
        if is_sharded(self.plan):
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            if is_main() and is_pissa(self.plan):
                save_file(starts(self.model), Path(output_dir) / STARTS_FILE)
        elif is_main():
            super()._save(output_dir, state_dict)
            save_to_go_on(self.model, self.plan, output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        folder = Path(resume_from_checkpoint)
        if (folder / PARTS).exists():
            load_weights(self.model, folder)
        elif is_sharded(self.plan):  # whole weights: `train` has read them before the model was divided
            if self.state.global_step:
                raise CourseError(
                    f"{folder.name} was saved whole, and a model that is divided over processes cannot go back to it: set sharding to ddp."
                )
        elif (file := folder / TRAINED_FILE).exists():
            go_on(self.model, self.plan, file)
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _save_optimizer_and_scheduler(self, output_dir):
        if not is_sharded(self.plan):
            super()._save_optimizer_and_scheduler(output_dir)
            return
        save_parts(self.model, self.optimizer.optimizer, Path(output_dir))
        if is_main():
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint):
        if checkpoint and (Path(checkpoint) / PARTS).exists():
            load_states(self.model, self.optimizer.optimizer, Path(checkpoint))
            self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))
            return
        if checkpoint and is_sharded(self.plan) and "8bit" in self.plan.optimizer:
            raise CourseError(
                f"The 8-bit optimizer states in {Path(checkpoint).name} are whole and cannot be divided: set sharding to what it was, or "
                "train in another folder."
            )
        super()._load_optimizer_and_scheduler(checkpoint)
        divide_states(self.optimizer.optimizer)

    def _save_checkpoint(self, model, trial):
        step = self.state.global_step
        target = Path(self.args.output_dir) / f"checkpoint-{step}"
        try:
            super()._save_checkpoint(model, trial)
            wait()
            if is_main():
                seal(target, step=step, micro_batch=self.args.per_device_train_batch_size)
        except Exception as error:
            if not disk_is_full(error, self.args.output_dir):
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
        if is_main():
            prune(Path(self.args.output_dir), keep=2)
        wait()


def decay_layers(optimizer: torch.optim.Optimizer, model, plan: Plan) -> None:
    """Give each block its own learning rate: the last one the plan's, each one below `plan.layer_decay` times the next.

    What stands below the blocks counts as one more; what stands above them learns at the plan's rate (ULMFiT, Howard & Ruder 2018).
    """
    blocks = model.config.get_text_config().num_hidden_layers
    below = {id(parameter) for parameter in model.get_input_embeddings().parameters()}
    depth = {}
    for name, parameter in model.named_parameters():
        block = BLOCK.search(f".{name}")
        depth[id(parameter)] = blocks if id(parameter) in below else blocks - 1 - int(block[1]) if block else 0
    groups = []
    for group in optimizer.param_groups:
        for d in sorted({depth[id(parameter)] for parameter in group["params"]}):
            here = [parameter for parameter in group["params"] if depth[id(parameter)] == d]
            groups.append({**group, "params": here, "lr": group["lr"] * plan.layer_decay**d})
    optimizer.param_groups[:] = groups


def disk_is_full(error: Exception, folder: str) -> bool:
    said = str(error)
    return (
        getattr(error, "errno", None) == errno.ENOSPC
        or "No space left" in said
        or "code: 28" in said
        or shutil.disk_usage(folder).free < 1024**2
    )
