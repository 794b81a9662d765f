"""FST: how the classifier is renewed."""

import pytest
from harness.defenses.fst import Hyper, fst
from torch.nn import functional as F

from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_fst_renews_the_classifier_and_keeps_its_norm():
    net = planted()
    tuned = fst(net, clean_budget(3), Hyper(epochs=3), cpu_context())
    old = planted().linear.weight
    assert tuned.linear.weight.norm().item() == pytest.approx(old.norm().item(), rel=1e-5)
    assert F.cosine_similarity(tuned.linear.weight.flatten(), old.flatten(), dim=0) < 0.5
