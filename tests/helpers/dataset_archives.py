"""Writes folders as the archives of CIFAR, GTSRB and Tiny-ImageNet leave them."""

import io
import pickle

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 3072), dtype=np.uint8)


def write_pickle(path, content, protocol=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def write_cifar10(root):
    folder = root / "cifar-10-batches-py"
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        rows = slice(4 * i, 4 * i + 4)
        write_pickle(
            folder / name, {b"data": PIXELS[rows], b"labels": [0, 1, 0, 1], b"batch_label": b"x"}
        )
    write_pickle(folder / "batches.meta", {b"label_names": [b"cat", b"dog"], b"num_vis": 3072})
    return folder


def write_cifar100(root):
    folder = root / "cifar-100-python"
    for name, rows in (("train", slice(0, 8)), ("test", slice(8, 12))):
        count = rows.stop - rows.start
        labels = {b"fine_labels": [i % 2 for i in range(count)], b"coarse_labels": [0] * count}
        write_pickle(folder / name, {b"data": PIXELS[rows], **labels})
    write_pickle(
        folder / "meta", {b"fine_label_names": [b"cat", b"dog"], b"coarse_label_names": [b"pet"]}
    )
    return folder


def write_image(path, seed, size=(8, 8), kind="PPM"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    path.write_bytes(file.getvalue())


def write_gtsrb(root):
    for label in (0, 1):
        for i in range(3):
            write_image(root / "Train" / f"{label:05d}" / f"00000_{i:05d}.ppm", 10 * label + i)
        (root / "Train" / f"{label:05d}" / f"GT-{label:05d}.csv").write_text("Filename;ClassId\n")
    for i in range(4):
        write_image(root / "Test" / f"{i:05d}.ppm", 100 + i)
    rows = "".join(f"{i:05d}.ppm;8;8;0;0;8;8;{i % 2}\n" for i in range(4))
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    (root / "Test" / "GT-final_test.csv").write_text(head + rows)


def write_tiny(root, annotated=True):
    folder = root / "tiny-imagenet-200"
    for label, name in enumerate(("n01", "n02")):
        for i in range(2):
            write_image(
                folder / "train" / name / "images" / f"{name}_{i}.JPEG", 10 * label + i, kind="JPEG"
            )
            place = "images" if annotated else name
            write_image(
                folder / "val" / place / f"val_{label}{i}.JPEG", 50 + 10 * label + i, kind="JPEG"
            )
    if annotated:
        rows = [
            f"val_{label}{i}.JPEG\tn0{label + 1}\t0\t0\t8\t8" for label in (0, 1) for i in (0, 1)
        ]
        (folder / "val" / "val_annotations.txt").write_text("\n".join(rows) + "\n")
    return folder
