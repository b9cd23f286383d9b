"""Large arrays travel as files, whatever they are views of."""

import resource
from pathlib import Path

import cloudpickle
import numpy as np
import pytest

from kt_tuning.core import pickling
from kt_tuning.core.errors import StorageError
from kt_tuning.data import ImageData

ROWS = 2**18


@pytest.fixture
def numbers():
    """2 MiB."""
    return np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2)


def send(content, folder):
    """What arrives, and how much went by the line."""
    load = pickling.dumps(content, folder)
    return cloudpickle.loads(load), len(load)


def file_of(array):
    """The file that an array is a view of, and the place of its first byte there."""
    root = array.base
    assert isinstance(root, np.memmap)
    return Path(root.filename), root.offset


LAYOUTS = {
    "C order": lambda a: a,
    "Fortran order": np.asfortranarray,
    "a slice": lambda a: a[1:],
    "reversed": lambda a: a[:, ::-1],
    "every other row of a cube": lambda a: np.concatenate([a, a]).reshape(2, ROWS, 2)[:, ::2],
    "other byte order": lambda a: a.astype(">f8"),
    "records": lambda a: a.view([("x", "f4"), ("y", "f4")]),
    "dates": lambda a: a.astype("datetime64[s]"),
    "text": lambda a: np.array(["a", "bc"] * ROWS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_large_array_arrives_equal_as_a_read_only_map(layout, numbers, tmp_path):
    array = LAYOUTS[layout](numbers)
    received, sent = send({"x": array}, tmp_path)
    arrived = received["x"]
    assert sent < 1000
    assert type(arrived) is np.ndarray
    assert arrived.dtype == array.dtype
    np.testing.assert_array_equal(arrived, array)
    assert file_of(arrived)[0] == tmp_path / "0.npy"
    with pytest.raises(ValueError, match="read-only"):
        arrived[:] = arrived[::-1]


def test_an_array_in_several_places_is_written_once_and_arrives_once(numbers, tmp_path):
    received, _ = send([numbers, {"again": numbers}, lambda: numbers], tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert received[0] is received[1]["again"] is received[2]()


def test_small_arrays_and_those_of_objects_stay_in_the_pickle(numbers, tmp_path):
    objects = np.array([None, "text"] * ROWS)
    (small, arrived), _ = send((numbers[:5], objects), tmp_path / "none")
    np.testing.assert_array_equal(small, numbers[:5])
    np.testing.assert_array_equal(arrived, objects)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("view", "place"),
    [
        (lambda a: a, 0),
        (lambda a: np.asarray(a), 0),
        (lambda a: a[1000:], 8000),
        (lambda a: np.asarray(a)[1000:].reshape(-1)[3:], 8012),
        (lambda a: a.T, 0),
    ],
    ids=["whole", "as an array", "slice", "slice of a slice", "transposed"],
)
def test_an_array_that_is_in_a_file_already_is_not_copied(view, place, numbers, tmp_path):
    np.save(tmp_path / "mine.npy", numbers)
    mapped = np.load(tmp_path / "mine.npy", mmap_mode="r")
    array = view(mapped)
    arrived, _ = send(array, tmp_path / "none")
    np.testing.assert_array_equal(arrived, array)
    assert arrived.strides == array.strides
    path, offset = file_of(arrived)
    assert (path, offset - mapped.offset) == (tmp_path / "mine.npy", place)
    assert not (tmp_path / "none").exists()


COPIED = {
    "copy-on-write": lambda path: np.load(path, mmap_mode="c"),
    "what was computed from one": lambda path: np.load(path, mmap_mode="r") + 1,
    "a copy of one": lambda path: np.load(path, mmap_mode="r").copy(),
    "every other row": lambda path: np.load(path, mmap_mode="r")[::2],
}


@pytest.mark.parametrize("kind", COPIED)
def test_a_map_that_is_not_what_is_in_the_file_is_written_anew(kind, numbers, tmp_path):
    np.save(tmp_path / "mine.npy", np.concatenate([numbers, numbers]))
    array = COPIED[kind](tmp_path / "mine.npy")
    if kind == "copy-on-write":
        array[0] = -1
    arrived, _ = send(array, tmp_path / "new")
    np.testing.assert_array_equal(arrived, array)
    assert file_of(arrived)[0] == tmp_path / "new/0.npy"


def test_a_map_of_a_deleted_file_is_written_anew(numbers, tmp_path):
    np.save(tmp_path / "mine.npy", numbers)
    mapped = np.load(tmp_path / "mine.npy", mmap_mode="r")
    (tmp_path / "mine.npy").unlink()
    arrived, _ = send(mapped, tmp_path / "new")
    np.testing.assert_array_equal(arrived, numbers)


def test_image_data_travel_as_one_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 64, 64, 3), np.uint8)
    data = ImageData.from_arrays(pixels, np.arange(300) % 2)
    taken = data.train.take([3])  # the splits are there before they are sent
    received, sent = send(data, tmp_path)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [pixels.nbytes + 128]
    assert sent < 20_000
    np.testing.assert_array_equal(received.train.take([3]), taken)
    assert received.fingerprint == data.fingerprint


def test_keras_trains_on_shared_arrays_as_it_does_on_its_own(tmp_path):
    import keras
    import keras_tuner
    from tiny_models import tiny

    images = np.random.default_rng(0).integers(0, 256, (2**14, 8, 8, 1), np.uint8)
    labels = images.mean((1, 2, 3)) > 127
    shared, _ = send(images, tmp_path)
    assert not shared.flags.writeable
    histories = []
    for pixels in (images, shared):
        keras.utils.set_random_seed(1)
        model = tiny(keras_tuner.HyperParameters())
        fitted = model.fit(pixels, labels, batch_size=2**12, verbose=0, validation_split=0.5)
        histories.append({name: values[0] for name, values in fitted.history.items()})
    assert histories[1] == pytest.approx(histories[0], rel=1e-5)


def test_a_folder_that_cannot_be_made_is_an_error(numbers, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"2 MB .* Not a directory.*workers=1"):
        pickling.dumps(numbers, tmp_path / "file" / "folder")


def test_a_full_disk_is_an_error(numbers, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"Cannot write .*0\.npy.*Free space"):
            pickling.dumps(numbers, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_is_gone_is_an_error(numbers, tmp_path):
    load = pickling.dumps(numbers, tmp_path)
    (tmp_path / "0.npy").unlink()
    with pytest.raises(StorageError, match="Leave the file there"):
        cloudpickle.loads(load)
