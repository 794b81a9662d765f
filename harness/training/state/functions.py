"""Functions of modules and classes that a method can replace: torch's, Python's and our own."""

from __future__ import annotations

import builtins
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

PATCHABLE = (
    *(torch, torch.nn.functional, torch.nn.init, torch.linalg, torch.optim.lr_scheduler),
    *(np, np.random, random, time, os, math, builtins),
)
"""Modules whose functions are put back if a method replaced them; those of Defuse are as well."""


class Functions:
    """The functions of these modules and classes as they are now."""

    def __init__(self) -> None:
        self._before = {owner: dict(vars(owner)) for owner in _owners()}

    def put_back(self) -> Iterator[str]:
        """Put back those that were replaced, and yield their names."""
        for owner, before in self._before.items():
            now = dict(vars(owner))
            for name in now.keys() | before.keys():
                old, new = before.get(name), now.get(name)
                if old is new or not (callable(old) or callable(new)):
                    continue
                is_added = old is None and isinstance(owner, ModuleType)
                if is_added or _wrapped_by_torch(old or _inherited(owner, name), new):
                    continue
                setattr(owner, name, old) if name in before else delattr(owner, name)
                yield f"{owner.__name__}.{name}"


def _wrapped_by_torch(old: Any, new: Any) -> bool:
    """Tell whether torch wrapped a function itself, as its compiler and its optimizers do."""
    code = getattr(new, "__code__", None)
    own = code is not None and Path(code.co_filename).is_relative_to(Path(torch.__file__).parent)
    return own and getattr(new, "__wrapped__", None) is old


def _inherited(owner: Any, name: str) -> Any:
    """Return what a class takes from its bases: torch wraps AdamW's step, which is Adam's."""
    bases = owner.__mro__[1:] if isinstance(owner, type) else ()
    return next((vars(base)[name] for base in bases if name in vars(base)), None)


def _classes_of(module: ModuleType, kind: type) -> Iterator[type]:
    return (x for x in vars(module).values() if isinstance(x, type) and issubclass(x, kind))


def _owners() -> Iterator[Any]:
    """Yield the modules and classes whose functions are put back."""
    yield from PATCHABLE
    yield torch.Tensor
    yield from _classes_of(nn, nn.Module)
    yield from _classes_of(torch.optim, torch.optim.Optimizer)
    yield from _classes_of(torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler)
    for name, module in list(sys.modules.items()):
        if name.startswith("harness.") and isinstance(module, ModuleType):
            yield module
            members = list(vars(module).values())
            yield from (x for x in members if isinstance(x, type) and x.__module__ == name)
