"""Every storage keeps folders alike."""

import pytest

from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError
from kt_tuning.trials.folder import Changes
from kt_tuning.trials.storage import open_storage


@pytest.fixture(params=["directory", "file", "memory"])
def place(request, tmp_path):
    if request.param == "directory":
        return str(tmp_path / "shared")
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    return f"file://{tmp_path}/shared" if request.param == "file" else f"memory://{tmp_path}"


def test_a_folder_is_kept_changed_and_removed(place, tmp_path):
    storage = open_storage(place, tmp_path)
    assert storage.read("trial_0") == {}
    storage.write("trial_0", Changes({"history.csv": b"1", "checkpoint/last.npz": b"a"}))
    storage.write("trial_0", Changes({"history.csv": b"2"}, ("checkpoint/last.npz", "no such")))
    storage.write("trial_1", Changes({"other": b""}))
    assert storage.read("trial_0") == {"history.csv": b"2"}
    storage.remove("trial_0")
    storage.remove("trial_0")
    assert storage.read("trial_0") == {}
    assert storage.read("trial_1") == {"other": b""}


def test_a_run_finds_its_part_again_and_a_new_run_of_that_name_has_another(place, tmp_path):
    old, new = tmp_path / "old/run", tmp_path / "new/run"
    old.mkdir(parents=True)
    new.mkdir(parents=True)
    open_storage(place, old).write("trial_0", Changes({"a": b""}))
    assert open_storage(place, old).read("trial_0") == {"a": b""}
    assert open_storage(place, new).read("trial_0") == {}


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Choose another"):
        open_storage(str(tmp_path / "file"), tmp_path)


def test_urls_that_fsspec_does_not_know_are_errors(tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    with pytest.raises(OptionError, match="nonsense://bucket"):
        open_storage("nonsense://bucket", tmp_path)


def test_a_url_that_needs_another_package_says_which(tmp_path, monkeypatch):
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match="s3fs"):
        open_storage("s3://bucket/folder", tmp_path)
