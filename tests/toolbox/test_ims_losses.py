"""The losses of IMS by hand, their gradients where probabilities saturate, and the masks."""

import math

import pytest
import torch

from harness.toolbox.ims.losses import MaskPair, agree, disagree, selection_penalty


def test_mask_and_inverse_add_up_to_one_plus_selection():
    generator = torch.Generator().manual_seed(0)
    a, s = torch.rand(50, generator=generator), torch.rand(50, generator=generator)
    masks = MaskPair(a, s, 20)
    assert torch.allclose(masks.mask() + masks.inverse(), 1 + s, atol=1e-6)
    hand = torch.sigmoid(20 * (a - 0.5))
    assert torch.allclose(masks.mask(), hand + s * (1 - hand), atol=1e-6)
    assert torch.allclose(masks.inverse(), (1 - hand) + s * hand, atol=1e-6)


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
