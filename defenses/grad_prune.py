"""Grad-Prune: cut the filters that unlearning the real trigger would change most, then fine-tune.

Dunnett, Arablouei, Miller, Dedeoglu, Jurdak, "Unlearning Backdoor Attacks through Gradient-Based
Model Pruning", arXiv 2405.03918. Threat model: clean samples, and copies of them under the real
trigger, with true labels; boards list it apart from methods that have clean samples alone.

The loss is the cross-entropy of triggered copies with true labels. Round by round the filter with
the largest mean absolute gradient of all layers is set to zero with its bias and the scale of its
batch norm, until clean validation accuracy has fallen by 0.1 or ten rounds in a row did not lower
the validation loss on triggered copies; the network with the lowest is kept. It is fine-tuned on
clean and triggered copies (SGD lr 1e-3, momentum 0.9, weight decay 5e-4, batch 128) until ten
epochs did not lower the clean validation loss. These are the authors' settings; no augmentation.
Departures: gradients are computed in eval mode throughout (theirs computes the first batch in
training mode, which moves running statistics), over batches in the order of classes (theirs are
drawn in every round); what is cut with a filter is its bias or the batch norm that comes next
(theirs is whatever parameter comes next, a shortcut's filter too); a filter is cut once; of the n
images of a class max(1, int(0.1 n)) are for validation (theirs adds an image where a class has
fewer than ten). The preset ``authors`` is the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from harness.contract import Budget, Context, Defended, GradientPruning, defense
from harness.toolbox import prune_and_tune


@dataclass(frozen=True, kw_only=True)
class Hyper(GradientPruning):
    """When pruning and fine-tuning stop."""


PRESETS = {"authors": Hyper()}


@defense(
    paper="Unlearning Backdoor Attacks through Gradient-Based Model Pruning, arXiv 2405.03918",
    year=2024,
    family="pruning",
    version=1,
    display_name="Grad-Prune",
    needs="triggers",
    least_spc=2,
    requires="convolutions",
    varied=("tolerance", "patience", "lr"),
)
def grad_prune(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Prune, fine-tune, and return the plain model and the order of the cuts."""
    return prune_and_tune(model, budget, hyper, ctx)
