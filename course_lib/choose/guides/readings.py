"""Our readings of the guides' vague words: each word gets one number here, and no guide has stated it.

Where a guide gives a number of its own, that number stands in the guide's module instead.
Memory words are read over all GPUs together, so that four small GPUs are not "very limited".
"""

from course_lib.choose.situation import Situation

EXTREMELY_LIMITED_GIB = 8  # "extremely limited resources": less than this, or no GPU
VERY_LIMITED_GIB = 16  # "very limited GPU memory": a GPU with less than this
LIMITED_GIB = 24  # "limited GPU memory", "limited compute": less than this
SUFFICIENT_GIB = 48  # "sufficient compute", "compute budget": lesson4's table names full fine-tuning from 48 GB
CONSUMER_GIB = (8, 24)  # "consumer GPUs": lesson4 writes "consumer GPUs (8-24GB)"
MULTIPLE_TASKS = 2  # "multiple tasks", "multi-task": at least
MANY_TASKS = 3  # "many tasks": at least
VERY_SMALL_DATASET = 1_000  # "very small dataset", "small datasets": fewer examples than this
LARGE_DATASET = 100_000  # "large" or "very large dataset" without a number: at least
GIB_PER_B_IN_16_BIT = 2e9 / 2**30  # "hold the 16-bit model": two bytes for each parameter, and no more


def total_gib(s: Situation) -> float:
    """Memory of all GPUs together, GiB."""
    return s.gpu_gib * s.n_gpus


def extremely_limited(s: Situation) -> bool:
    """“Extremely limited resources”."""
    return total_gib(s) < EXTREMELY_LIMITED_GIB


def very_limited_memory(s: Situation) -> bool:
    """There is a GPU, and it is small: without one there is no GPU memory to be economical with."""
    return 0 < total_gib(s) < VERY_LIMITED_GIB


def limited_memory(s: Situation) -> bool:
    """Limited but not very limited: a guide that grades its words means one grade at a time."""
    return VERY_LIMITED_GIB <= total_gib(s) < LIMITED_GIB


def limited_compute(s: Situation) -> bool:
    """“Limited compute”."""
    return total_gib(s) < LIMITED_GIB


def sufficient_compute(s: Situation) -> bool:
    """“Sufficient compute”, “compute budget”."""
    return total_gib(s) >= SUFFICIENT_GIB


def consumer_gpu(s: Situation) -> bool:
    """One “consumer GPU”."""
    return s.n_gpus == 1 and CONSUMER_GIB[0] <= s.gpu_gib <= CONSUMER_GIB[1]


def holds_in_16_bit(s: Situation) -> bool:
    """The wanted model's 16-bit weights fit into one GPU."""
    return s.model_b is not None and s.model_b * GIB_PER_B_IN_16_BIT <= s.gpu_gib
