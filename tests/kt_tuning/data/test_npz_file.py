"""Images and labels in `.npz` files."""

import io
import logging
import zipfile

import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.data import load_images


def arrays(images=20, first=0):
    """Images whose pixels are all their own number; odd ones are of class 1."""
    numbers = np.arange(first, first + images)
    x = np.broadcast_to(numbers[:, None, None].astype(np.uint8), (images, 4, 5)).copy()
    return x, numbers % 2


@pytest.mark.parametrize(
    ("images", "labels"), [("x", "y"), ("images", "labels"), ("Data", "target")]
)
def test_one_pair_is_split(tmp_path, images, labels):
    x, y = arrays()
    np.savez(tmp_path / "a.npz", **{images: x, labels: y})
    data = load_images(tmp_path / "a.npz")
    assert [len(data.train), len(data.validation), len(data.test)] == [12, 4, 4]
    assert data.input_shape == (4, 5, 1)
    assert data.class_names == ("0", "1")
    assert data.card.source == str(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.pixels[:, 0, 0, 0] % 2, data.labels)


def test_the_advice_on_dark_images_can_be_followed_in_a_file(tmp_path, caplog):
    x, y = arrays(16)
    np.savez(tmp_path / "dark.npz", x=x, y=y)
    load_images(tmp_path / "dark.npz")
    advice = "in an .npz file, save x * (255 / 15) instead of x."
    assert advice in caplog.text
    caplog.clear()
    np.savez(tmp_path / "scaled.npz", x=x * (255 / 15), y=y)
    assert load_images(tmp_path / "scaled.npz").pixels.max() == 255
    assert advice not in caplog.text


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (("x_train", "y_train"), ("x_test", "y_test")),
        (("train_images", "train_labels"), ("test_images", "test_labels")),
        (("X", "Y"), ("X_test", "Y_test")),
    ],
)
def test_a_ready_test_split_is_kept(tmp_path, train, test):
    x, y = arrays(16)
    more, its = arrays(6, first=100)
    names = dict(zip([*train, *test], [x, y, more, its], strict=True))
    np.savez_compressed(tmp_path / "a.NPZ", **names)
    (tmp_path / "a.NPZ.npz").rename(tmp_path / "a.NPZ")
    data = load_images(tmp_path / "a.NPZ")
    assert [len(data.train), len(data.validation), len(data.test)] == [13, 3, 6]
    np.testing.assert_array_equal(data.test.images[..., 0], more)
    np.testing.assert_array_equal(data.test.labels, its)


def test_a_ready_validation_split_and_class_names_are_kept(tmp_path):
    x, y = arrays(8)
    more, its = arrays(4, first=100)
    np.savez(
        tmp_path / "a.npz", x=x, y=y, val_x=more, val_y=its, class_names=np.array(["even", "odd"])
    )
    data = load_images(tmp_path / "a.npz", split=(0.8, 0.2, 0.0))
    assert data.class_names == ("even", "odd")
    np.testing.assert_array_equal(data.validation.images[..., 0], more)
    assert load_images(tmp_path / "a.npz", class_names=["a", "b"]).class_names == ("a", "b")


@pytest.mark.parametrize(
    "names",
    [
        ["a", "b"],
        ["x"],
        ["x_train", "y_test"],
        ["x_test", "y_test"],
        ["x_train", "y_train", "x_test"],
    ],
)
def test_arrays_that_cannot_be_told_are_named(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, np.arange(4)))
    with pytest.raises(DataError, match=f"has these arrays: {', '.join(names)}\\. Expected"):
        load_images(tmp_path / "a.npz")


def test_two_arrays_of_one_meaning_are_refused(tmp_path):
    x, y = arrays()
    np.savez(tmp_path / "a.npz", x=x, images=x, y=y)
    with pytest.raises(DataError, match="x and images mean the same"):
        load_images(tmp_path / "a.npz")


def test_arrays_that_are_not_used_are_named(tmp_path, caplog):
    x, y = arrays()
    np.savez(tmp_path / "a.npz", x=x, y=y, patient=y)
    with caplog.at_level(logging.INFO, "kt_tuning"):
        load_images(tmp_path / "a.npz")
    assert "arrays not used: patient" in caplog.text


def test_nothing_is_unpickled(tmp_path):
    x, y = arrays()
    np.savez(tmp_path / "a.npz", x=x, y=y.astype(object))
    with pytest.raises(DataError, match=r"The array y .* holds Python objects, which are not read"):
        load_images(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_broken_file_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(StorageError, match=r"a\.npz is not an \.npz file that can be read"):
        load_images(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", [(2**40, 2**20), (10**30,)])
def test_a_header_of_an_impossible_shape_is_refused(tmp_path, shape):
    header = io.BytesIO()
    fields = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(64))
        archive.writestr("y.npy", header.getvalue() + bytes(64))
    with pytest.raises(StorageError, match=r"a\.npz is not an \.npz file that can be read"):
        load_images(tmp_path / "a.npz")


def test_a_single_array_is_refused(tmp_path):
    with open(tmp_path / "a.npz", "wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(StorageError, match="it holds a single array"):
        load_images(tmp_path / "a.npz")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        load_images(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 32}, "are 4×5 with 1 channels, and are not changed"),
        ({"channels": 3}, "are 4×5 with 1 channels, and are not changed"),
        ({"images": "photos"}, "belong to a table"),
        ({"groups": "folder"}, "`groups` are found in paths"),
    ],
)
def test_options_of_files_are_refused(tmp_path, options, message):
    x, y = arrays()
    np.savez(tmp_path / "a.npz", x=x, y=y)
    with pytest.raises(OptionError, match=message):
        load_images(tmp_path / "a.npz", **options)
    assert len(load_images(tmp_path / "a.npz", image_size=(4, 5), channels=1).labels) == 20
