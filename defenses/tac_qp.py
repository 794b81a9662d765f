"""TAC-QP: find the class that the smallest shift of the features gives, and unlearn that shift.

Ours, after "Trigger activation change" reconstruction (arXiv 2511.08944), whose authors published
no code: the program is the paper's, its solution, the rule for outliers and the loss are ours.
Threat model: clean samples only.

With w_j and b_j the last layer's weights and biases and phi(x) its input, the shift s_k of class k
is the smallest with (w_k - w_j)(s_k + phi(x)) + b_k - b_j >= 0 for every clean x and j != k. Only
the largest deficit over x counts for each j, so the program has one constraint per class; its dual,
with as many non-negative variables, is solved by accelerated projected gradient. Classes whose
log-norm is more than two consistent median absolute deviations below the median are targets; the
model is fine-tuned on CE(f(x)) + CE(head(phi(x) + s_k)), both with true labels, averaged over the
targets, s fixed. The fine-tuning is that of FT. If no class is flagged, the model is returned
unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, Defended, FineTuning, Positive, defense
from harness.toolbox import HeadInputs, Loop, anomaly_index, train_epochs


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """The program, the outliers and the fine-tuning."""

    iterations: Count = 2000
    """Steps of the dual's solver."""
    threshold: Positive = 2
    """Anomaly index above which a class is a target."""


@defense(
    paper="ours, after Trigger Activation Change, arXiv 2511.08944",
    year=2025,
    family="unlearning",
    version=1,
    display_name="TAC-QP",
    varied=("threshold", "lr"),
)
def tac_qp(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Find the shifts and unlearn those of targets; return model, shifts and anomaly indices."""
    shifts = smallest_shifts(model, budget, hyper.iterations)
    anomalies = anomaly_index(shifts.norm(dim=1).clamp_min(1e-6).log())
    targets = shifts[anomalies > hyper.threshold]
    if len(targets):
        unlearn_(model, targets, budget, hyper, ctx)
    return Defended(model, artifacts={"shifts": shifts, "anomaly": anomalies})


@torch.no_grad()
def smallest_shifts(model: nn.Module, budget: Budget, iterations: int) -> torch.Tensor:
    """Return the smallest shift of the features towards every class, (classes, width)."""
    net = HeadInputs(model.eval())
    features = torch.cat([net(x)[1] for x in budget.images.split(500)]).double()
    net.remove()
    weight, bias = net.head.weight.double(), net.head.bias
    logits = features @ weight.T + (0 if bias is None else bias.double())
    rows = weight[:, None] - weight[None]  # (k, j, width): w_k - w_j
    deficits = (logits[:, None, :] - logits[:, :, None]).amax(0)  # (k, j); 0 for j = k
    duals = solve_dual(rows @ rows.mT, deficits, iterations)
    return (duals[:, None] @ rows)[:, 0].float()


def solve_dual(gram: torch.Tensor, deficits: torch.Tensor, iterations: int) -> torch.Tensor:
    """Maximise d a - a G a / 2 over a >= 0, for all classes at once: (k, j, j), (k, j) -> (k, j).

    Accelerated projected gradient (Beck, Teboulle, 2009), at the step that the largest eigenvalue
    of G allows.
    """
    step = 1 / torch.linalg.matrix_norm(gram, 2).clamp_min(1e-12)[:, None]
    point = ahead = torch.zeros_like(deficits)
    speed = 1.0
    for _ in range(iterations):
        slope = deficits - (gram @ ahead[:, :, None])[:, :, 0]
        moved = (ahead + step * slope).clamp_min(0)
        faster = (1 + (1 + 4 * speed**2) ** 0.5) / 2
        ahead = moved + (speed - 1) / faster * (moved - point)
        point, speed = moved, faster
    return point


def unlearn_(
    model: nn.Module, shifts: torch.Tensor, budget: Budget, hyper: Hyper, ctx: Context
) -> None:
    """Fine-tune so that features shifted by any of ``shifts``, (k, width), keep their class."""
    net = HeadInputs(model.train())

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits, features = net(x)
        shifted = [F.cross_entropy(net.head.forward(features + shift), y) for shift in shifts]
        loss = F.cross_entropy(logits, y) + torch.stack(shifted).mean()
        loss.backward()
        return loss

    optimiser = torch.optim.SGD(
        model.parameters(), hyper.lr, hyper.momentum, weight_decay=hyper.weight_decay
    )
    train_epochs(budget, step, optimiser, Loop(hyper.epochs, hyper.batch, cosine=True), ctx)
    net.remove()
    model.eval()
