"""Grad-Prune (arXiv 2405.03918): cut the filters with the largest unlearning gradients, then tune.

It works on a budget with triggered copies and true labels, whether the triggers are real or
inverted.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Defended, GradientPruning
from harness.toolbox.holdout import CHUNK, accuracy, hold_out
from harness.toolbox.loops import Patience, shuffled_indices
from harness.toolbox.masks.batchnorm import convolution_batchnorm_pairs
from harness.toolbox.masks.channel_gates import convolutions

Filter = tuple[str, int]
"""A convolution's name, and the index of one of its output channels."""


def prune_and_tune(
    model: nn.Module, budget: Budget, hyper: GradientPruning, ctx: Context
) -> Defended:
    """Prune a model by gradients on triggered copies, then fine-tune it with and without triggers.

    ``budget`` has triggered copies; a part of it is held out for validation. ``model`` is changed;
    the returned network is a copy of its best state. ``order.<convolution>`` has the round in which
    each filter was cut; those that were not have the number of rounds.

    Raises:
        ValueError: a class has fewer than two samples.
    """
    train, val = hold_out(budget, hyper.val_share, ctx)
    pruned, cut = prune_filters(model, train, val, hyper, ctx)
    order = {
        f"order.{name}": torch.full((layer.out_channels,), float(len(cut)))
        for name, layer in convolutions(model).items()
    }
    for number, (name, index) in enumerate(cut):
        order[f"order.{name}"][index] = number
    return Defended(fine_tune_with_triggers(pruned, train, val, hyper, ctx), artifacts=order)


def prune_filters(
    model: nn.Module, train: Budget, val: Budget, hyper: GradientPruning, ctx: Context
) -> tuple[nn.Module, list[Filter]]:
    """Cut one filter per round; return the best network of all rounds, and the filters in order.

    ``model`` is cut in place; the copy with the lowest validation loss on triggered images is
    returned.
    """
    start = accuracy(model, val)
    patience, best = Patience(hyper.patience, triggered_loss(model, val)), copy.deepcopy(model)
    filters = sum(layer.out_channels for layer in convolutions(model).values())
    cut: list[Filter] = []
    while not patience.over() and len(cut) < filters:
        cut.append(worst_filter(filter_scores(model, train, hyper.batch), cut))
        cut_filter_(model, cut[-1])
        now, loss = accuracy(model, val), triggered_loss(model, val)
        ctx.log(len(cut), val_acc=now, triggered_loss=loss)
        if start - now >= hyper.tolerance:
            break
        if patience.improves(loss):
            best = copy.deepcopy(model)
    return best, cut


def filter_scores(model: nn.Module, train: Budget, batch: int) -> dict[str, torch.Tensor]:
    """Return the mean absolute gradient of every filter, (filters,) per convolution.

    The loss is the cross-entropy of triggered copies with true labels, summed over batches; eval
    mode. One batch after the other is in memory, the last one first: the order in which one
    backward pass over all of them adds the gradients.
    """
    assert train.triggered is not None
    model.eval()
    layers = convolutions(model)
    weights = [layer.weight for layer in layers.values()]
    total = [torch.zeros_like(weight) for weight in weights]
    batches = list(zip(train.triggered.split(batch), train.labels.split(batch), strict=True))
    for x, y in reversed(batches):
        gradients = torch.autograd.grad(F.cross_entropy(model(x), y), weights)
        for so_far, gradient in zip(total, gradients, strict=True):
            so_far.add_(gradient)
    return {name: g.abs().mean((1, 2, 3)) for name, g in zip(layers, total, strict=True)}


def worst_filter(scores: dict[str, torch.Tensor], cut: list[Filter]) -> Filter:
    """Return the filter with the largest score of all layers, among those not cut yet."""
    left = {name: x.clone() for name, x in scores.items()}
    for name, index in cut:
        left[name][index] = -1
    name = max(left, key=lambda name: left[name].max().item())
    return name, int(left[name].argmax())


@torch.no_grad()
def cut_filter_(model: nn.Module, which: Filter) -> None:
    """Set a filter, its bias and the scale of the batch norm next to it to zero."""
    name, index = which
    layer = convolutions(model)[name]
    layer.weight[index] = 0
    if layer.bias is not None:
        layer.bias[index] = 0
    for convolution, norm in convolution_batchnorm_pairs(model):
        if convolution is layer:
            norm.weight[index] = 0


@torch.no_grad()
def triggered_loss(model: nn.Module, budget: Budget) -> float:
    """Return the mean cross-entropy of triggered copies with true labels."""
    assert budget.triggered is not None
    return _mean_loss(model, budget.triggered, budget.labels)


@torch.no_grad()
def _mean_loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    model.eval()
    logits = torch.cat([model(x) for x in images.split(CHUNK)])
    return F.cross_entropy(logits, labels).item()


def fine_tune_with_triggers(
    model: nn.Module, train: Budget, val: Budget, hyper: GradientPruning, ctx: Context
) -> nn.Module:
    """Fine-tune on clean and triggered images, and return the best network of all epochs.

    ``model`` is trained in place; the copy with the lowest clean validation loss is returned, in
    eval mode.
    """
    optimiser = torch.optim.SGD(
        model.parameters(), hyper.lr, hyper.momentum, weight_decay=hyper.weight_decay
    )
    patience = Patience(hyper.tuning_patience, _mean_loss(model, val.images, val.labels))
    best = copy.deepcopy(model)
    for epoch in range(hyper.tuning_epochs):
        _train_epoch(model, train, optimiser, hyper, ctx)
        loss = _mean_loss(model, val.images, val.labels)
        ctx.log(epoch, val_loss=loss)
        if patience.improves(loss):
            best = copy.deepcopy(model)
        if patience.over():
            break
    return best.eval()


def _train_epoch(
    model: nn.Module,
    train: Budget,
    optimiser: torch.optim.Optimizer,
    hyper: GradientPruning,
    ctx: Context,
) -> None:
    assert train.triggered is not None
    model.train()
    for chosen in shuffled_indices(train, hyper.batch, ctx):
        y = train.labels[chosen]
        clean = F.cross_entropy(model(train.images[chosen]), y)
        triggered = F.cross_entropy(model(train.triggered[chosen]), y)
        optimiser.zero_grad()
        (clean + triggered).backward()
        optimiser.step()
