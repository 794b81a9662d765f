"""The data sets that a study can name, with source, normalisation and augmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.data.options import DataOptions
from harness.errors import UserError, nearest


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One data set.

    Attributes:
        hub: id on the Hugging Face hub; ``None`` for one that needs no download.
        config: configuration on the hub, for ids that hold several.
        image: image column.
        label: label column.
        splits: names of the training and the test split.
        size: height and width in pixels; ``None`` keeps the images' own, which must then agree.
        mean: per channel on the [0, 1] scale; ``None`` is 0.
        std: per channel on the [0, 1] scale; ``None`` is 1.
        crop: padding in pixels of the random crop; 0 for none.
        flip: whether training images are mirrored at random.
        tracks: whether the training images are frames of tracks, as their file names show.
        reference: who published the data set, and where.
    """

    hub: str | None = None
    config: str | None = None
    image: str = "image"
    label: str = "label"
    splits: tuple[str, str] = ("train", "test")
    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop: int = 0
    flip: bool = False
    tracks: bool = False
    reference: str = ""

    def normalisation(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std, one value per channel; 0 and 1 where the entry has none."""
        return self.mean or (0.0,) * channels, self.std or (1.0,) * channels


# Normalisation, crop and flip follow BackdoorBench where it has the data set: it mirrors CIFAR-10
# only.
CATALOG: dict[str, CatalogEntry] = {
    "digits": CatalogEntry(
        size=8,
        mean=(0.3053,),
        std=(0.3760,),
        crop=1,
        reference="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI 1998; "
        "by scikit-learn",
    ),
    "cifar10": CatalogEntry(
        hub="uoft-cs/cifar10",
        image="img",
        size=32,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.247, 0.243, 0.261),
        crop=4,
        flip=True,
        reference="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    "cifar100": CatalogEntry(
        hub="uoft-cs/cifar100",
        image="img",
        label="fine_label",
        size=32,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        crop=4,
        reference="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    ),
    "gtsrb": CatalogEntry(
        # the 26,640 images of GTSRB-Training_fixed; the final training set has 39,209
        hub="tanganke/gtsrb",
        size=32,
        crop=4,
        tracks=True,
        reference="Stallkamp et al., The German Traffic Sign Recognition Benchmark, IJCNN 2011",
    ),
    "mnist": CatalogEntry(
        hub="ylecun/mnist",
        size=28,
        mean=(0.1307,),
        std=(0.3081,),
        crop=4,
        reference="LeCun et al., Gradient-based learning applied to document recognition, "
        "Proc. IEEE 1998",
    ),
    "fashion_mnist": CatalogEntry(
        hub="zalando-datasets/fashion_mnist",
        size=28,
        mean=(0.2860,),
        std=(0.3530,),
        crop=4,
        reference="Xiao et al., Fashion-MNIST, arXiv 1708.07747",
    ),
    "tiny_imagenet": CatalogEntry(
        hub="zh-plus/tiny-imagenet",
        splits=("train", "valid"),
        size=64,
        mean=(0.4802, 0.4481, 0.3975),
        std=(0.2302, 0.2265, 0.2262),
        crop=4,
        reference="Le and Yang, Tiny ImageNet Visual Recognition Challenge, 2015",
    ),
    "imagenette": CatalogEntry(
        hub="frgfm/imagenette",
        config="160px",
        splits=("train", "validation"),
        size=160,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        crop=4,
        reference="Howard, Imagenette, 2019: github.com/fastai/imagenette",
    ),
}

_OVERRIDES = ("image", "label", "size", "mean", "std", "crop", "flip")


def resolve_entry(name: str, options: DataOptions) -> CatalogEntry:
    """Return the catalogue's entry with the study's overrides applied.

    A name outside the catalogue is the user's own data set and needs ``path`` or ``hub``.

    Raises:
        UserError: the name is unknown, and there is neither ``path`` nor ``hub``.
    """
    own = options.path is not None or options.hub is not None
    if name not in CATALOG and not own:
        hint = nearest(name, CATALOG)
        raise UserError(
            f"unknown data set {name!r}{hint} (a data set of your own needs 'path' or 'hub')"
        )
    entry = CATALOG.get(name, CatalogEntry())
    if options.hub is not None:
        entry = replace(entry, hub=options.hub, config=None)
    overrides = {field: getattr(options, field) for field in _OVERRIDES}
    return replace(entry, **{field: x for field, x in overrides.items() if x is not None})
