"""Which operations a task spends its time on, by their share of it, from torch.profiler.

Run by hand: ``python -m tests.benchmarks.remaining``.
"""

from __future__ import annotations

import sys
from functools import partial

import torch
from torch.profiler import ProfilerActivity, profile

from harness.contract import InvertibleMasks, Recipe
from harness.toolbox.numerics import training_numerics
from harness.toolbox.predict import predict_logits
from harness.training.device import set_up_torch
from tests.benchmarks import frozen_ims, machine_peak, training, workload

TOP = 8


def shares(work):
    """Return the share of each operation, its callees apart, the largest first."""
    activity, field = ProfilerActivity.CPU, "self_cpu_time_total"
    if torch.cuda.is_available():
        activity, field = ProfilerActivity.CUDA, "self_device_time_total"
    work()
    with profile(activities=[activity]) as found:
        work()
    seconds = {row.key: getattr(row, field) for row in found.key_averages()}
    total = sum(seconds.values())
    return {name: seconds[name] / total for name in sorted(seconds, key=seconds.get, reverse=True)}


def tasks(size):
    default = training_numerics(Recipe(), machine_peak.device())
    net, images = (
        workload.whole(size.width).eval(),
        workload.images(size.test)[0].to(machine_peak.device()),
    )
    yield (
        f"an epoch of victim training, width {size.width}, {default}",
        partial(training._ours, size, default),
    )
    yield f"evaluation, width {size.width}, fp32", partial(predict_logits, net, images)
    given = frozen_ims.start(size, size.spcs[0], InvertibleMasks())
    yield f"a round of IMS, width {size.width}, fp32", partial(frozen_ims.ours, given)


def main():
    """Profile and print."""
    set_up_torch(1)
    for name, work in tasks(workload.size(tiny=False)):
        found = list(shares(work).items())[:TOP]
        sys.stdout.write(f"{name}: " + ", ".join(f"{op} {share:.0%}" for op, share in found) + "\n")


if __name__ == "__main__":
    main()
