"""Peeks: searches its process for the test set, the trigger and the study, and keeps what it saw.

Its hyperparameters say what to look for: arrays, words and paths of files. Words and paths are
written backwards, so that they are in memory only once they have been looked for.
"""

import gc
import os
import sys
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from harness.contract import Defended, defense

SEEN = []
"""What earlier cells of this process left."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """What to look for."""

    secrets: Path
    sdrow: str
    selif: str


def everything():
    """Return all that the collector knows, what that refers to, and the locals of all frames."""
    gc.unfreeze()  # what others have set aside is searched too
    known = gc.get_objects()
    below = gc.get_referents(*known)
    plain = [x for x in below if type(x) in (tuple, dict) and not gc.is_tracked(x)]
    frames = [x for top in sys._current_frames().values() for x, _ in traceback.walk_stack(top)]
    local = [x for frame in frames for x in frame.f_locals.values()]
    return known, [*below, *gc.get_referents(*plain), *local]


def texts_of_processes():
    """Return command line, environment, folder and open files of this process and its parents."""
    texts, process = [], os.getpid()
    while process > 1:
        folder = Path("/proc") / str(process)
        for name in ("cmdline", "environ"):
            try:
                texts.append((folder / name).read_text())
            except OSError:
                continue
        if process == os.getpid():
            texts += [str(x.readlink()) for x in (folder / "fd").iterdir() if x.is_symlink()]
            texts += [str(x) for x in Path.cwd().rglob("*")]
        process = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        if process == os.getppid():
            break
    return texts


def tensors_in(things):
    found = {id(x): x for x in things if issubclass(type(x), torch.Tensor)}
    arrays = {id(x): x for x in things if type(x) is np.ndarray and x.dtype == np.uint8}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of arrays that are read-only
        return [*found.values(), *map(torch.from_numpy, arrays.values())]


def holds(tensors, secret):
    alike = [x for x in tensors if x.shape[1:] == secret.shape[1:] and x.dtype == secret.dtype]
    return any(len(x) and bool((secret == x[:1]).flatten(1).all(1).any()) for x in alike)


def opened(paths):
    """Return the files that can be opened, those of this process's parent among them."""
    of_parent = [f"/proc/{os.getppid()}/{name}" for name in ("mem", "maps", "environ", "cmdline")]
    found = []
    for path in [*paths, *of_parent]:
        try:
            Path(path).open("rb").close()
        except OSError:
            continue
        found.append(path)
    return found


@defense(paper="none", year=2026, family="control")
def peeks(model, budget, hyper, ctx):
    known, below = everything()
    tensors = tensors_in(known + below)
    texts = {x for x in below if type(x) is str}.union(texts_of_processes(), sys.argv)
    texts.update(os.environ.values())
    del known, below
    words = [word[::-1] for word in hyper.sdrow.split()]
    found = {word: next((x[:200] for x in texts if word in x), "") for word in words}
    with np.load(hyper.secrets) as secrets:
        met = [name for name in secrets if holds(tensors, torch.from_numpy(secrets[name]))]
    notes = {word: text for word, text in found.items() if text}
    notes |= {"met": " ".join(met), "from before": str(len(SEEN))}
    notes |= {"opened": " ".join(opened(hyper.selif[::-1].split()))}
    notes |= {"searched": f"{len(tensors)} tensors, {len(texts)} texts"}
    SEEN.append(budget.images)
    return Defended(model, notes=notes)
