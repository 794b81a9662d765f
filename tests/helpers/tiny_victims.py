"""A small data set in memory, and victims on it, for the tests of attacks and architectures."""

from pathlib import Path

import torch

from harness.contract import Context, Recipe
from harness.data.device_dataset import DeviceDataset
from harness.data.info import DataInfo
from harness.plan.entries import resolve_method
from harness.plan.registry import describe
from harness.plan.spec import Victim
from harness.study.victims import clean_model_of
from harness.training.network import build
from harness.training.poisoning import attack_data

CPU = torch.device("cpu")
CLASSES = 4
QUICK = {
    "ssba": {"steps": 3, "batch": 8, "width": 4},
    "inputaware": {"width": 4, "stages": 2, "mask_epochs": 1},
    "lf": {"steps": 3, "batch": 16},
    "lc": {"steps": 2},
    "preactresnet18": {"width": 16},
    "resnet18": {"width": 16},
    "vgg19_bn": {"width": 0.03},
    "vgg19": {"width": 0.03},
    "densenet161": {"growth": 4},
    "convnext_tiny": {"width": 0.1},
    "mobilenet_v3_large": {"width": 0.25},
    "vit_b_16": {"size": 32, "layers": 1, "heads": 2, "width": 16},
    "vit_small_cifar": {"layers": 1, "heads": 2, "width": 16},
}
"""Methods made cheap; the rest is cheap as it is. (Eight channels at 64x64 crash torch 2.15 on a
CPU.)"""


def resident(n=240, shape=(3, 16, 16), test=80):
    """Return images whose class shows as brightness, classes in turn."""
    generator = torch.Generator().manual_seed(1)

    def split(count):
        labels = torch.arange(count) % CLASSES
        noise = torch.randint(0, 64, (count, *shape), generator=generator)
        return (noise + 48 * labels[:, None, None, None]).to(torch.uint8), labels

    info = DataInfo(
        name="bright",
        digest="0123456789abcdef",
        folder=Path("nowhere"),
        classes=CLASSES,
        class_names=tuple("abcd"),
        shape=shape,
        train_counts=(n // CLASSES,) * CLASSES,
        test_count=test,
        mean=(0.5,) * shape[0],
        std=(0.25,) * shape[0],
        crop=2,
        flip=False,
    )
    return DeviceDataset(info, *split(n), *split(test))


def victim(data, attack="badnets", rate=0.1, target=1, model="preactresnet18", epochs=1, **hyper):
    """Return a victim of a method's quick form, with its clean model where it needs one."""
    base = Path.cwd()
    choice = resolve_method("attack", {attack: QUICK.get(attack, {}) | hyper}, base)
    network = resolve_method("model", {model: QUICK.get(model, {})}, base)
    recipe = Recipe(epochs=epochs, batch=32, lr=0.05, precision="fp32")
    fields = (data.info, network, recipe, "quick", choice, rate, target, 0)
    made = Victim(*fields)
    if made.is_clean:
        return clean_model_of(made)
    if choice.info.clean_model:
        return Victim(*fields, clean_model_of(made))
    return made


def traits(attack):
    return describe("attack", attack).info


def context():
    return Context(CPU, torch.Generator().manual_seed(0))


def clean_network(spec):
    """Return an untrained network in place of the clean model, if the victim's attack needs one."""
    if spec.clean is None:
        return None
    torch.manual_seed(0)
    return build(spec.model, spec.data).eval()


def run_attack(spec, data, store):
    return attack_data(spec, data, clean_network(spec), context(), store)
