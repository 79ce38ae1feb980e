"""What an estimate of memory says: three figures, each with its interval, and what they are made of."""

from dataclasses import dataclass

PARTS = ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "context")


@dataclass(frozen=True)
class MemoryEstimate:
    """Peak memory of one training step on one GPU, GiB.

    allocated_gib: what torch's tensors take. reserved_gib: what torch's allocator holds for them. device_gib: what
    nvidia-smi shows, the CUDA context included. parts: PARTS, GiB; they add up to the device figure less what the
    allocator holds idle. intervals: figure -> (low, high), 95 %. assumes: each default that moved the number, in words.
    """

    allocated_gib: float
    reserved_gib: float
    device_gib: float
    parts: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    assumes: tuple[str, ...] = ()

    @property
    def peak_gib(self) -> float:
        """The device figure: what must fit on the card."""
        return self.device_gib

    def interval(self, figure: str = "device") -> tuple[float, float]:
        """95 % interval of "allocated", "reserved" or "device", GiB."""
        return self.intervals[figure]

    def __str__(self) -> str:
        lines = [
            f"{name:<10} {value:8.2f} GiB   95 % between {low:.2f} and {high:.2f}"
            for name, value in (
                ("allocated", self.allocated_gib),
                ("reserved", self.reserved_gib),
                ("device", self.device_gib),
            )
            for low, high in [self.intervals[name]]
        ]
        made_of = ", ".join(f"{name} {self.parts[name]:.2f}" for name in PARTS if self.parts.get(name, 0) >= 0.005)
        return "\n".join([*lines, f"made of: {made_of} GiB", *(f"assumes: {words}" for words in self.assumes)])
