"""What a study may override for one data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Overrides for one data entry of a study; ``None`` keeps the catalogue's value.

    Attributes:
        path: local folder with ``train*.parquet`` and ``test*.parquet``, or
            ``train/<class>/<image>`` and ``test/<class>/<image>``.
        hub: id of a data set on the Hugging Face hub.
        image: name of the image column.
        label: name of the label column.
        size: height and width in pixels to which every image is resized (bilinear).
        mean: per channel, on the [0, 1] scale.
        std: per channel, on the [0, 1] scale.
        crop: padding in pixels of the random crop; 0 for none.
        flip: whether training images are mirrored at random.

    Raises:
        ValueError: when values are out of range or contradict each other.
    """

    path: str | None = None
    hub: str | None = None
    image: str | None = None
    label: str | None = None
    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop: int | None = None
    flip: bool | None = None

    def __post_init__(self) -> None:
        if self.path is not None and self.hub is not None:
            raise ValueError("give 'path' or 'hub', not both")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size must be at least 1 pixel, got {self.size}")
        if self.crop is not None and self.crop < 0:
            raise ValueError(f"crop must be 0 or more pixels, got {self.crop}")
        if self.mean is not None and not all(0 <= value <= 1 for value in self.mean):
            raise ValueError(f"mean must lie on the [0, 1] scale, got {list(self.mean)}")
        if self.std is not None and not all(0 < value <= 1 for value in self.std):
            raise ValueError(f"std must lie in (0, 1], got {list(self.std)}")
