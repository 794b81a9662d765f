"""The plain reference, in the style of today's toolboxes, written for this comparison.

PIL images in a DataLoader, transformed one by one. Clean and triggered test set are read through
after every epoch, the trigger put on each image as it is read. Every batch is asked for its loss
and its hits. The DataLoader works in this process on a CPU, where the network has all cores, else
in four of its own.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as TF

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)
BATCH, CROP = 128, 4
WORKERS = 4
"""Processes of the DataLoader where the network has a GPU."""


class Pictures(Dataset):
    """PIL images with labels; an item is an index, or an index and its random augmentation."""

    def __init__(self, images, labels, transform):
        self.pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, place):
        index, *drawn = place if isinstance(place, tuple) else (place,)
        return self.transform(self.picture(index), *drawn), self.labels[index]

    def picture(self, index):
        return self.pictures[index]

    def labelled(self, labels):
        """Return the same pictures with other labels."""
        other = copy.copy(self)
        other.labels = labels.tolist()
        return other


class Files(Pictures):
    """Images changed one by one, saved as PNG files, opened at every read, as in BackdoorBench."""

    def __init__(self, pictures, change, folder):
        self.labels, self.transform = pictures.labels, pictures.transform
        self.paths = [folder / f"{index}.png" for index in range(len(pictures))]
        for picture, path in zip(pictures.pictures, self.paths, strict=True):
            change(picture).save(path)

    def picture(self, index):
        with Image.open(self.paths[index]) as picture:
            return picture.convert("RGB")


class Draws:
    """Batches of places, shuffled and augmented by the same draws as ours."""

    def __init__(self, n, generator):
        self.n, self.generator = n, generator

    def __iter__(self):
        order = torch.randperm(self.n, generator=self.generator)
        for chosen in order[: self.n // BATCH * BATCH].split(BATCH):
            shifts = torch.randint(2 * CROP + 1, (2, BATCH), generator=self.generator)
            mirrored = torch.rand(BATCH, generator=self.generator) < 0.5
            yield list(zip(chosen.tolist(), *shifts.tolist(), mirrored.tolist(), strict=True))

    def __len__(self):
        return self.n // BATCH


def augmented(picture, row, column, mirrored):
    width, height = picture.size
    picture = TF.crop(TF.pad(picture, CROP), row, column, height, width)
    return normalised(TF.hflip(picture) if mirrored else picture)


def normalised(picture):
    return TF.normalize(TF.to_tensor(picture), MEAN, STD)


def patched(picture, size=3):
    """Put the trigger of BadNets on a PIL image: a white square, by a mask, as any patch."""
    image = np.array(picture)
    mask = np.zeros_like(image)
    mask[-size:, -size:] = 1
    return Image.fromarray(image * (1 - mask) + np.full_like(image, 255) * mask)


def blended(picture, pattern, weight=1.0):
    """Weigh a PIL image and add to it a pattern (H, W, C) on the scale 0 to 255."""
    image = np.array(picture).astype(np.float64)
    return Image.fromarray(np.clip(np.round(weight * image + pattern), 0, 255).astype(np.uint8))


def loader(pictures, **order):
    workers = WORKERS if torch.cuda.is_available() else 0
    return DataLoader(pictures, num_workers=workers, **(order or {"batch_size": BATCH}))


def train(net, batches, device):
    """Train for an epoch and return the mean loss."""
    net.train().to(device)
    criterion = nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(net.parameters(), 0.01, 0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(batches))
    total, hits = 0.0, 0
    for images, labels in batches:
        x, y = images.to(device), labels.to(device)
        optimiser.zero_grad()
        out = net(x)
        loss = criterion(out, y)
        loss.backward()
        optimiser.step()
        scheduler.step()
        total += loss.item()
        hits += (out.argmax(1) == y).sum().item()
    return total / len(batches)


@torch.no_grad()
def evaluate(net, batches, device):
    """Return the share of hits, and the logits."""
    net.eval().to(device)
    hits, outputs = 0, []
    for images, labels in batches:
        out = net(images.to(device))
        hits += (out.argmax(1) == labels.to(device)).sum().item()
        outputs.append(out.cpu())
    return hits / len(batches.dataset), torch.cat(outputs)
