"""Peeks: follows every reference from its arguments, and returns which secrets it met."""

import gc
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harness.contract import Defended, defense


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The files of the decoded data set."""

    test_images: Path
    test_labels: Path
    train_images: Path


def reachable(*roots):
    """Return every tensor that the roots lead to."""
    seen, queue, tensors = set(), list(roots), []
    while queue:
        thing = queue.pop()
        if id(thing) in seen or type(thing) is types.FrameType:
            continue
        seen.add(id(thing))
        if issubclass(type(thing), torch.Tensor):
            tensors.append(thing)
        queue.extend(gc.get_referents(thing))
    return tensors


def holds(tensors, secret):
    alike = [t for t in tensors if t.ndim == secret.ndim and t.dtype == secret.dtype]
    return any(t.shape == secret.shape and torch.equal(t, secret) for t in alike)


@defense(paper="none", year=2026, family="control")
def peeks(model, budget, hyper, ctx):
    files = (hyper.test_images, hyper.test_labels, hyper.train_images)
    secrets = [torch.from_numpy(np.load(file)) for file in files]
    # the pattern that Blended draws from its seed
    secrets.append(torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)))
    given = reachable(model, budget, hyper, ctx, sys.modules["harness.execution.cell"])
    ours = set(map(id, secrets))
    anywhere = [
        x for x in gc.get_objects() if issubclass(type(x), torch.Tensor) and id(x) not in ours
    ]
    met = [[holds(given, secret), holds(anywhere, secret)] for secret in secrets]
    return Defended(model, {"met": torch.tensor(met), "given": torch.tensor([len(given)])})
