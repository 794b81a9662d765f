"""A network that does not take the images of a data set is found before any training."""

import pytest

from harness.errors import UserError
from tests.helpers import tiny_study

OWN = """
from torch import nn
from harness.contract import model

@model(paper="p", year=2026)
def deep(channels, classes, hyper):
    \"\"\"Pools too often for 8x8 images.\"\"\"
    pools = [nn.MaxPool2d(2) for _ in range({pools})]
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), *pools, {head})
"""
HEAD = "nn.Flatten(), nn.Linear(4, classes)"


def refusal(tmp_path, **changes):
    with pytest.raises(UserError) as error:
        tiny_study.load(tiny_study.write_study(tmp_path, **changes))
    return str(error.value)


def own(tmp_path, pools, head=HEAD):
    (tmp_path / "deep.py").write_text(OWN.replace("{pools}", str(pools)).replace("{head}", head))
    return ["deep.py"]


def test_built_in_networks_name_the_size_that_they_need(tmp_path):
    said = refusal(tmp_path, models=["vgg19", "preactresnet18", "densenet161"])
    assert [line.split(": ", 1)[1] for line in said.splitlines()] == [
        "models[0]: vgg19 takes images of 32x32 or more; those of digits are 8x8",
        "models[2]: densenet161 takes images of 29x29 or more; those of digits are 8x8",
    ]
    tiny_study.load(
        tiny_study.write_study(tmp_path, models=["vgg19"], data=[{"digits": {"size": 32}}])
    )


def test_an_own_network_is_tried_on_the_images(tmp_path):
    said = refusal(tmp_path, models=own(tmp_path, 4))
    assert "models[0]: the network fails on images of digits, 1 channels of 8x8: " in said
    assert "RuntimeError" in said
    tiny_study.load(tiny_study.write_study(tmp_path, models=own(tmp_path, 3)))


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("nn.Flatten(), nn.Linear(4, classes + 1)", "the network gives (2, 11) for two images"),
        ("nn.Flatten(1, 2)", "the network gives (2, 4, 1) for two images"),
        ("nn.Linear(3)", "deep can't be built for digits: TypeError"),
    ],
)
def test_an_own_network_without_logits_is_refused(tmp_path, head, reason):
    assert reason in refusal(tmp_path, models=own(tmp_path, 3, head))


def test_sizes_that_do_not_divide_each_other_are_refused(tmp_path):
    said = refusal(tmp_path, models=[{"vit_b_16": {"heads": 5}}, {"vit_small_cifar": {"size": 30}}])
    assert "models[0].vit_b_16: vit_b_16: size is a multiple of 16, and width one of the he" in said
    assert "models[1].vit_small_cifar: vit_small_cifar: size is a multiple of the patch" in said
