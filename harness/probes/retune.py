"""Re-tuning: does the backdoor come back when the defended model is tuned on a few images?

Min, Cheng, Xie, Ma, "Uncovering, Explaining, and Mitigating the Superficial Safety of Backdoor
Defense" (NeurIPS 2024), arXiv 2410.09838. The attacker tunes every weight of the defended model on
2 % of the training set, a few images of which have the trigger and the label that it is to get: 40
steps of SGD on CIFAR-10, with five triggered images among 1,000. The augmentation of the clean
images is drawn once.

P-ASR is the ASR after it. A model that never had a backdoor learns something of the trigger too, so
the number that counts is the excess over the clean model, tuned on the same images. Departures: the
mean over three draws of the images, where the authors have one; batches of equal size; the area
under ASR over the steps 0, 5, 10, 20, 40; ``gates: frozen``, which keeps the gates of pruning
defenses. With no poisoned image the probe is plain fine-tuning.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

from torch import nn

from harness.contract import Attacker, Context, Count, Numbers, Quantity, Retuning, probe
from harness.toolbox import retune_, retuning_samples, share_predicted, thinned

CURVE = (5, 10, 20, 40)
"""Steps after which ASR is measured."""


@dataclass(frozen=True, kw_only=True)
class Hyper(Retuning):
    """Tuning, its repetitions, and what is scored."""

    draws: Count = 3
    """How often the images are drawn."""
    scored: Count = 10_000
    """The most test images, clean and triggered each, that are scored."""
    scored_in_curve: Count = 1000
    """The most triggered ones between the steps."""


def excess_over_clean(own: Numbers, clean: Numbers) -> Numbers:
    """Return how far ASR after tuning is above that of the clean model."""
    return {"excess": own["p_asr"] - clean["p_asr"]}


@probe(
    paper="Uncovering, Explaining, and Mitigating the Superficial Safety of Backdoor Defense, "
    "arXiv 2410.09838",
    year=2024,
    version=1,
    display_name="re-tuning",
    numbers={
        "excess": Quantity("P-ASR excess", -1, least=-1.0),
        "p_asr": Quantity("P-ASR", -1),
        "p_asr_max": Quantity("worst P-ASR", -1),
        "area": Quantity("area", -1),
        "acc": Quantity("ACC after", 1),
    },
    against_clean=excess_over_clean,
)
def retune(model: nn.Module, attacker: Attacker, hyper: Hyper, ctx: Context) -> Numbers:
    """Tune copies of the model, once per draw, and score them."""
    test = attacker.test
    some = thinned(len(test.wanted), hyper.scored_in_curve)
    most = thinned(len(test.wanted), hyper.scored)
    clean = thinned(len(test.labels), hyper.scored)
    before = share_predicted(model, test.triggered[some], test.wanted[some])
    asr, acc, areas = [], [], []
    for draw in range(hyper.draws):
        tuned = copy.deepcopy(model)
        curve = [(0, before)]

        def measure(
            step: int, tuned: nn.Module = tuned, curve: list[tuple[int, float]] = curve
        ) -> None:
            if step in CURVE:
                curve.append(
                    (step, share_predicted(tuned, test.triggered[some], test.wanted[some]))
                )

        retune_(tuned, attacker, retuning_samples(attacker, hyper, ctx), hyper, ctx, measure)
        for step, share in curve:
            ctx.log(step, draw=draw, asr=share)
        areas.append(area_under(curve))
        asr.append(share_predicted(tuned, test.triggered[most], test.wanted[most]))
        acc.append(share_predicted(tuned, test.clean[clean], test.labels[clean]))
    n = hyper.draws
    return {
        "p_asr": sum(asr) / n,
        "p_asr_max": max(asr),
        "area": sum(areas) / n,
        "acc": sum(acc) / n,
    }


def area_under(curve: list[tuple[int, float]]) -> float:
    """Return the area under a curve of (step, value) by the trapezoidal rule, over its length."""
    pairs = itertools.pairwise(curve)
    area = sum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in pairs)
    return area / curve[-1][0] if curve[-1][0] else curve[0][1]
