"""What is known of common errors: what each means, and what to do about it, in order. Texts as the libraries write them."""

import re
import sys
import traceback
from importlib.metadata import PackageNotFoundError, requires, version
from typing import NamedTuple

from packaging.requirements import Requirement

from course_lib.errors import CourseError
from course_lib.learn.blame import text_of

LONGEST = 20_000  # characters of an error's text that are looked at


class Explanation(NamedTuple):
    """What an error means, in one sentence, and what to do, in order."""

    means: str
    do: tuple[str, ...]


GPU_MEMORY = Explanation(
    "The GPU's memory is full: the model, its gradients and one batch need more than it has.",
    (
        "Take a smaller batch and make up for it: plan.but(micro_batch=1, grad_accum=16) learns the same with less memory.",
        "Then plan.but(gradient_checkpointing=True), and a smaller max_len if your texts are short; course.estimate(plan) "
        "says before a run whether it fits.",
        "Restart the kernel before you try again: an error keeps what it was computing in memory.",
    ),
)
MEMORY = Explanation(
    "The computer's own memory (RAM) is full.",
    (
        "Close other programs and shut down other notebooks' kernels; `course doctor` in a terminal says how much is free.",
        "Take a smaller batch and make up for it: plan.but(micro_batch=1, grad_accum=16); then a smaller max_len.",
        "Use the profile cpu, the smallest model of the course: COURSE_PROFILE=cpu before the kernel starts.",
    ),
)
KERNEL_DIED = Explanation(
    "A kernel that dies leaves no error: nearly always the system stopped it because the memory was full (exit code 137).",
    (
        "Restart the kernel and run the cells from the top: course.train(plan) goes on from its last checkpoint.",
        "Close other programs and other notebooks' kernels; `course doctor` in a terminal says how much memory is free.",
        "If it dies again: plan.but(micro_batch=1, grad_accum=16), a smaller max_len, or the profile cpu.",
    ),
)
BITSANDBYTES = Explanation(
    "bitsandbytes, which holds weights in 4 or 8 bits, cannot work on the device that this machine has.",
    (
        "Without a GPU take LoRA on 16-bit weights: plan.but(method='lora'); QLoRA saves memory on a GPU.",
        "For QLoRA use a machine with an NVIDIA GPU, or Colab: Runtime, Change runtime type, T4 GPU.",
        "If there is a GPU: `python -m bitsandbytes` in a terminal says what it finds and what is missing.",
    ),
)
NO_GPU = Explanation(
    "This line asks for a GPU, and torch finds none that it can use.",
    (
        "Leave the device to the course, or write 'cpu' for 'cuda': every lesson runs without a GPU, with the profile cpu.",
        "In a plan set precision='auto'; in TrainingArguments leave out bf16 and fp16, or set use_cpu=True.",
        "On Colab choose Runtime, Change runtime type, T4 GPU. If this machine has a GPU, `course doctor` says why torch "
        "cannot use it.",
    ),
)
GATED = Explanation(
    "This model is gated: its owner gives it to people who are logged in and have accepted its terms.",
    (
        "Open the model's page on huggingface.co, log in and accept the terms; some owners take hours to answer.",
        "Run `hf auth login` in a terminal (no token belongs in a notebook), then restart the kernel.",
        "Or take an open model: those of the course need no account.",
    ),
)
NOT_FOUND = Explanation(
    "The hub knows no model or file of this name, or does not show it to you: it says the same of both.",
    (
        "Compare the name with the address of the model's page: owner/name, capitals included.",
        "If it is private or gated, run `hf auth login` in a terminal with an account that may read it, then restart the kernel.",
        "If it is a folder of yours, check that the path exists from here: import os; os.path.abspath('...').",
    ),
)
DISK_FULL = Explanation(
    "The disk is full, or your share of it.",
    (
        "See what is left with `course doctor` in a terminal; old runs in my_work/runs can go, each is a folder.",
        "Models downloaded earlier can go too: `hf cache ls` lists them, `hf cache rm model/NAME` removes one.",
        "Run the cell again: course.train(plan) goes on from its last whole checkpoint.",
    ),
)
OFFLINE = Explanation(
    "Downloads are switched off here, and the file is not on this disk yet.",
    (
        "If it is a model or data set of the course, run `course fetch` in a terminal once while there is a network.",
        "To allow downloads, unset HF_HUB_OFFLINE (or local_files_only) where it is set, then restart the kernel.",
        "Or use what is there: the profile cpu needs nothing that `make learn` has not fetched.",
    ),
)
NO_NETWORK = Explanation(
    "The hub, or another server, could not be reached, and the file is not on this disk yet.",
    (
        "Open huggingface.co in a browser on the same machine; a proxy or a login page of the network may be in the way.",
        "Wait a minute and run the cell again: a download goes on where it stopped.",
        "Or go on without: the lessons need no network once `course fetch` has run.",
    ),
)
NO_NAME = Explanation(
    "Python does not know this name here: mostly the cell that makes it has not run since the kernel started.",
    (
        "Run the cells above from the top: menu Run, Run All Above Selected Cell.",
        "If it stays, compare the spelling with the cell that makes it, capitals included.",
    ),
)
STOPPED = Explanation(
    "You stopped this cell, or the kernel was interrupted: nothing is broken.",
    ("Run the cell again when you like: course.train(plan) goes on from its last checkpoint.",),
)

# The first that is found in the names of an error's classes or in its text explains it.
KNOWN = [
    (re.compile(pattern), explanation)
    for pattern, explanation in (
        (r"\bOutOfMemoryError|(CUDA|HIP|XPU|MPS)\b.{0,40}out of memory|CUBLAS_STATUS_ALLOC_FAILED", GPU_MEMORY),
        (r"MemoryError\b|DefaultCPUAllocator|Cannot allocate memory|Unable to allocate \d|is killed by signal: Killed|"
         r"exit (code|status)\D{0,3}(137|-9)\b", MEMORY),
        (r"supported by the bitsandbytes|use bitsandbytes native library|libbitsandbytes|requires bitsandbytes", BITSANDBYTES),
        (r"not compiled with CUDA|No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device|"
         r"CUDA driver version is insufficient|support bf16/gpu|torch\.cuda\.is_available\(\) is False", NO_GPU),
        (r"GatedRepoError|access (a )?gated repo|is a gated repository|Access to model .{0,200} is restricted", GATED),
        (r"RepositoryNotFoundError|RevisionNotFoundError|RemoteEntryNotFoundError|not a valid model identifier|HFValidationError|"
         r"401 Client Error|403 Forbidden|Invalid credentials", NOT_FOUND),
        (r"No space left on device|Disk quota exceeded|Not enough free disk space", DISK_FULL),
        (r"OfflineModeIsEnabled|offline mode is enabled|outgoing traffic has been disabled", OFFLINE),
        (r"LocalEntryNotFoundError|ConnectError|ConnectTimeout|ReadTimeout|ConnectionError|ConnectionRefused|URLError|"
         r"couldn't connect to|getaddrinfo|name resolution|Name or service not known|Network is unreachable|"
         r"Connection refused|Max retries exceeded|CERTIFICATE_VERIFY_FAILED", NO_NETWORK),
        (r"^NameError|\bUnboundLocalError", NO_NAME),
        (r"^KeyboardInterrupt", STOPPED),
    )
]  # fmt: skip
DIED = re.compile(
    r"(?i)kernel\W{1,9}(\w{1,30}\W{1,9}){0,3}(died|dies|dead|die|crash|restart|killed)|dead kernel|exit\w{0,5} \D{0,12}137"
)
LIBRARIES = ("transformers", "trl", "peft", "torch", "datasets", "accelerate", "bitsandbytes", "huggingface_hub")
RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "max_seq_length": "max_length",
    "tokenizer": "processing_class",
    "no_cuda": "use_cpu",
    "AdamW": "torch.optim.AdamW",
}


def explain(error: BaseException) -> Explanation | None:
    """What is known of an error, or of what caused it; None where nothing is."""
    if isinstance(error, CourseError):
        return Explanation("The course itself stopped here, and its sentence says what to do next.", ())
    chain = []
    while error is not None and len(chain) < 10:
        chain.append(error)
        error = error.__cause__
    names = "\n".join(" ".join(kind.__name__ for kind in type(one).__mro__) for one in chain)
    return explain_text("\n".join([names, *(text_of(one)[:LONGEST] for one in chain)])) or _mismatch(chain[0])


def explain_text(text: str) -> Explanation | None:
    """What is known of an error by its words, such as those that a reader has pasted."""
    return next((explanation for pattern, explanation in KNOWN if pattern.search(text)), None)


def _mismatch(error: BaseException) -> Explanation | None:
    """A name that the installed version of a library does not have."""
    library = _library(error, text_of(error))
    if not library:
        return None
    package = library.replace("_", "-")
    wanted = _wanted(package)
    try:
        installed = version(package)
    except PackageNotFoundError:
        name = (
            f'`%pip install "{wanted}"`'
            if wanted
            else "the package that holds it (its name may differ) with `%pip install`"
        )
        do = (
            f"If the course itself asks for it run `make learn` again; else install {name}.",
            "Then restart the kernel.",
        )
        return Explanation("There is no such module in the Python that this notebook runs in.", do)
    if wanted and not Requirement(wanted).specifier.contains(installed, prereleases=True):
        do = (f'Run `make learn` again, or `%pip install "{wanted}"` in a cell, then restart the kernel.',)
        return Explanation(f"{package} {installed} is installed, and the course needs {wanted}.", do)
    new = next((f" It is now called {new}." for old, new in RENAMED.items() if f"'{old}'" in text_of(error)), "")
    return Explanation(
        f"{package} {installed}, which the course was made for, has no such name: the line is for another version.{new}",
        (
            f"Look the name up for version {installed}: help(...) on the class in your line, or its page of documentation.",
            "If you have just installed or updated a package, restart the kernel: the old one is still loaded.",
        ),
    )


def _library(error: BaseException, text: str) -> str:
    """The library that an error of a wrong name comes from; empty if none."""
    name = ""
    if isinstance(error, ImportError):
        name = (error.name or "").partition(".")[0]
        return name if isinstance(error, ModuleNotFoundError) or name in LIBRARIES else ""
    if isinstance(error, AttributeError) and (found := re.match(r"module '?(\w+)[\w.]*'? has no attribute", text)):
        name = found[1]
    elif isinstance(error, TypeError) and (found := re.match(r"(\w+)[\w.]*\(\) got an unexpected keyword", text)):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        name = str(frames[-1].f_globals.get("__name__")).partition(".")[0] if frames else ""
        loaded = [library for library in LIBRARIES if library in sys.modules]
        name = next((library for library in loaded if found[1] in dir(sys.modules[library])), name)
    return name if name in LIBRARIES else ""


def _wanted(package: str) -> str:
    """What the course asks for, such as `trl<2,>=1.16`; empty if nothing."""
    try:
        return next((need for need in requires("course-lib") or () if Requirement(need).name == package), "")
    except PackageNotFoundError:
        return ""
