"""Evaluation: the clean and the triggered test set, from 8-bit images to ACC, ASR and RA.

The reference reads the triggered images twice, once for ASR and once for RA, as toolboxes do: with the
trigger put on each as it is read, and, as BackdoorBench has it, from PNG files that lie ready.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torchvision.transforms import Compose

from harness.evaluation.evaluate import evaluate
from tests.benchmarks import peak, plain, scene
from tests.benchmarks.side import Row, agreement, as_script, here, side_by_side


def rows(*, tiny=False):
    size, given = scene.size(tiny), scene.images(64 if tiny else 1024)
    task = f"clean and triggered evaluation, width {size.width}"
    with TemporaryDirectory() as folder:
        files = plain_sets(*given, Path(folder))
        return [
            _row(task, size, given, plain_sets(*given), least=2),
            _row("the same, reference reads PNG files", size, given, files),
        ]


def _row(task, size, given, sets, least=None):
    stamp, _ = scene.stamp_of("badnets")
    net, reference = scene.whole(size.width), partial(_reference, scene.bare(size.width), sets)

    def ours():
        found = evaluate(net, scene.evaluation_set(*given, stamp))
        return torch.cat([found.clean, found.triggered]), torch.tensor(found.scores)

    both = side_by_side(as_script(reference), here(ours), size.repeats)
    agreement(both.reference[1], both.ours[1], 1e-6)
    work = peak.operations(ours)
    return Row(
        task=f"{task}, {len(both.ours[0]):,} images",
        reference=both.reference_s,
        ours=both.ours_s,
        least=least,
        share=work / both.ours_s / peak.convolutions(),
        agreement=agreement(both.reference[0], both.ours[0], 1e-4),
    )


def _reference(net, sets):
    """Return the logits of the clean and the triggered images, and ACC, ASR and RA."""
    passes = [plain.evaluate(net, plain.loader(pictures), peak.device()) for pictures in sets]
    return torch.cat([logits for _, logits in passes[:2]]), torch.tensor([share for share, _ in passes])


def plain_sets(test, labels, folder=None):
    """Return the reference's pictures for ACC, ASR and RA; with a folder, triggered ones are files in it."""
    chosen = labels != scene.TARGET
    given = test[chosen], torch.full_like(labels, scene.TARGET)[chosen]
    if folder is None:
        asr = plain.Pictures(*given, Compose([plain.patched, plain.normalised]))
    else:
        asr = plain.Files(plain.Pictures(*given, plain.normalised), plain.patched, folder)
    return [plain.Pictures(test, labels, plain.normalised), asr, asr.labelled(labels[chosen])]
