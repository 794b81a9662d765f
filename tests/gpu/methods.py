"""Every attack, architecture and defense: the same on the device as on the CPU, and twice alike."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch

from harness.contract import Budget, Context, Defended, Poison
from harness.data.device_dataset import DeviceDataset
from harness.data.tensors import to_numpy
from harness.plan.registry import describe, load, names
from harness.store.store import Store
from harness.toolbox.predict import to_uint8
from harness.training.network import build, prepare_for_eval
from harness.training.poisoning import attack_data
from harness.training.victim import train_victim, trigger_of
from tests.gpu.step import Checks, Outcome, Setting
from tests.helpers import tiny_victims
from tests.helpers.planted_models import clean_budget, planted, planted_transformer, scores

CPU = torch.device("cpu")
FEW = {
    "attack": ("badnets", "wanet"),
    "defense": ("ft", "anp", "ims", "clp"),
    "model": ("preactresnet18", "vit_small_cifar"),
}
"""In the tiny form."""
PIXELS = 1e-3
"""The share of pixels that may be one level apart."""
LOGITS = 1e-3
"""How far logits may be apart, as a share of the largest."""
SCORES = 0.05
NEED_NOT_REPEAT = ("vgg19", "vgg19_bn")
"""Architectures with an operation that has no deterministic kernel on CUDA: see docs/gpu.md."""


def compare(setting: Setting) -> Outcome:
    """Compare triggers, logits and results of short runs with those of the CPU."""
    checks, device = Checks(), setting.torch_device
    for attack in _names("attack", setting):
        apart, share = _triggers_apart(attack, device)
        checks.add(f"trigger of {attack}", share, passed=apart <= 1 and share <= PIXELS)
    for model in _names("model", setting):
        apart = _logits_apart(model, device)
        checks.add(f"logits of {model}", apart, passed=apart <= LOGITS)
    for defense in _names("defense", setting):
        here, there = (scores(_defended(defense, x).model.to(CPU).eval()) for x in (CPU, device))
        apart = max(abs(a - b) for a, b in zip(here, there, strict=True))
        checks.add(f"ACC and ASR of {defense}", [*here, *there], passed=apart <= SCORES)
    return checks.outcome("comparisons with the CPU")


def repeat(setting: Setting) -> Outcome:
    """Train victims of every attack and model and run every defense twice, to the same bits."""
    checks, device = Checks(), setting.torch_device
    for attack in _names("attack", setting):
        first, second = (_trained(attack, device) for _ in range(2))
        checks.add(f"victim of {attack}", [first, second], passed=first == second)
    for model in _names("model", setting):
        first, second = (_trained("badnets", device, model) for _ in range(2))
        repeats = first == second or (setting.on_gpu and model in NEED_NOT_REPEAT)
        checks.add(f"victim on {model}", [first, second], passed=repeats)
    for defense in _names("defense", setting):
        first, second = (_digest_of(_defended(defense, device)) for _ in range(2))
        checks.add(defense, [first, second], passed=first == second)
    return checks.outcome("victims and defenses have the same bits twice")


def _names(kind: str, setting: Setting) -> tuple[str, ...]:
    return FEW[kind] if setting.tiny else names(kind)


def _data(device: torch.device, model: str = "preactresnet18") -> DeviceDataset:
    shape = (3, 16, 16) if model == "preactresnet18" else (3, 32, 32)
    data = tiny_victims.resident(n=80, shape=shape, test=40)
    return data._replace(
        **{
            name: getattr(data, name).to(device)
            for name in ("train_images", "train_labels", "test_images", "test_labels")
        }
    )


def _context(device: torch.device) -> Context:
    torch.manual_seed(1)
    return Context(device, torch.Generator().manual_seed(1))


def _victim_of(attack: str, data: DeviceDataset, model: str = "preactresnet18"):
    target = 0 if attack == "none" else 1
    return tiny_victims.victim(data, attack, target=target, model=model)


def _clean_model(victim, device: torch.device):
    return None if victim.clean is None else prepare_for_eval(_network(victim), device)


def _network(victim) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(victim.model, victim.data)


def _triggers_apart(attack: str, device: torch.device) -> tuple[int, float]:
    """Return the largest distance of a pixel in levels, and the share of pixels that differ."""
    data = _data(CPU)
    victim = _victim_of(attack, data)
    with tempfile.TemporaryDirectory() as folder:
        made = attack_data(
            victim, data, _clean_model(victim, CPU), _context(CPU), Store(Path(folder))
        )
    images = data.test_images.float() / 255
    state = made.state
    here = to_uint8(trigger_of(victim, state)(images))
    moved = {name: x.to(device) for name, x in state.items()}
    there = to_uint8(trigger_of(victim, moved)(images.to(device))).to(CPU)
    apart = (here.int() - there.int()).abs()
    assert isinstance(made, Poison) or made.batch is not None
    return int(apart.max()), float((apart > 0).float().mean())


@torch.no_grad()
def _logits_apart(model: str, device: torch.device) -> float:
    data = _data(CPU, model)
    network = _network(tiny_victims.victim(data, model=model)).eval()
    for weight in network.parameters():
        if weight.ndim > 1 and not weight.any():  # a last layer that begins with zeros
            torch.nn.init.normal_(weight, std=0.02)
    images = data.test_images.float() / 255
    here = network(images)
    there = prepare_for_eval(network, device)(images.to(device)).to(CPU)
    return float((here - there).abs().max() / here.abs().max())


def _trained(attack: str, device: torch.device, model: str = "preactresnet18") -> str:
    data = _data(device, model)
    victim = _victim_of(attack, data, model)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        clean = _clean_model(victim, device)
        result = train_victim(victim, data, _context(device), store, clean)
    return result.artifacts.model[:16]


def _defended(defense: str, device: torch.device) -> Defended:
    from tests.defenses.test_defenses import BRIEF, SHORT

    info, method = describe("defense", defense).info, load("defense", defense)
    transformer = info.requires == "encoder-blocks"
    network = (planted_transformer() if transformer else planted()).to(device)
    budget = _moved(clean_budget(4, triggers=info.needs == "triggers"), device)
    hyper = method.hyper(**{**SHORT.get(defense, {}), **BRIEF.get(defense, {})})
    found = method.function(network, budget, hyper, _context(device))
    return found if isinstance(found, Defended) else Defended(found)


def _moved(budget: Budget, device: torch.device) -> Budget:
    triggered = None if budget.triggered is None else budget.triggered.to(device)
    return Budget(
        budget.images.to(device),
        budget.labels.to(device),
        budget.classes,
        budget.augment,
        triggered,
    )


def _digest_of(defended: Defended) -> str:
    arrays: Iterable = to_numpy({**defended.model.state_dict(), **defended.artifacts}).values()
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
