"""Which layers of a network are its classifier."""

import pytest
from torch import nn

from harness.toolbox.head import classifier
from tests.helpers.planted_models import CLASSES, planted_transformer


def test_the_classifier_is_all_linear_layers_after_the_features():
    vgg = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 4), nn.ReLU()
    )
    vgg.append(nn.Linear(4, 2))
    assert classifier(vgg) == [vgg[3], vgg[5]]
    assert [layer.out_features for layer in classifier(planted_transformer())][-1] == CLASSES


def test_a_network_without_a_linear_layer_is_refused():
    with pytest.raises(ValueError, match="no linear layer after its features"):
        classifier(nn.Sequential(nn.Linear(4, 4), nn.Conv2d(3, 4, 3)))
