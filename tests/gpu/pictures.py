"""A study that needs no download: pictures of four colours, as PNG files."""

from __future__ import annotations

from pathlib import Path

import yaml
from PIL import Image

from tests.helpers.planted_models import pictures


def write_pictures(folder: Path) -> None:
    """Write 40 training and 10 test images per class, 8x8."""
    for split, n, seed in (("train", 40, 0), ("test", 10, 1)):
        images, labels = pictures(n, seed)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / split / f"colour{int(label)}" / f"{i:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = (255 * image).byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(path)


def write_study(folder: Path, **changes: object) -> Path:
    """Write the study, some of its keys changed, with its data beside it; return its path."""
    write_pictures(folder / "pictures")
    content = {
        "data": [{"colours": {"path": "./pictures"}}],
        "models": [{"preactresnet18": {"width": 4}}],
        "recipe": {"fast": {"epochs": 1, "batch": 32}},
        "attacks": ["badnets"],
        "defenses": ["none", {"ft": {"epochs": 1}}],
        "budgets": [{"spc": 2}],
        "seeds": [0],
        "gate": {"acc": 0.0, "run": "all"},
        **changes,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
