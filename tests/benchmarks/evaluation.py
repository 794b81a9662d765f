"""Evaluation: the clean and the triggered test set, from 8-bit images to ACC, ASR and RA.

The reference reads the triggered images twice, once for ASR and once for RA, as toolboxes do: with
the trigger put on each as it is read, and, as BackdoorBench has it, from PNG files that lie ready.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torchvision.transforms import Compose

from harness.evaluation.evaluate import evaluate
from tests.benchmarks import machine_peak, reference_impls, workload
from tests.benchmarks.side_by_side import Row, agreement, as_script, here, side_by_side


def rows(*, tiny=False):
    size = workload.size(tiny)
    given = workload.images(size.evaluated)
    task = f"clean and triggered evaluation, width {size.width}"
    with TemporaryDirectory() as folder:
        files = plain_sets(*given, Path(folder))
        return [
            _row(task, size, given, plain_sets(*given), least=2),
            _row("the same, reference reads PNG files", size, given, files),
        ]


def _row(task, size, given, sets, least=None):
    stamp, _ = workload.stamp_of("badnets")
    net, reference = (
        workload.whole(size.width),
        partial(_reference, workload.bare(size.width), sets),
    )

    def ours():
        found = evaluate(net, workload.evaluation_set(*given, stamp))
        return torch.cat([found.clean, found.triggered]), torch.tensor(found.scores)

    both = side_by_side(as_script(reference), here(ours), size.repeats)
    agreement(both.reference[1], both.ours[1], 1e-6)
    work = machine_peak.operations(ours)
    return Row(
        task=f"{task}, {len(both.ours[0]):,} images",
        reference=both.reference_s,
        ours=both.ours_s,
        least=least,
        share=work / both.ours_s / machine_peak.convolutions(),
        agreement=agreement(both.reference[0], both.ours[0], 1e-4),
    )


def _reference(net, sets):
    """Return the logits of the clean and the triggered images, and ACC, ASR and RA."""
    passes = [
        reference_impls.evaluate(net, reference_impls.loader(pictures), machine_peak.device())
        for pictures in sets
    ]
    return torch.cat([logits for _, logits in passes[:2]]), torch.tensor(
        [share for share, _ in passes]
    )


def plain_sets(test, labels, folder=None):
    """Return the reference's images for ACC, ASR and RA; with a folder, triggered ones as files."""
    chosen = labels != workload.TARGET
    given = test[chosen], torch.full_like(labels, workload.TARGET)[chosen]
    if folder is None:
        asr = reference_impls.Pictures(
            *given, Compose([reference_impls.patched, reference_impls.normalised])
        )
    else:
        asr = reference_impls.Files(
            reference_impls.Pictures(*given, reference_impls.normalised),
            reference_impls.patched,
            folder,
        )
    return [
        reference_impls.Pictures(test, labels, reference_impls.normalised),
        asr,
        asr.labelled(labels[chosen]),
    ]
