"""Snapshots and changes of folders; every storage keeps folders alike."""

import os

import pytest

from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError
from kt_tuning.trials.remote import Changes, Watch, open_storage, read_folder


@pytest.fixture(params=["directory", "file", "memory"])
def place(request, tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    if request.param == "directory":
        return str(tmp_path / "shared")
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


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_written_changed_and_removed_happens_elsewhere(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "checkpoint").mkdir(parents=True)
    (here / "history.csv").write_bytes(b"1")
    (here / "checkpoint/last.npz").write_bytes(b"a")
    Changes(read_folder(here)).apply(there)
    watch = Watch(here)
    (here / "history.csv").write_bytes(b"1 2")
    (here / "result.json").write_bytes(b"{}")
    (here / "checkpoint/last.npz").unlink()
    changes = watch.changes()
    assert changes.written == {"history.csv": b"1 2", "result.json": b"{}"}
    changes.apply(there)
    assert tree(there) == {"history.csv": b"1 2", "result.json": b"{}"}
    assert not (there / "checkpoint").exists()
    assert watch.changes() == Changes()


def test_a_file_that_is_replaced_within_a_tick_of_the_clock_has_changed(tmp_path):
    path, new = tmp_path / "last.npz", tmp_path / "new"
    path.write_bytes(b"a")
    watch = Watch(tmp_path)
    status = path.stat()
    new.write_bytes(b"b")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(new, path)
    assert watch.changes().written == {"last.npz": b"b"}


def test_files_come_in_the_order_in_which_they_were_written_and_commits_last(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    names = [
        "result.json",
        "checkpoint/runs.json",
        "checkpoint/last.npz",
        "z",
        "checkpoint/best.npz",
    ]
    for moment, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(moment, moment))
    expected = ["z", "checkpoint/best.npz", "checkpoint/last.npz", "checkpoint/runs.json"]
    assert list(read_folder(tmp_path)) == [*expected, "result.json"]


def test_what_is_not_whole_yet_stays(tmp_path):
    (tmp_path / "writing.last.npz").touch()
    assert read_folder(tmp_path) == {}
    assert read_folder(tmp_path / "missing") == {}
