"""Which tensors lie on the pretended GPU: a mark on the Python object of their storage.

torch keeps that object for as long as the storage lives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


class DeviceError(RuntimeError):
    """What CUDA would have refused."""


def is_on_gpu(x: object) -> bool:
    """Tell whether a tensor lies on the pretended GPU."""
    if not _is_marked_kind(x):
        return False
    with torch._C.DisableTorchFunction():
        return bool(getattr(x.untyped_storage(), "is_on_gpu", False))


def put(x: Any, *, on_gpu: bool = True) -> Any:
    """Put a tensor's storage on the pretended GPU, or take it off; return what was given."""
    if _is_marked_kind(x):
        with torch._C.DisableTorchFunction():
            x.untyped_storage().is_on_gpu = on_gpu
    return x


def _is_marked_kind(x: Any) -> bool:
    if not isinstance(x, torch.Tensor) or x.layout is not torch.strided:
        return False
    with torch._C.DisableTorchFunction():
        return x.device.type == "cpu"


def tensors_in(x: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in tuples, lists and dicts."""
    if isinstance(x, torch.Tensor):
        yield x
    elif isinstance(x, tuple | list):
        for part in x:
            yield from tensors_in(part)
    elif isinstance(x, dict):
        for part in x.values():
            yield from tensors_in(part)


def share_storage(x: Any, others: list[torch.Tensor]) -> bool:
    """Tell whether a tensor is a view of one of others, or one of them."""
    if not _is_marked_kind(x):
        return False
    with torch._C.DisableTorchFunction():
        own = x.untyped_storage()._cdata
        return any(_is_marked_kind(y) and y.untyped_storage()._cdata == own for y in others)
