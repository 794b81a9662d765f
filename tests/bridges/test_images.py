"""An image of a record with a fault is named."""

import numpy as np
import pytest
from PIL import Image

from harness.bridges.files.images import decode_images, indexed_images
from tests.helpers.imported_studies import first_test_image, refuse_broken, write_black

PICTURES = {
    "missing": (lambda path: path.unlink(), "which the record names"),
    "of another size": (
        lambda path: write_black(path, (9, 7)),
        "7x9 pixels, but the data set has 8x8",
    ),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:60]), "not a complete PNG file"),
    "of another format": (
        lambda path: write_black(path, (8, 8), "GIF"),
        "not a complete PNG file, nor a JPEG",
    ),
    "of 16 bits": (
        lambda path: Image.fromarray(np.full((8, 8), 999, np.uint16)).save(path),
        "more than 8 bits per value (mode I;16)",
    ),
}


@pytest.mark.parametrize(("change", "message"), PICTURES.values(), ids=PICTURES)
def test_a_picture_with_a_fault_is_named(squares, good, tmp_path, change, message):
    shown = refuse_broken(squares, good, tmp_path, lambda folder: change(first_test_image(folder)))
    assert message in shown
    assert "bd_test_dataset" in shown


def test_other_modes_and_jpeg_are_read(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    palette = image.quantize(8)
    images = {
        "rgb.png": (image, pixels),
        "rgba.png": (image.convert("RGBA"), pixels),
        "grey.png": (image.convert("L"), np.stack([np.asarray(image.convert("L"))] * 3, -1)),
        "palette.png": (palette, np.asarray(palette.convert("RGB"))),
    }
    for name, (saved, _) in images.items():
        saved.save(tmp_path / name)
    read = decode_images([tmp_path / name for name in images], (3, 8, 8))
    for one, (_, expected) in zip(read, images.values(), strict=True):
        assert np.array_equal(one.transpose(1, 2, 0), expected)
    image.save(tmp_path / "photo.jpg")
    with Image.open(tmp_path / "photo.jpg") as photo:
        expected = np.asarray(photo)
    assert np.array_equal(
        decode_images([tmp_path / "photo.jpg"], (3, 8, 8))[0].transpose(1, 2, 0), expected
    )


def test_images_of_any_ending_are_found_by_their_index(tmp_path):
    for name in ("0/2.png", "1/0.JPG", "2/1.jpeg", "0/3.gif", "x/4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files, labels = indexed_images(tmp_path)
    assert [path.name for path in files] == ["0.JPG", "1.jpeg", "2.png"]
    assert labels.tolist() == [1, 2, 0]
