"""Evaluation: the clean and the triggered test set, from 8-bit images to ACC and ASR."""

from __future__ import annotations

import torch

from harness.evaluate import evaluate
from tests.benchmarks import peak, plain, scene
from tests.benchmarks.side import Row, agreement, side_by_side


def rows(*, tiny=False):
    n, size = 64 if tiny else 1024, scene.size(tiny)
    test, labels = scene.images(n)
    stamp, _ = scene.stamp_of("badnets")
    net, theirs = scene.whole(size.width), scene.bare(size.width)
    loaders = plain_loaders(test, labels)

    def reference():
        return torch.cat([plain.evaluate(theirs, batches, peak.device())[1] for batches in loaders])

    def ours():
        found = evaluate(net, scene.evaluation_set(test, labels, stamp))
        return torch.cat([found.clean, found.triggered])

    both = side_by_side(reference, ours, size.repeats)
    work = peak.operations(ours)
    return [
        Row(
            task=f"clean and triggered evaluation, width {size.width}, {len(both.ours):,} images",
            reference=both.reference_s,
            ours=both.ours_s,
            least=2,
            share=work / both.ours_s / peak.convolutions(),
            agreement=agreement(both.reference, both.ours, 1e-4),
        )
    ]


def plain_loaders(test, labels):
    """Return the reference's loaders of the clean and of the triggered test set."""
    chosen, change = labels != scene.TARGET, plain.patched()
    clean = plain.Pictures(test, labels, plain.normalised)
    wanted = torch.full_like(labels[chosen], scene.TARGET)
    triggered = plain.Pictures(test[chosen], wanted, lambda picture: plain.normalised(change(picture)))
    return plain.loader(clean), plain.loader(triggered)
