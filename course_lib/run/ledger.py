"""A ledger of memory: every tensor that PyTorch makes is written down with its bytes, and crossed out when it dies.

PyTorch hands each operation to a `TorchDispatchMode` before it runs it. The ledger lets it run, then looks at the tensors
that came out. What several tensors share (a view, a transpose, tied weights) is one storage and is counted once. It counts
real tensors and fake ones (shapes without numbers) alike, so the same step can be weighed with and without its model.
"""

import weakref
from functools import cache

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class Ledger(TorchDispatchMode):
    """Bytes of all live tensors by category, and their peak, while operations run inside `with ledger:`.

    live: category -> bytes now. total: their sum. peak: the largest total so far; at_peak: `live` at that moment.
    phases: phase -> the largest total in it; set `phase` and `category` to say where the next tensors belong.
    device: the kind of device whose tensors count. round_to: bytes that an allocation is rounded up to (512 on a GPU).
    vocab: a tensor whose last dimension is this counts as "logits", whatever the category.
    """

    def __init__(self, device: str = "cpu", round_to: int = 1, vocab: int | None = None):
        super().__init__()
        self.device, self.round_to, self.vocab = device, round_to, vocab
        self.phase, self.category = "setup", "activations"
        self.live: dict[str, int] = {}
        self.total = 0
        self._storages: dict[int, tuple[weakref.ref, str, int]] = {}
        self.forget_peak()

    def forget_peak(self) -> None:
        """Begin a new peak at what is alive now."""
        self.peak, self.at_peak, self.phases = self.total, dict(self.live), {}

    def add(self, tensor: torch.Tensor, category: str) -> None:
        """Write a tensor down under `category`; one that is in the ledger already moves there."""
        if tensor.device.type != self.device:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages:
            reference, _, size = self._strike(key)
        else:
            size = -(-storage.nbytes() // self.round_to) * self.round_to
            reference = weakref.ref(storage, lambda _: self._strike(key))
        self._storages[key] = (reference, category, size)
        self.live[category] = self.live.get(category, 0) + size
        self.total += size
        if self.total >= self.peak:
            self.peak, self.at_peak = self.total, dict(self.live)
        self.phases[self.phase] = max(self.phases.get(self.phase, 0), self.total)

    def forget(self, tensor: torch.Tensor) -> None:
        """Cross out a tensor that lives on, elsewhere than on the device."""
        self._strike(tensor.untyped_storage()._cdata)

    def _strike(self, key: int) -> tuple[weakref.ref, str, int]:
        reference, category, size = self._storages.pop(key, (None, self.category, 0))
        self.live[category] = self.live.get(category, 0) - size
        self.total -= size
        return reference, category, size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self._storages:
                is_logits = tensor.ndim > 1 and tensor.shape[-1] == self.vocab
                self.add(tensor, "logits" if is_logits else self.category)
        return out


class FakeLedger(Ledger):
    """A ledger for fake tensors, which have no values: a mask selects everything, for all positions are targets.

    Two kinds of operation are answered here because the long way would take most of the time: where a tensor is (asked
    several times for each operation), and writing into a tensor that is there already.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.prim.device.default:
            return args[0].fake_device
        if _in_place(func) and not _has_values(args[0]):
            return args[0] if func._schema.returns else None
        if func is torch.ops.aten._local_scalar_dense.default and args[0].dtype is torch.bool:
            return False  # asked of attention masks: not every position holds a token, since rows are padded
        if func is torch.ops.aten.index.Tensor and args[1][0] is not None and args[1][0].dtype is torch.bool:
            func, args = _all_rows, (args[0], args[1][0])
        elif func is torch.ops.aten.nonzero.default:
            func = _all_places
        return super().__torch_dispatch__(func, types, args, kwargs)


@cache
def _in_place(func) -> bool:
    """Whether an operation only writes into its first argument: nothing to compute, nothing to count."""
    return func._schema.name.endswith("_") and torch.Tag.inplace_view not in func.tags


def _has_values(written: torch.Tensor | list[torch.Tensor]) -> bool:
    """A few fake scalars do, such as an optimizer's count of its steps."""
    first = written if isinstance(written, torch.Tensor) else written[0]
    return getattr(first, "constant", first) is not None


def _all_rows(tensor: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return tensor.new_empty(mask.numel(), *tensor.shape[mask.ndim :])


def _all_places(mask: torch.Tensor) -> torch.Tensor:
    return mask.new_empty((mask.numel(), mask.ndim), dtype=torch.long)
