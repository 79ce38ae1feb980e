"""`torchrun ... killed.py plan.yaml --folder F`: `course_lib.run` whose second process is killed once, in the middle of its run."""

import os
import signal
import sys
from functools import partial

from course_lib.run import train as train_module
from course_lib.run.__main__ import main

AT_STEP = 4


def die(step, model):
    if step == AT_STEP and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)


train_module.train = partial(train_module.train, watch=die)
sys.exit(main(sys.argv[1:]))
