"""An image of a record with a fault is named."""

import numpy as np
import pytest
from PIL import Image

from tests.helpers.imported_studies import first_test_image, refuse_broken, write_black

PICTURES = {
    "missing": (lambda path: path.unlink(), "which the record names"),
    "of another size": (
        lambda path: write_black(path, (9, 7)),
        "7x9 pixels, but the data set has 8x8",
    ),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:60]), "not a complete PNG file"),
    "of another format": (
        lambda path: write_black(path, (8, 8), "JPEG"),
        "not a complete PNG file",
    ),
    "grey": (
        lambda path: Image.fromarray(np.zeros((8, 8), np.uint8)).save(path),
        "8x8 pixels of 1 channels, but the data set has 8x8 of 3",
    ),
}


@pytest.mark.parametrize(("change", "message"), PICTURES.values(), ids=PICTURES)
def test_a_picture_with_a_fault_is_named(squares, good, tmp_path, change, message):
    shown = refuse_broken(squares, good, tmp_path, lambda folder: change(first_test_image(folder)))
    assert message in shown
    assert "bd_test_dataset" in shown
