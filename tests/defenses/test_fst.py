"""FST: which layers are the classifier, and how it is renewed."""

import pytest
from harness.defenses.fst import Hyper, classifier, fst
from torch import nn
from torch.nn import functional as F

from tests.helpers.planted_models import (
    CLASSES,
    clean_budget,
    cpu_context,
    planted,
    planted_transformer,
)


def test_fst_renews_the_classifier_and_keeps_its_norm():
    net = planted()
    tuned = fst(net, clean_budget(3), Hyper(epochs=3), cpu_context())
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
