"""Evaluation: the clean and the triggered test set, from 8-bit images to ACC, ASR and RA.

The reference reads the triggered images twice, once for ASR and once for RA, as toolboxes do.
"""

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
        passes = [plain.evaluate(theirs, batches, peak.device()) for batches in loaders]
        return torch.cat([logits for _, logits in passes[:2]]), torch.tensor([share for share, _ in passes])

    def ours():
        found = evaluate(net, scene.evaluation_set(test, labels, stamp))
        return torch.cat([found.clean, found.triggered]), torch.tensor(found.scores)

    both = side_by_side(reference, ours, size.repeats)
    agreement(both.reference[1], both.ours[1], 1e-6)
    work = peak.operations(ours)
    return [
        Row(
            task=f"clean and triggered evaluation, width {size.width}, {len(both.ours[0]):,} images",
            reference=both.reference_s,
            ours=both.ours_s,
            least=2,
            share=work / both.ours_s / peak.convolutions(),
            agreement=agreement(both.reference[0], both.ours[0], 1e-4),
        )
    ]


def plain_loaders(test, labels):
    """Return the reference's loaders for ACC, ASR and RA."""
    chosen, change = labels != scene.TARGET, plain.patched()
    clean = plain.Pictures(test, labels, plain.normalised)
    triggered = [
        plain.Pictures(test[chosen], wanted, lambda picture: plain.normalised(change(picture)))
        for wanted in (torch.full_like(labels, scene.TARGET)[chosen], labels[chosen])
    ]
    return [plain.loader(pictures) for pictures in (clean, *triggered)]
