"""What a run costs: seconds, peak memory, energy where the machine says."""

import threading
import time
from pathlib import Path

import psutil
import torch

GIB = 1024**3


class Meter:
    """Measures a `with` block.

    seconds: wall clock. peak_gib: on a GPU torch's peak of allocated memory; on a CPU the most resident memory this
    process had (weights, activations, and also Python and its libraries: about 0.4 GiB). memory_of says which.
    joules: the processor package's energy counter (Intel and AMD RAPL), None where the machine does not say or does not
    let us read it.
    """

    def __enter__(self):
        self.joules, self.seconds = None, 0.0
        self.memory_of = "GPU, allocated by torch" if torch.cuda.is_available() else "process, resident"
        self._process, self._peak, self._stop = psutil.Process(), 0, threading.Event()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._energy = _microjoules()
        self._start = time.perf_counter()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def _sample(self):
        while True:
            self._peak = max(self._peak, self._process.memory_info().rss)
            if self._stop.wait(0.05):
                return

    @property
    def peak_gib(self) -> float:
        """Peak so far, GiB."""
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else self._peak
        return peak / GIB

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self._start
        self._stop.set()
        self._thread.join()
        now = _microjoules()
        if self._energy and now and all(name in now and now[name] >= used for name, used in self._energy.items()):
            self.joules = sum(now[name] - used for name, used in self._energy.items()) / 1e6


def _microjoules() -> dict[str, int]:
    """Energy counters of the processor packages, microjoules; empty where they are missing or private."""
    found = {}
    for counter in Path("/sys/class/powercap").glob("*-rapl:?/energy_uj"):
        try:
            found[counter.parent.name] = int(counter.read_text())
        except OSError:
            return {}
    return found


def busy_neighbours(seconds: float = 0.2) -> float:
    """How many cores other processes keep busy right now (0 = the machine is ours)."""
    mine = psutil.Process()
    before = mine.cpu_times()
    share = psutil.cpu_percent(interval=seconds) / 100 * psutil.cpu_count()
    after = mine.cpu_times()
    return max(0.0, share - (after.user + after.system - before.user - before.system) / seconds)
