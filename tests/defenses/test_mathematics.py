"""The mathematics of each defense, against closed forms, hand counts and finite differences."""

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from harness.defenses.anp import Hyper as AnpHyper
from harness.defenses.anp import trained_masks, worst_noise
from harness.defenses.bnp import Hyper as BnpHyper
from harness.defenses.bnp import bnp, clean_moments, divergence
from harness.defenses.clp import lipschitz
from harness.defenses.fst import Hyper as FstHyper
from harness.defenses.fst import classifier, fst
from harness.defenses.i_bau import Hyper as IbauHyper
from harness.defenses.i_bau import inner_loss
from harness.defenses.nad import nad
from harness.defenses.rnp import Hyper as RnpHyper
from harness.defenses.rnp import recovered, unlearned
from harness.defenses.sau import Hyper as SauHyper
from harness.defenses.sau import jensen_shannon, shared_examples
from harness.defenses.sau import outer_loss as sau_loss
from harness.defenses.tsbd import Hyper as TsbdHyper
from harness.defenses.tsbd import unlearned as unlearned_for_tsbd
from harness.defenses.tsbd import zero_most_changed
from torch import nn
from torch.nn import functional as F

from harness.contract import Context
from harness.data.augment import Augment
from harness.evaluation.metrics import auroc
from harness.models.preactresnet18 import PreActResNet
from harness.toolbox.attention import (
    FeatureMaps,
    attention_distance,
    attention_map,
    last_map_modules,
)
from harness.toolbox.grad_prune import cut_filter_, filter_scores, worst_filter
from harness.toolbox.holdout import accuracy
from harness.toolbox.ims.losses import MaskPair, agree, disagree, selection_penalty
from harness.toolbox.loops import Loop, batches, train_epochs
from harness.toolbox.masks import batchnorm
from harness.toolbox.masks.channel_gates import (
    GatedNetwork,
    block_sites,
    convolution_sites,
    with_folded_gates,
    with_gated_blocks,
)
from harness.toolbox.normalise import Normalise, pixel_unit
from harness.toolbox.search.adversarial import minimise_perturbation, sign_sgd
from harness.toolbox.search.double_backward import twice_differentiable
from harness.toolbox.search.hypergradient import hypergradient
from harness.toolbox.search.neural_cleanse import InvertedTrigger, anomaly_index
from harness.toolbox.search.sam import displaced_weights, sam_ascent
from tests.helpers.planted_models import CLASSES, clean_budget, planted, planted_transformer, stamp


def ctx(seed=0):
    return Context(torch.device("cpu"), torch.Generator().manual_seed(seed))


def small_resnet():
    torch.manual_seed(0)
    return PreActResNet(3, CLASSES, 2).eval()


# --- gates and IMS


def test_mask_and_inverse_add_up_to_one_plus_selection():
    generator = torch.Generator().manual_seed(0)
    a, s = torch.rand(50, generator=generator), torch.rand(50, generator=generator)
    masks = MaskPair(a, s, 20)
    assert torch.allclose(masks.mask() + masks.inverse(), 1 + s, atol=1e-6)
    hand = torch.sigmoid(20 * (a - 0.5))
    assert torch.allclose(masks.mask(), hand + s * (1 - hand), atol=1e-6)
    assert torch.allclose(masks.inverse(), (1 - hand) + s * hand, atol=1e-6)


@pytest.mark.parametrize("make", [small_resnet, planted_transformer])
def test_selecting_nothing_leaves_both_networks_as_they_were(make):
    net = make().requires_grad_(False)
    sites = convolution_sites(net) if make is small_resnet else block_sites(net)
    masks = MaskPair(torch.rand(sites.count()), torch.ones(sites.count()), 20)
    images = clean_budget(1).images
    for gates in (masks.mask(), masks.inverse()):
        assert torch.equal(GatedNetwork(net, sites)(images, gates), net(images))
        assert torch.equal(sites.with_gates(net, sites.split(gates))(images), net(images))


def test_gates_fold_into_convolutions_with_and_without_bias():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2)
    ).eval()
    net = nn.Sequential(net, nn.Flatten(), nn.Linear(64, 2))
    sites, images = convolution_sites(net), clean_budget(1).images
    gates = torch.rand(sites.count())
    plain = with_folded_gates(net, sites.split(gates))
    assert torch.allclose(plain(images), GatedNetwork(net, sites)(images, gates), atol=1e-6)
    assert plain.state_dict().keys() == net.state_dict().keys()


def test_gated_blocks_save_and_reload():
    net, images = planted_transformer(), clean_budget(1).images
    sites = block_sites(net)
    assert sites.widths == {"blocks.0": 14, "blocks.1": 14}
    gates = torch.rand(sites.count())
    saved = with_gated_blocks(net, sites.split(gates))
    fresh = with_gated_blocks(planted_transformer(), sites.split(torch.ones(sites.count())))
    fresh.load_state_dict(saved.state_dict())
    assert torch.allclose(saved(images), GatedNetwork(net, sites)(images, gates), atol=1e-6)
    assert torch.equal(fresh(images), saved(images))


def test_agreement_of_probabilities_by_hand():
    u, v = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.2, 0.8], [1.0, 0.0]])
    assert agree(u, v).mean().item() == pytest.approx(
        -(math.log(0.5) + math.log(1.0)) / 2, abs=1e-5
    )
    assert disagree(u, v).mean().item() == pytest.approx(
        -(math.log(0.5) + math.log(1e-8)) / 2, rel=1e-5
    )


@pytest.mark.parametrize("bf16", [False, True])
def test_disagreement_has_its_full_gradient_where_the_overlap_rounds_to_one(bf16):
    sure = torch.tensor([[9.0, 0.0, 0.5], [14.0, 0.0, 0.5], [17.5, 0.0, 0.5], [18.0, 0.0, 0.5]])
    victim = (sure + torch.tensor([0.5, 0.0, -0.5])).softmax(1)
    logits = [sure.clone().requires_grad_() for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = disagree(logits[0].softmax(1), victim)
    overlap = (logits[1].softmax(1) * victim).sum(1)
    expected = -torch.log(1.0 - overlap + 1e-8)
    assert overlap.eq(1).tolist() == [False, False, True, True]
    assert torch.equal(found, expected)
    for loss in (found, expected):
        loss.sum().backward()
    assert logits[1].grad.norm(dim=1).gt(0.1).all()
    torch.testing.assert_close(logits[0].grad, logits[1].grad, rtol=1e-6, atol=0)


def test_disagreement_stays_finite_where_rounding_takes_the_overlap_above_one():
    above = torch.tensor([[1.0, 2**-22]])
    u, v = above.clone().requires_grad_(), torch.ones(1, 2)
    loss = disagree(u, v)
    loss.sum().backward()
    assert (above * v).sum() > 1
    assert loss.item() == pytest.approx(-math.log(1e-8))
    assert u.grad.tolist() == [[pytest.approx(1e8), pytest.approx(1e8)]]


def test_sparsity_does_not_hold_a_gate_at_rest():
    s = torch.tensor([1.0, 0.5], requires_grad=True)
    mean = selection_penalty(MaskPair(torch.ones(2), s, 20))
    assert mean.item() == 0.25
    assert torch.autograd.grad(mean, s)[0].tolist() == [0.0, -0.5]


# --- pruning


def test_clp_bound_of_a_layer_by_hand():
    convolution, norm = nn.Conv2d(2, 2, (1, 2), bias=False), nn.BatchNorm2d(2, eps=1.0)
    with torch.no_grad():
        convolution.weight[0] = torch.tensor([[[3.0, 0.0]], [[0.0, 4.0]]])
        convolution.weight[1] = torch.tensor([[[1.0, 1.0]], [[1.0, 1.0]]])
        norm.weight.copy_(torch.tensor([-2.0, 3.0]))
        norm.running_var.copy_(torch.tensor([3.0, 8.0]))
    assert lipschitz(convolution, norm).tolist() == pytest.approx([4 * 2 / 2, 2 * 3 / 3])


def test_anp_draws_full_batches_from_a_budget_of_any_size():
    class Counting(Augment):
        seen: ClassVar[list[int]] = []

        def __call__(self, images, generator):
            self.seen.append(len(images))
            return images

    small = replace(clean_budget(2), augment=Counting())
    trained_masks(planted(), small, AnpHyper(iterations=3, batch=20), ctx())
    assert Counting.seen == [20, 20, 20]


def test_bnp_divergence_of_a_pair_by_hand():
    p = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 4.0])
    q = torch.tensor([0.0, 0.0]), torch.tensor([4.0, 4.0])
    assert divergence(p, q).tolist() == pytest.approx([math.log(2) + 2 / 8 - 0.5, 0.0])


def test_bnp_moments_are_those_of_the_layer_input():
    net, images = planted(), clean_budget(5).images
    before = net.conv(images).detach()
    (mean, var) = clean_moments(net, images, chunk=7)["norm"]
    assert torch.allclose(mean, before.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(var, before.var((0, 2, 3), unbiased=False), atol=1e-5)


def test_bnp_looks_at_augmented_images_as_the_running_statistics_did():
    class Black(Augment):
        def __call__(self, images, generator):
            return torch.zeros_like(images)

    def kept(budget):
        return bnp(planted(), budget, BnpHyper(), ctx()).artifacts["mask.norm"].tolist()

    plain = clean_budget(5)
    assert kept(replace(plain, augment=Black())) == kept(replace(plain, images=0 * plain.images))
    assert kept(replace(plain, augment=Black())) != kept(plain)


def test_only_outliers_are_cut():
    norm = nn.BatchNorm2d(20)
    values = torch.ones(20)
    values[3] = 100
    assert batchnorm.cut_outliers_(norm, values, 3).nonzero().tolist() == [[3]]
    assert norm.weight[3] == 0
    assert norm.weight.sum() == 19


def test_a_convolution_is_paired_with_the_norm_that_comes_next():
    net = small_resnet()
    found = {(id(conv), id(norm)) for conv, norm in batchnorm.convolution_batchnorm_pairs(net)}
    block = net.layer2[0]
    assert (id(block.conv1), id(block.bn2)) in found
    assert (id(net.conv1), id(net.layer1[0].bn1)) in found
    assert (id(block.shortcut[0]), id(net.layer2[1].bn1)) in found
    assert id(block.conv2) not in {conv for conv, _ in found}


def test_anp_noise_stays_within_eps_and_raises_the_loss():
    net, budget = planted(), clean_budget(4)
    masks, hyper = batchnorm.unit_scale_masks(net), AnpHyper(eps=0.3, steps=3)
    scale, shift = worst_noise(net, masks, (budget.images, budget.labels), hyper, ctx())
    noise = torch.cat([scale["norm"], shift["norm"]]).abs()
    assert noise.max() <= 0.3
    assert noise.max() > 0.29
    moved = batchnorm.forward_with_scales(
        net, budget.images, {"norm": 1 + scale["norm"]}, {"norm": 1 + shift["norm"]}
    )
    assert F.cross_entropy(moved, budget.labels) > F.cross_entropy(
        net(budget.images), budget.labels
    )


def test_rnp_unlearns_the_task_and_recovers_it_within_bounds():
    net, budget = planted(), clean_budget(4)
    hyper = RnpHyper(unlearn_lr=0.1)
    gone = unlearned(net, budget, hyper, ctx())
    assert F.cross_entropy(gone(budget.images), budget.labels) > 1
    masks = recovered(gone, budget, hyper, ctx())["norm"]
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert masks.min() < 1


def test_grad_prune_score_is_the_mean_absolute_gradient_of_a_filter():
    net, budget = small_resnet(), clean_budget(3, triggers=True)
    scores = filter_scores(net, budget, batch=5)
    loss = sum(
        F.cross_entropy(net(x), y)
        for x, y in zip(budget.triggered.split(5), budget.labels.split(5), strict=True)
    )
    loss.backward()
    layer = net.layer3[0].conv1
    by_hand = [filter_.abs().sum().item() / filter_.numel() for filter_ in layer.weight.grad]
    assert scores["layer3.0.conv1"].tolist() == pytest.approx(by_hand, rel=1e-4)


def test_grad_prune_cuts_the_trigger_filters_of_a_planted_backdoor_first():
    net, budget, cut = planted(), clean_budget(4, triggers=True), []
    for _ in range(2):
        cut.append(worst_filter(filter_scores(net, budget, 128), cut))
        cut_filter_(net, cut[-1])
    assert {index for _, index in cut} == {30, 31}
    assert net.norm.weight[30:].tolist() == [0, 0]
    assert net.conv.weight[30:].abs().sum() == 0


def test_tsbd_unlearns_until_the_clean_task_is_gone():
    budget, hyper = clean_budget(5), TsbdHyper(unlearn_lr=2e-5, unlearn_to=0.6)
    assert accuracy(planted(), budget) > 0.6
    assert accuracy(unlearned_for_tsbd(planted(), budget, hyper, ctx()), budget) <= 0.6


def test_tsbd_zeroes_what_changed_most_in_the_filters_that_changed_most():
    net, after = (
        nn.Sequential(nn.Conv2d(5, 4, 1, bias=False)),
        nn.Sequential(nn.Conv2d(5, 4, 1, bias=False)),
    )
    with torch.no_grad():
        net[0].weight.fill_(1)
        after[0].weight.fill_(1)
        after[0].weight[2, :, 0, 0] += torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
        after[0].weight[1, 0] += 0.5
    assert zero_most_changed(net, after, TsbdHyper(filters=0.25, weights=0.6)) == 3
    assert net[0].weight[2].flatten().tolist() == [0, 1, 0, 1, 0]
    assert net[0].weight[[0, 1, 3]].eq(1).all()


# --- fine-tuning and unlearning


def test_sam_steps_on_a_quadratic():
    w = torch.tensor([3.0, -4.0], requires_grad=True)
    (gradient,) = torch.autograd.grad((w**2).sum() / 2, w)
    (step,) = sam_ascent([w], [gradient], 0.5)
    assert step.tolist() == pytest.approx([0.3, -0.4])
    (adaptive,) = sam_ascent([w], [gradient], 2.0, adaptive=True)
    length = math.hypot(9, 16)
    assert adaptive.tolist() == pytest.approx([2 * 27 / length, -2 * 64 / length])
    with displaced_weights([w], [step]):
        assert w.tolist() == pytest.approx([3.3, -4.4])
    assert w.tolist() == [3.0, -4.0]


def test_running_statistics_rest_while_frozen():
    norm = nn.BatchNorm2d(2)
    x = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0)) + 5
    with batchnorm.frozen_running_statistics(norm):
        norm(x)
        assert norm.running_mean.tolist() == [0, 0]
    norm(x)
    assert norm.running_mean.min() > 0.4


def test_hypergradient_is_the_closed_form_and_the_unrolled_one_on_a_quadratic():
    """Inner: a w^2 / 2 - b h w, with w* = b h / a; outer: (w - c)^2 / 2 + h, so d/dh = (w* - c) b / a + 1."""
    a, b, c, lr = 2.0, 3.0, 0.5, 0.3
    h = torch.tensor([0.7], requires_grad=True)
    star = (b * h / a).detach().requires_grad_()

    def solver(w):
        return w - lr * (a * w - b * h)

    def outer(w):
        return ((w - c) ** 2 / 2 + h).sum()

    (found,) = hypergradient(outer(star), solver(star), star, [h], 200)
    assert found.item() == pytest.approx((star.item() - c) * b / a + 1, rel=1e-5)
    w = star.detach()
    for _ in range(5):
        w = solver(w)
    (unrolled,) = torch.autograd.grad(outer(w), h)
    (five,) = hypergradient(outer(star), solver(star), star, [h], 5)
    assert five.item() == pytest.approx(unrolled.item(), rel=1e-6)


def test_hypergradient_through_a_network_is_the_unrolled_one():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x, weights = torch.randn(5, 3, dtype=torch.double), list(net.parameters())
    delta = torch.zeros(3, dtype=torch.double, requires_grad=True)

    def solver(d):
        loss = (net(x + d) - 1).square().mean() + 0.1 * d.square().sum()
        return d - 0.2 * torch.autograd.grad(loss, d, create_graph=True)[0]

    for _ in range(1000):
        delta = solver(delta).detach().requires_grad_()
    found = hypergradient(net(x + delta).sum(), solver(delta), delta, weights, 4)
    d = delta
    for _ in range(4):
        d = solver(d)
    unrolled = torch.autograd.grad(net(x + d).sum(), weights)
    for one, other in zip(found, unrolled, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_i_bau_perturbs_normalised_images():
    bare, budget = planted(), clean_budget(2)
    net = nn.Sequential(Normalise((0.4, 0.5, 0.6), (0.25, 0.5, 1.0)), bare)
    delta, hyper = torch.full((1, 3, 8, 8), 0.2), IbauHyper(penalty=0.5)
    expected = -F.cross_entropy(bare(net[0](budget.images) + 0.2), budget.labels) + 0.5 * 0.04 * 192
    loss = inner_loss(net, (budget.images, budget.labels), delta, hyper)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert pixel_unit(net).flatten().tolist() == [0.25, 0.5, 1.0]
    assert pixel_unit(bare).item() == 1


def test_a_gradient_has_a_gradient_and_the_network_is_as_before():
    net = nn.Sequential(nn.Linear(3, 4), nn.Hardsigmoid(), nn.Linear(4, 1))
    x = torch.randn(5, 3, requires_grad=True)
    expected = net(x)
    with twice_differentiable(net):
        assert torch.allclose(net(x), expected)
        (slope,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(slope.square().sum(), x)
    assert second.abs().sum() > 0
    assert "forward" not in vars(net[1])


def test_attention_map_of_a_small_tensor():
    features = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]])
    energy = torch.tensor([10.0, 4.0])
    expected = energy / energy.norm()
    assert torch.allclose(attention_map(features, 2)[0, 0], expected, atol=1e-6)
    assert attention_map(features, 1)[0, 0].tolist() == pytest.approx(
        [4 / 20**0.5, 2 / 20**0.5], rel=1e-5
    )
    assert attention_distance(features, features * 7, 2).item() == pytest.approx(0, abs=1e-12)


def test_the_last_maps_of_a_residual_network_are_its_last_stages():
    net = small_resnet()
    image = torch.zeros(1, 3, 32, 32)
    assert last_map_modules(net, image, 3) == ["layer2", "layer3", "layer4"]
    maps = FeatureMaps(net, ["layer2", "layer4"])
    logits, found = maps(image)
    assert [tuple(x.shape) for x in found] == [(1, 4, 16, 16), (1, 16, 4, 4)]
    assert torch.equal(logits, net(image))
    maps.remove()
    assert not any(module._forward_hooks for module in net.modules())


def test_nad_leaves_no_hook_behind():
    hyper = nad.__globals__["Hyper"](epochs=1, teacher_epochs=1)
    net = nad(planted(), clean_budget(2), hyper, ctx())
    assert not any(module._forward_hooks for module in net.modules())


def test_sign_descent_moves_every_element_by_its_rate_and_stops_at_the_bound():
    target = torch.tensor([1.0, -1.0, 0.1])
    delta = torch.full((3,), 0.1, requires_grad=True)
    found = minimise_perturbation(
        delta, lambda d: (d - target).square().sum(), sign_sgd(delta, 0.25), 2, 0.5
    )
    assert found.tolist() == pytest.approx([0.5, -0.4, 0.1])


def test_jensen_shannon_of_equal_and_of_disjoint_classes():
    p, q = torch.tensor([[1.0, 0.0], [0.3, 0.7]]), torch.tensor([[0.0, 1.0], [0.3, 0.7]])
    assert jensen_shannon(p, q).tolist() == pytest.approx([math.log(2), 0.0], abs=1e-5)


def test_sau_examples_stay_within_the_bound_and_mislead_both():
    net, victim, budget = planted(), planted(), clean_budget(5)
    shifted = shared_examples(net, victim, budget.images, budget.labels, SauHyper())
    assert (shifted - budget.images).abs().max() <= 0.2 + 1e-6
    wrong = net(shifted).argmax(1) != budget.labels
    assert wrong.float().mean() > 0.5
    assert all(parameter.grad is None for parameter in net.parameters())


def test_sau_loss_by_hand():
    torch.manual_seed(0)
    net, victim = nn.Linear(2, 3), nn.Linear(2, 3)
    x, shifted, y = torch.randn(8, 2), torch.randn(8, 2), torch.randint(3, (8,))
    expected = F.cross_entropy(net(x), y)
    p, wrong, right = net(shifted).softmax(1), victim(shifted).argmax(1), victim(x).argmax(1)
    for i in range(8):
        if wrong[i] != y[i] and wrong[i] != right[i]:
            expected = expected - torch.log(1 - p[i, wrong[i]]) / 8
    assert sau_loss(net, victim, (x, shifted), y, SauHyper()).item() == pytest.approx(
        expected.item(), abs=1e-5
    )


def test_fst_renews_the_classifier_and_keeps_its_norm():
    net = planted()
    tuned = fst(net, clean_budget(3), FstHyper(epochs=3), ctx())
    old = planted().linear.weight
    assert tuned.linear.weight.norm().item() == pytest.approx(old.norm().item(), rel=1e-5)
    assert F.cosine_similarity(tuned.linear.weight.flatten(), old.flatten(), dim=0) < 0.5


def test_the_classifier_is_all_linear_layers_after_the_features():
    vgg = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 4), nn.ReLU()
    )
    vgg.append(nn.Linear(4, 2))
    assert classifier(vgg) == [vgg[3], vgg[5]]
    assert [layer.out_features for layer in classifier(planted_transformer())][-1] == CLASSES


# --- inversion, training, detection


def test_a_trigger_mixes_and_outliers_are_below_the_median():
    trigger = InvertedTrigger(torch.full((1, 2, 2), 0.25), torch.ones(3, 2, 2))
    assert trigger.apply(torch.zeros(1, 3, 2, 2)).unique().tolist() == [0.25]
    assert trigger.size() == 1
    found = anomaly_index(torch.tensor([10.0, 11.0, 9.0, 2.0, 30.0]))
    assert found.tolist() == pytest.approx([0, -1 / 1.4826, 1 / 1.4826, 8 / 1.4826, -20 / 1.4826])


def test_batches_show_every_image_once_and_evenly():
    budget = clean_budget(5)
    seen = list(batches(budget, 9, ctx()))
    assert [len(labels) for _, labels in seen] == [7, 7, 6]
    shown = torch.cat([images for images, _ in seen])
    assert sorted(shown.sum((1, 2, 3)).tolist()) == sorted(budget.images.sum((1, 2, 3)).tolist())


def test_training_stops_when_told_and_logs_the_mean_loss():
    budget, context, weight = clean_budget(2), ctx(), torch.zeros(1, requires_grad=True)

    def step(x, y):
        loss = (weight - 1).square().sum()
        loss.backward()
        return loss

    optimiser = torch.optim.SGD([weight], 0.1)
    train_epochs(
        budget, step, optimiser, Loop(10, 4), context, stop=lambda: len(context.scalars) == 3
    )
    assert len(context.scalars) == 3
    assert context.scalars[0]["loss"] == pytest.approx((1 + 0.64) / 2)
    assert weight.item() == pytest.approx(1 - 0.8**6)


def test_auroc_by_hand():
    negatives, positives = np.array([0.1, 0.4, 0.4]), np.array([0.4, 0.9])
    assert auroc(negatives, positives) == pytest.approx((1 + 0.5 + 0.5 + 3) / 6)
    assert auroc(positives, positives) == 0.5


def test_the_trigger_of_the_planted_models_is_what_their_filters_see():
    images = clean_budget(1).images
    response = planted().conv(stamp(images))[:, -1, -2, -2]
    assert response.tolist() == pytest.approx([1.0] * CLASSES, abs=1e-5)
