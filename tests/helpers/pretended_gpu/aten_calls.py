"""Sees every ATen operation, those of the backward pass too, and refuses what CUDA refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.helpers.pretended_gpu.marks import DeviceError, is_on_gpu, put, tensors_in
from tests.helpers.pretended_gpu.syncs import Syncs

aten = torch.ops.aten
ACROSS = {aten.copy_.default, aten._to_copy.default, aten.set_.source_Tensor}
"""What may take a tensor from one device to the other."""
INDEXING = {
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._index_put_impl_.default,
}
WAITING = {
    aten._local_scalar_dense.default: "item",
    aten.equal.default: "equal",
    aten.nonzero.default: "nonzero",
    aten.masked_select.default: "masked_select",
    aten._unique2.default: "unique",
    aten.unique_dim.default: "unique",
    aten.unique_consecutive.default: "unique",
    aten.bincount.default: "bincount",
    aten.repeat_interleave.Tensor: "repeat_interleave without output_size",
    aten.is_nonzero.default: "bool",
}
"""Operations whose result the program waits for: on it depends a shape, or what Python does."""
TAKES_SCALARS = {
    *("fill", "fill_", "masked_fill", "masked_fill_", "index_fill", "index_fill_"),
    *("where", "copy_"),
}
"""Beside pointwise operations these take a CPU tensor without dimensions."""


class AtenCalls(TorchDispatchMode):
    """The rules of CUDA for every operation."""

    def __init__(self, syncs: Syncs) -> None:
        super().__init__()
        self._syncs = syncs
        self._new_on_gpu = 0
        self._moving = 0

    @contextmanager
    def new_tensors_on_gpu(self, yes: bool) -> Iterator[None]:
        """Inside the block, tensors that are made of nothing lie on the GPU."""
        self._new_on_gpu += yes
        try:
            yield
        finally:
            self._new_on_gpu -= yes

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Inside the block, a tensor is copied from one device to the other."""
        self._moving += 1
        try:
            yield
        finally:
            self._moving -= 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Check an operation, carry it out, and mark what it returns."""
        kwargs = kwargs or {}
        tensors = list(tensors_in((args, kwargs)))
        on_gpu = any(map(is_on_gpu, tensors))
        if on_gpu:
            self._check(func, args, kwargs, tensors)
            self._count(func, args)
        out = func(*args, **kwargs)
        if func is aten.copy_.default or func is aten._local_scalar_dense.default:
            return out
        if on_gpu or (not tensors and (self._new_on_gpu or _in_backward())):
            for x in tensors_in(out):
                put(x)
        return out

    def _check(self, func: Any, args: Any, kwargs: Any, tensors: list[torch.Tensor]) -> None:
        name = func._schema.name.removeprefix("aten::")
        for x in (*args, *kwargs.values()):
            if isinstance(x, torch.Generator) and x.device.type == "cpu":
                raise DeviceError(f"{name}: expected a 'cuda' generator but found 'cpu'")
        strangers = [x for x in tensors if not is_on_gpu(x)]
        if not strangers or func in ACROSS or self._moving:
            return
        if func in INDEXING:
            _check_indexing(func, name, args)
        elif name.startswith("_foreach") or "fused" in name:  # optimisers count steps on the CPU
            return
        elif any(x.dim() for x in strangers) or not _takes_scalars(func, name):
            shapes = ", ".join(str(tuple(x.shape)) for x in strangers)
            raise DeviceError(f"{name}: expected all tensors on cuda:0, found on the CPU: {shapes}")
        elif func._schema.is_mutable and not is_on_gpu(args[0]):
            raise DeviceError(f"{name}: a CPU tensor is written from a GPU tensor")

    def _count(self, func: Any, args: Any) -> None:
        if func in WAITING:
            self._syncs.add(WAITING[func])
        elif func is aten.copy_.default and is_on_gpu(args[0]) != is_on_gpu(args[1]):
            self._syncs.add("copy to the GPU" if is_on_gpu(args[0]) else "copy to the CPU")
        elif func in INDEXING:
            indices = [x for x in args[1] if x is not None]
            fills = func is not aten.index.Tensor and args[2].dim() == 0
            if any(x.dtype in {torch.bool, torch.uint8} for x in indices) and not fills:
                self._syncs.add("boolean index")
            if not all(map(is_on_gpu, indices)):
                self._syncs.add("copy of an index to the GPU")


def _check_indexing(func: Any, name: str, args: Any) -> None:
    if not is_on_gpu(args[0]):
        raise DeviceError(f"{name}: indices on the GPU into a CPU tensor")
    if func is not aten.index.Tensor and not is_on_gpu(args[2]) and args[2].dim():
        raise DeviceError(f"{name}: values on the CPU into a GPU tensor")


def _takes_scalars(func: Any, name: str) -> bool:
    return torch.Tag.pointwise in func.tags or name in TAKES_SCALARS


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() != -1
