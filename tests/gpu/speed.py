"""How long the main loops take at full width, one by one and as graphs, in each arithmetic."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from harness.defenses.anp import Hyper, train_masks

from harness.contract import Budget, InvertibleMasks, Recipe
from harness.data.augment import Augment
from harness.evaluation.evaluate import evaluate
from harness.toolbox import graphed_step
from harness.toolbox.fit import fit
from harness.toolbox.numerics import numerics
from tests.benchmarks import frozen_ims, machine_peak, workload
from tests.gpu.step import Checks, Outcome, Setting

BARS = {
    "epoch of training, bf16": 2.0,
    "evaluation of 19,000 images, fp32": 1.5,
    "round of IMS, SPC 2, fp32": 0.1,
}
"""Seconds on a current data centre GPU."""
CALLS = 3
"""Of a loop whose step is graphed: plain, recorded, and run from the recording."""


def measure(setting: Setting) -> Outcome:
    """Time training, ANP, IMS and evaluation."""
    size, device = workload.TINY if setting.tiny else workload.ON_GPU, setting.torch_device
    checks = Checks()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for name, work in _loops(size, device, tiny=setting.tiny):
            seconds = _seconds(work, device)
            bar = BARS.get(name) if setting.on_gpu and not setting.tiny else None
            checks.add(name, round(seconds, 4), passed=bar is None or seconds <= bar)
    refused = sorted({str(x.message) for x in said if "CUDA graph" in str(x.message)})
    checks.add("graphs that were left alone", refused, passed=not refused)
    if device.type == "cuda":
        checks.add("peak allocated, MiB", round(torch.cuda.max_memory_allocated() / 2**20))
        checks.add("peak reserved, MiB", round(torch.cuda.max_memory_reserved() / 2**20))
    return checks.outcome("timings")


Loops = Iterator[tuple[str, Callable[[], object]]]


def _loops(size: workload.Size, device: torch.device, *, tiny: bool) -> Loops:
    images, labels = (x.to(device) for x in workload.images(size.train))
    for kind in ("bf16",) if tiny else ("fp32", "tf32", "bf16"):
        yield f"epoch of training, {kind}", partial(_train, size, images, labels, kind)
        with _without_graphs():
            yield (
                f"epoch of training, {kind}, no graph",
                partial(_train, size, images, labels, kind),
            )
    kinds = ("fp32",) if tiny else ("fp32", "tf32", "bf16")
    for kind in kinds:
        yield f"20 iterations of ANP, {kind}", partial(_anp, size, kind, images, labels, tiny)
    for spc in (1,) if tiny else (2, 10, 100):
        for kind in kinds:
            hyper = InvertibleMasks(inner_steps=2 if tiny else 20)
            given = frozen_ims.start(size, spc, hyper)
            yield f"round of IMS, SPC {spc}, {kind}", partial(_ims, given, kind)
    yield from _evaluations(size, kinds)


def _evaluations(size: workload.Size, kinds: tuple[str, ...]) -> Loops:
    stamp, _ = workload.stamp_of("badnets")
    test = workload.evaluation_set(*workload.images(size.test), stamp)
    net = workload.whole(size.width).eval()
    for kind in (kind for kind in kinds if kind != "bf16"):
        yield (
            f"evaluation of {1.9 * size.test:,.0f} images, {kind}",
            partial(_evaluate, net, test, kind),
        )


@contextmanager
def _without_graphs() -> Iterator[None]:
    kept, graphed_step.GRAPHS = graphed_step.GRAPHS, None
    try:
        yield
    finally:
        graphed_step.GRAPHS = kept


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the shortest time of a few runs, after one to warm up."""
    taken = []
    for _ in range(1 + CALLS):
        start = _now(device)
        work()
        taken.append(_now(device) - start)
    return min(taken[1:])


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _train(size, images, labels, kind):
    recipe = Recipe(epochs=1, precision=kind)
    fit(workload.whole(size.width), (images, labels), recipe, Augment(4, True), workload.context())


def _anp(size, kind, images, labels, tiny):
    n, hyper = 10 * workload.CLASSES, Hyper(iterations=2 if tiny else 20, batch=16 if tiny else 256)
    budget = Budget(images[:n].float() / 255, labels[:n], workload.CLASSES, Augment(4, True))
    with numerics(kind, machine_peak.device()):
        train_masks(workload.whole(size.width), budget, hyper, workload.context())


def _ims(given, kind):
    with numerics(kind, machine_peak.device()):
        frozen_ims.ours(given)


def _evaluate(net, test, kind):
    with numerics(kind, machine_peak.device()):
        evaluate(net, test)
