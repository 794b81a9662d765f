"""NPD: where its layer goes, its identity at the start, and its loss by hand."""

import pytest
import torch
from harness.defenses.npd import (
    Hyper,
    insert_polarizer,
    likeliest_wrong_class,
    npd,
    polarizer_loss,
    towards,
    undo_norm_,
)
from torch.nn import functional as F

from harness.models.resnet18 import Hyper as Width
from harness.models.resnet18 import resnet18
from tests.helpers.planted_models import (
    BLACK_AND_WHITE,
    SignedPixels,
    clean_budget,
    cpu_context,
    planted,
    planted_deep,
    small_resnet,
)


def test_npd_goes_in_front_of_the_first_convolution_of_the_last_block():
    preactivation = small_resnet()
    assert insert_polarizer(preactivation) is preactivation.layer4[1].conv1
    residual = resnet18(3, 4, Width(width=2))
    assert insert_polarizer(residual) is residual.layer4[1].conv1
    plain = planted_deep()
    assert insert_polarizer(plain) is plain.mix


@pytest.mark.parametrize("network", [small_resnet, planted_deep])
def test_npd_changes_no_logit_at_its_start(network):
    net, budget = network(), clean_budget(5)
    before = net(budget.images)
    undo_norm_(net, insert_polarizer(net), budget, 7, cpu_context())
    assert torch.allclose(net(budget.images), before, atol=1e-5)


def test_npd_trains_its_layer_alone_and_does_not_load_without_it():
    net = npd(planted_deep(), clean_budget(3), Hyper(epochs=2), cpu_context())
    for name, x in planted_deep().named_parameters():
        here = name.replace("mix.", "mix.layer.")
        assert torch.equal(net.get_parameter(here), x)
        assert net.get_parameter(here).grad is None
    assert not torch.equal(net.mix.linear.weight[:, :, 0, 0], torch.eye(32))
    with pytest.raises(RuntimeError, match=r"mix\.linear\.weight"):
        planted_deep().load_state_dict(net.state_dict())


def test_npd_search_stays_in_its_ball_and_in_the_image():
    net, budget = planted(), clean_budget(5)
    label = likeliest_wrong_class(net(budget.images), budget.labels)
    assert (label != budget.labels).all()
    seen: list[torch.Tensor] = []
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    shifted = towards(net, budget.images, label, Hyper(radius=0.5))
    assert len(seen) == 2
    assert all(x.min() >= 0 and x.max() <= 1 for x in seen)
    assert (shifted - budget.images).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
    assert shifted.min() >= 0
    assert shifted.max() <= 1
    before, after = (F.cross_entropy(net(x), label) for x in (budget.images, shifted))
    assert after < before


def test_npd_search_moves_black_and_white_pixels_as_the_others():
    """At 0 and at 1 the gradient is that of the loss alone, whatever torch's clamp has there."""
    moved = towards(SignedPixels(), BLACK_AND_WHITE, torch.tensor([1]), Hyper()).flatten()
    assert torch.allclose(moved, torch.tensor([0.0, 0.1, 0.9, 1.0]), atol=1e-6)


def test_npd_loss_by_hand():
    net, budget = planted(), clean_budget(2)
    x, y = budget.images, budget.labels
    other = likeliest_wrong_class(net(x), y)
    shifted = net(towards(net, x, other, Hyper()))
    p = shifted.softmax(1)
    expected = F.cross_entropy(net(x), y) + 0.4 * F.cross_entropy(shifted, net(x).argmax(1))
    for i in range(len(x)):
        wrong = max(p[i, j].item() for j in range(4) if j != y[i])
        for q in (wrong, p[i, other[i]].item()):
            expected = expected - 0.4 / len(x) * torch.log(torch.tensor(1.0001 - q))
    assert polarizer_loss(net, x, y, Hyper()).item() == pytest.approx(expected.item(), rel=1e-4)
