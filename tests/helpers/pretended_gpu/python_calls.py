"""Stands between a program and torch's Python functions: devices are asked, named and changed."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from tests.helpers.pretended_gpu.aten_calls import AtenCalls
from tests.helpers.pretended_gpu.marks import (
    CPU,
    CUDA,
    DeviceError,
    is_on_gpu,
    put,
    share_storage,
    tensors_in,
)
from tests.helpers.pretended_gpu.syncs import Syncs

Tensor = torch.Tensor
ANSWERS = {
    Tensor.device.__get__: CUDA,
    Tensor.is_cuda.__get__: True,
    Tensor.is_cpu.__get__: False,
    Tensor.get_device: 0,
}
"""What a tensor on the GPU says of its device."""
TO_NUMPY = {Tensor.numpy, Tensor.__array__}
COPIES = {Tensor.new_tensor, Tensor.clone}
FROM_PYTHON = {torch.tensor, torch.as_tensor, torch.asarray}


class PythonCalls(TorchFunctionMode):
    """The devices of arguments and results."""

    def __init__(self, syncs: Syncs, below: AtenCalls) -> None:
        super().__init__()
        self._syncs, self._below = syncs, below
        self._special = {
            Tensor.to: self._to,
            Tensor.cpu: lambda x, *_, **__: self._move(x, CPU),
            Tensor.cuda: lambda x, *_, **__: self._move(x, CUDA),
            Tensor.pin_memory: lambda x, *_: x,
            Tensor.__deepcopy__: self._deepcopy,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out a call of torch."""
        kwargs = dict(kwargs or {})
        kwargs.pop("pin_memory", None)
        if func in self._special:
            return self._special[func](*args, **kwargs)
        if _names_gpu(kwargs.get("device")):
            return self._make(func, args, kwargs)
        if args and is_on_gpu(args[0]):
            if func in ANSWERS:
                return ANSWERS[func]
            if func in TO_NUMPY:
                raise DeviceError("can't convert a cuda:0 tensor to numpy: use Tensor.cpu() first")
            if func is Tensor.tolist:
                self._syncs.add("tolist")
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Carry out a call that names no GPU."""
        given = list(tensors_in((args, kwargs)))
        on_gpu = any(map(is_on_gpu, given))
        to_cpu = kwargs.get("device") is not None  # zeros_like(x, device="cpu")
        with self._below.new_tensors_on_gpu(on_gpu and not to_cpu):
            out = func(*args, **kwargs)
        if on_gpu and to_cpu and not share_storage(out, given):
            return put(out, on_gpu=False)
        return put(out) if func in COPIES and is_on_gpu(args[0]) else out

    def _deepcopy(self, x: Any, memo: Any) -> Any:
        with self._below.new_tensors_on_gpu(is_on_gpu(x)):
            return put(Tensor.__deepcopy__(x, memo), on_gpu=is_on_gpu(x))

    def _make(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Make a tensor on the GPU."""
        generator = kwargs.get("generator")
        if generator is not None and generator.device.type == "cpu":
            raise DeviceError("expected a 'cuda' device type for generator but found 'cpu'")
        given = list(tensors_in((args, kwargs)))
        with self._below.new_tensors_on_gpu(True):
            out = func(*args, **{**kwargs, "device": CPU})
        if func in FROM_PYTHON or not all(map(is_on_gpu, given)):
            self._syncs.add("copy to the GPU")
        return put(out.clone() if share_storage(out, given) else out)

    def _to(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        other = args[0] if args and isinstance(args[0], Tensor) else kwargs.pop("other", None)
        if other is not None:
            args = (CUDA if is_on_gpu(other) else CPU, other.dtype, *args[1:])
        copy = kwargs.pop("copy", False)
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        changes = {"dtype": dtype, "memory_format": layout}
        changes = {name: value for name, value in changes.items() if value is not None}
        if device is not None and device.type not in {"cpu", "cuda"}:
            return Tensor.to(x, device, **changes)
        return self._move(x, device, changes, copy=copy, waits=not non_blocking)

    def _move(
        self,
        x: Any,
        device: torch.device | None,
        changes: dict[str, Any] | None = None,
        *,
        copy: bool = False,
        waits: bool = True,
    ) -> Any:
        """Return a tensor on a device, with another type or layout if ``changes`` say so."""
        changes, here = changes or {}, is_on_gpu(x)
        there = here if device is None else device.type == "cuda"
        if here == there:
            with self._below.new_tensors_on_gpu(here):
                return Tensor.to(x, copy=copy, **changes) if changes or copy else x
        with self._below.new_tensors_on_gpu(here), self._below.moving():
            out = Tensor.to(x, copy=True, **changes)
        if waits or here:
            self._syncs.add("copy to the GPU" if there else "copy to the CPU")
        return put(out, on_gpu=there)


def _names_gpu(device: Any) -> bool:
    return device is not None and (isinstance(device, int) or torch.device(device).type == "cuda")
