"""Every architecture: torchvision's names, any channels, BadNets victims at 32x32 and 64x64."""

import pytest
import torch
import torchvision

from harness.errors import UserError
from harness.models._preactivation import PreactivationBlock
from harness.models.preactresnet18 import PreActResNet
from harness.plan.entries import resolve_method
from harness.plan.registry import describe, load, names
from harness.store.store import Store
from harness.training.victim import train_victim
from tests.helpers.tiny_victims import QUICK, context, resident, victim

MODELS = names("model")
NAMESAKES = [
    "convnext_tiny",
    "densenet161",
    "efficientnet_b3",
    "mobilenet_v3_large",
    "vgg19",
    "vgg19_bn",
]
FACTORY = """
import torch
from torch import nn

def tiny(channels, classes):
    \"\"\"One linear layer.\"\"\"
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, classes))
"""


def built(name, channels=3, classes=10, **hyper):
    method = load("model", name)
    torch.manual_seed(0)
    return method.function(channels, classes, method.hyper(**(QUICK.get(name, {}) | hyper)))


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("name", MODELS)
def test_a_victim_trains(name, side, tmp_path):
    data = resident(n=32, shape=(3, side, side), test=8)
    result = train_victim(victim(data, model=name), data, context(), Store(tmp_path))
    assert result.poisoned == 3
    assert 0 <= result.asr <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_every_weight_learns(name, channels):
    net = built(name, channels).train()
    logits = net(torch.rand(4, channels, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (4, 10)
    logits.logsumexp(1).sum().backward()
    still = [key for key, x in net.named_parameters() if x.grad is None]
    assert still == []


@pytest.mark.parametrize("name", MODELS)
def test_the_least_size_of_images_is_the_least(name):
    least = describe("model", name).info.least_size
    with torch.device("meta"):
        net = built(name).eval()
        assert net(torch.zeros(2, 3, least, 2 * least)).shape == (2, 10)
        if least > 1:
            with pytest.raises(RuntimeError, match=r"[Oo]utput size|[Kk]ernel size"):
                net(torch.zeros(2, 3, least - 1, 2 * least))


@pytest.mark.parametrize("stem", ["3x3", "7x7"])
def test_resnet18_is_torchvisions_but_for_its_small_stem(stem):
    with torch.device("meta"):
        theirs = torchvision.models.resnet18(num_classes=10)
        ours = built("resnet18", width=64, stem=stem)
    shapes = [{key: x.shape for key, x in net.state_dict().items()} for net in (ours, theirs)]
    other = {key for key in shapes[1] if shapes[0][key] != shapes[1][key]}
    assert list(shapes[0]) == list(shapes[1])
    assert other == ({"conv1.weight"} if stem == "3x3" else set())
    assert isinstance(ours.maxpool, torch.nn.Identity if stem == "3x3" else torch.nn.MaxPool2d)


@pytest.mark.parametrize("name", NAMESAKES)
def test_state_dicts_are_torchvisions(name):
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(num_classes=10).state_dict()
        method = load("model", name)
        ours = method.function(3, 10, method.hyper()).state_dict()
    assert [(key, x.shape) for key, x in ours.items()] == [
        (key, x.shape) for key, x in theirs.items()
    ]


def test_the_vision_transformer_is_torchvisions_behind_a_resize():
    with torch.device("meta"):
        theirs = torchvision.models.vit_b_16(num_classes=10).state_dict()
        method = load("model", "vit_b_16")
        ours = method.function(3, 10, method.hyper()).state_dict()
    assert [(key, x.shape) for key, x in ours.items()] == [
        (f"1.{key}", x.shape) for key, x in theirs.items()
    ]


def test_a_plain_function_is_an_architecture(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(FACTORY)
    choice = resolve_method("model", "nets.py:tiny", tmp_path)
    summary = describe("model", choice.ref).summary
    assert (choice.name, summary) == ("tiny", "One linear layer.")
    assert choice.version.startswith("sha256:")
    net = load("model", choice.ref).function(1, 5, None)
    assert net(torch.rand(2, 1, 8, 8)).shape == (2, 5)


def test_a_plain_function_that_is_not_there(tmp_path):
    (tmp_path / "nets.py").write_text(FACTORY)
    with pytest.raises(UserError, match=r"nets.py: no function 'tinny'; did you mean 'tiny'"):
        describe("model", "nets.py:tinny", tmp_path)
    with pytest.raises(
        UserError, match="only an architecture or a trigger can be a plain function"
    ):
        describe("defense", "nets.py:tiny", tmp_path)
    with pytest.raises(UserError, match="no file"):
        describe("model", "net.py:tiny", tmp_path)


def formula(block, x):
    """Write a pre-activation block out, nothing in place."""
    active = torch.relu(block.bn1(x))
    passed = x if block.shortcut is None else block.shortcut(active)
    return block.conv2(torch.relu(block.bn2(block.conv1(active)))) + passed


@pytest.mark.parametrize("size", [8, 32], ids=["maps down to one pixel", "CIFAR-10's"])
def test_a_preactivation_network_trains_by_its_formula_to_the_bit(size, monkeypatch):
    """A sum in place has another memory layout on maps of one pixel, and other sums later."""

    def bits():
        torch.manual_seed(1)
        net = PreActResNet(1, 10, 8).to(memory_format=torch.channels_last).train()
        out = net(torch.rand(128, 1, size, size))
        out.logsumexp(1).sum().backward()
        return torch.cat([out.detach().flatten(), *(x.grad.flatten() for x in net.parameters())])

    ours = bits()
    monkeypatch.setattr(PreactivationBlock, "forward", formula)
    assert torch.equal(ours, bits())


LAYERS = {
    "residual": "nn.Sequential(nn.Conv2d(c, 4, 3), nn.BatchNorm2d(4), nn.Flatten())",
    "plain": "nn.Sequential(nn.Conv2d(c, 4, 1), nn.Flatten())",
    "grey": "nn.Sequential({1: nn.Conv2d(1, 4, 3)}[c], nn.Flatten())",
    "dense": "nn.Sequential(nn.Flatten(), nn.Linear(c, k))",
    "patches": "nn.Sequential(nn.Conv2d(c, 8, 4, 4), nn.TransformerEncoderLayer(8, 2))",
    "broken": "1 / 0",
}
SEEN = {
    "residual": ("convolutions", "batchnorm"),
    "plain": ("convolutions",),
    "grey": ("convolutions",),
    "dense": (),
    "patches": ("encoder-blocks",),
    "broken": ("convolutions", "batchnorm"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layers_of_a_plain_function_are_those_of_its_network(tmp_path, name):
    functions = [f"def {x}(c, k):\n    return {body}\n" for x, body in LAYERS.items()]
    (tmp_path / "nets.py").write_text("\n".join(["from torch import nn", *functions]))
    state = torch.get_rng_state()
    assert describe("model", f"nets.py:{name}", tmp_path).info.layers == SEEN[name]
    assert torch.equal(torch.get_rng_state(), state)
