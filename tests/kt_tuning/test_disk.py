"""A full disk: said with the file's name, and nothing that was finished is lost."""

import errno
import os
import shutil
import sqlite3

import keras
import numpy as np
import pytest

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError, StorageError, disk_errors_explained, is_disk_full
from kt_tuning.trials import checkpoint

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (FULL, True),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), True),
        (sqlite3.OperationalError("database or disk is full"), True),
        (RuntimeError("(file write failed: errno = 28, 'No space left on device')"), True),
        (OSError("96 requested and 8 written"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("out of range"), False),
    ],
)
def test_full_disks_are_recognised(error, full):
    assert is_disk_full(error) is full
    outer = KeyError("x")
    outer.__cause__ = error
    assert is_disk_full(outer) is full


def test_the_file_is_named_and_what_was_there_stays(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("whole")

    def write():
        with disk_errors_explained(tmp_path), atomic_write(path, durable=False) as temporary:
            temporary.write_text("ha")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match=rf"The disk is full: cannot write {path}\. Free some"):
        write()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_the_folder_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "a.json"
    with (
        pytest.raises(StorageError, match=rf"Cannot read or write {path}: Permission denied\."),
        disk_errors_explained(tmp_path),
    ):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def test_other_errors_are_left_alone(tmp_path):
    elsewhere = PermissionError(errno.EACCES, "Permission denied", str(tmp_path.parent / "a"))
    refused = OptionError("No space left on device is no option")
    for error in (ValueError("x"), refused, elsewhere):
        with pytest.raises(type(error)) as raised, disk_errors_explained(tmp_path):
            raise error
        assert raised.value is error


def test_a_search_on_a_full_disk_ends_and_goes_on_later(make_tuner, stripes, monkeypatch):
    savez, written = np.savez, []

    def full_at_last(file, **arrays):
        written.append(file)
        if len(written) == 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        savez(file, **arrays)

    monkeypatch.setattr(checkpoint.np, "savez", full_at_last)
    tuner = make_tuner()
    with pytest.raises(StorageError, match=r"cannot write .*trial_1/checkpoint/.*npz"):
        tuner.search(stripes)
    assert list(tuner.results()["status"]) == ["COMPLETED"]
    tuner.search(stripes)
    # It was no failure of the trial.
    assert list(tuner.results()["status"]) == ["COMPLETED"] * 2
    assert [trial.state.name for trial in tuner.study.trials] == ["COMPLETE"] * 2


def test_a_run_directory_that_vanishes_ends_the_search(make_tuner, stripes):
    class Remove(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            shutil.rmtree(tuner.run_directory / "trial_0")

    tuner = make_tuner()
    with pytest.raises(StorageError, match="has been removed while its trial was running"):
        tuner.search(stripes, callbacks=[Remove()])


def test_weights_that_are_gone_or_damaged_are_named(make_tuner, stripes):
    tuner = make_tuner(max_trials=1)
    tuner.search(stripes)
    (weights,) = tuner.run_directory.glob("trial_*/model.weights.h5")
    weights.write_bytes(b"damaged")
    with pytest.raises(StorageError, match=rf"Cannot read the weights {weights}"):
        tuner.best_model()
    weights.unlink()
    with pytest.raises(StorageError, match=rf"are gone: {weights}"):
        tuner.best_model()
    with pytest.raises(StorageError, match=r"weights of all trials of .* are gone"):
        tuner.ensemble()
