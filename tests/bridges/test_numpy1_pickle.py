"""Files for numpy 1: its names for functions, and unchanged data."""

import zipfile

import numpy as np
import torch

from harness.bridges.backdoorbench.numpy1_pickle import NEW, OLD, save_for_numpy1


def pickle_in(path):
    with zipfile.ZipFile(path) as archive:
        (name,) = (x for x in archive.namelist() if x.endswith("data.pkl"))
        return archive.read(name)


def test_arrays_and_tensors_come_back(tmp_path):
    save_for_numpy1({"x": np.arange(3), "y": torch.ones(2)}, tmp_path / "x.pt")
    again = torch.load(tmp_path / "x.pt", weights_only=False)
    assert again["x"].tolist() == [0, 1, 2]
    assert again["y"].tolist() == [1, 1]


def test_functions_are_renamed_but_data_with_the_same_bytes_are_not(tmp_path):
    text = f"c{NEW}\n"
    save_for_numpy1({"x": np.arange(3), "number": np.float64(2), "text": text}, tmp_path / "x.pt")
    content = pickle_in(tmp_path / "x.pt")
    assert content.count(f"c{OLD}\n_reconstruct\n".encode()) == 1
    assert content.count(f"c{OLD}\nscalar\n".encode()) == 1
    assert content.count(NEW.encode()) == 1
    again = torch.load(tmp_path / "x.pt", weights_only=False)
    assert (again["x"].tolist(), again["number"], again["text"]) == ([0, 1, 2], 2, text)
