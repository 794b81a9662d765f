"""An epoch of victim training, against the plain reference and the network on fixed tensors."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn import functional as F

from harness.contract import Recipe
from harness.data.augment import Augment
from harness.toolbox.fit import fit
from harness.toolbox.numerics import training_numerics
from tests.benchmarks import machine_peak, reference_impls, workload
from tests.benchmarks.evaluation import plain_sets
from tests.benchmarks.side_by_side import Row, agreement, as_script, here, side_by_side


def rows(*, tiny=False):
    size = workload.size(tiny)
    default = training_numerics(Recipe(), machine_peak.device())
    against = [
        _against_plain(size, precision, default) for precision in dict.fromkeys(("fp32", default))
    ]
    return [*against, _against_network(size, default)]


def _against_plain(size, precision, default):
    pictures = reference_impls.Pictures(*workload.images(size.train), reference_impls.augmented)
    # two test sets: while training, ASR and RA come from one pass
    tests = plain_sets(*workload.images(size.test, seed=1))[:2]
    reference = partial(_reference, size, pictures, tests)
    both = side_by_side(as_script(reference), here(partial(_ours, size, precision)), size.repeats)
    task = f"an epoch of victim training, width {size.width}, ours in {precision}"
    return Row(
        task=f"{task}, reference in fp32",
        reference=both.reference_s,
        ours=both.ours_s,
        least=1.5 if precision == default else None,
        share=_share(size, precision, both.ours_s),
        agreement=agreement(both.reference, both.ours, 1e-3 if precision == "fp32" else 3e-2),
    )


def _reference(size, pictures, tests):
    """Train for an epoch, evaluate, and return the mean loss."""
    draws, net = (
        reference_impls.Draws(size.train, workload.context().generator),
        workload.bare(size.width),
    )
    loss = reference_impls.train(
        net, reference_impls.loader(pictures, batch_sampler=draws), machine_peak.device()
    )
    for test in tests:
        reference_impls.evaluate(net, reference_impls.loader(test), machine_peak.device())
    return torch.tensor(loss)


def _ours(size, precision):
    """Train for an epoch and return the mean loss."""
    samples, ctx = (
        tuple(x.to(machine_peak.device()) for x in workload.images(size.train)),
        workload.context(),
    )
    recipe, augment = (
        Recipe(epochs=1, batch=reference_impls.BATCH, precision=precision),
        Augment(reference_impls.CROP, True),
    )
    fit(workload.whole(size.width), samples, recipe, augment, ctx)
    return torch.tensor(ctx.scalars[-1]["loss"])


def _against_network(size, precision):
    """Compare with the training steps alone, on one batch in memory; no results are compared."""
    bare, whole = (
        partial(_bare, size, precision, size.train // reference_impls.BATCH),
        partial(_ours, size, precision),
    )
    both = side_by_side(here(bare), here(whole), size.repeats)
    return Row(
        task=f"the same, against the network alone on one fixed batch, both in {precision}",
        reference=both.reference_s,
        ours=both.ours_s,
        least=0.6,
        share=_share(size, precision, both.ours_s),
    )


def _bare(size, precision, steps):
    net = workload.whole(size.width).train()
    x = torch.rand(reference_impls.BATCH, 3, 32, 32, device=machine_peak.device()).contiguous(
        memory_format=torch.channels_last
    )
    y = torch.zeros(reference_impls.BATCH, dtype=torch.int64, device=machine_peak.device())
    optimiser = torch.optim.SGD(net.parameters(), 0.01, 0.9, weight_decay=5e-4)
    for _ in range(steps):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(net(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.detach()


def _share(size, precision, seconds):
    steps = size.train // reference_impls.BATCH
    work = steps * machine_peak.operations(partial(_bare, size, "fp32", 1))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return work / seconds / machine_peak.convolutions(dtype)
