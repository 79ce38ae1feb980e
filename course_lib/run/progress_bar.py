"""A training run as its reader sees it: a bar, a line of numbers for each step, and a clean end on Ctrl-C."""

import signal
import threading
import time
from contextlib import contextmanager

from tqdm import tqdm
from transformers import TrainerCallback

from course_lib.run.distributed import everyone, is_main, processes, say


class Progress(TrainerCallback):
    """A progress bar, the tokens and seconds of each step, and a clean end on Ctrl-C."""

    def __init__(self, tokens: list[int]):
        self.tokens, self.stop_asked, self.bar = tokens, False, None

    def on_train_begin(self, args, state, control, **_):
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, unit="step", desc="training", disable=not is_main()
        )

    def on_step_begin(self, args, state, control, **_):
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        self.seconds = time.perf_counter() - self.start
        if any(everyone(self.stop_asked)):
            if processes() > 1:
                say("\nStopping after this step; it is being saved.")
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
def clean_end(progress: Progress):
    """Ctrl-C and SIGTERM finish the step under way; a second one interrupts at once.

    Of several processes all stop after the same step; their launcher passes on what they got themselves, so that no signal is a
    second one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(signum, frame):
        if processes() == 1:
            if progress.stop_asked:
                raise KeyboardInterrupt
            print("\nStopping after this step; it will be saved.")
        progress.stop_asked = True

    before = {signum: signal.signal(signum, ask) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
