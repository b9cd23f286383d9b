"""Atomic writes: all or nothing, and flushed to the disk before they are named."""

import os
from pathlib import Path

import pytest

from kt_tuning.core.atomic import (
    WRITING,
    atomic_folder,
    atomic_write,
    make_folder,
    remove_abandoned,
    remove_leftovers,
    sync_folder,
)


@pytest.fixture
def calls(monkeypatch):
    """Record the calls of the operating system that matter, by name and path."""
    found = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        found.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def noted_replace(old, new):
        found.append(("replace", Path(new)))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    return found


def test_a_durable_file_is_flushed_before_and_its_folder_after_it_is_named(tmp_path, calls):
    with atomic_write(tmp_path / "a.json", durable=True) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.json").read_text() == "new"
    assert calls == [
        ("fsync", temporary),
        ("replace", tmp_path / "a.json"),
        ("fsync", tmp_path),
    ]


def test_a_name_may_be_left_to_a_later_file(tmp_path, calls):
    with atomic_write(tmp_path / "a.npy", durable=True, sync_name=False) as temporary:
        temporary.write_text("new")
    assert calls == [("fsync", temporary), ("replace", tmp_path / "a.npy")]


def test_another_file_is_only_replaced(tmp_path, calls):
    with atomic_write(tmp_path / "a.json", durable=False) as temporary:
        temporary.write_text("new")
    assert calls == [("replace", tmp_path / "a.json")]


def test_the_name_of_each_new_folder_is_flushed(tmp_path, calls):
    make_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()
    assert calls == [("fsync", tmp_path), ("fsync", tmp_path / "a")]
    make_folder(tmp_path / "a/b")
    assert len(calls) == 2


def test_all_files_and_names_in_a_folder_are_flushed_before_it_gets_its_name(tmp_path, calls):
    with atomic_folder(tmp_path / "1") as folder:
        (folder / "variables").mkdir()
        (folder / "variables/index").touch()
    flushed = [folder, folder / "variables", folder / "variables/index"]
    assert sorted(calls[:3]) == [("fsync", path) for path in flushed]
    assert calls[-1] == ("fsync", tmp_path)


def _fail(path):
    with atomic_write(path, durable=True) as temporary:
        assert temporary.name.endswith(".a.weights.h5")
        temporary.write_text("half")
        raise KeyError


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_text("old")
    with pytest.raises(KeyError):
        _fail(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.weights.h5"]
    assert path.read_text() == "old"


def test_an_error_of_the_system_names_the_file(tmp_path):
    path = tmp_path / "no such folder/a.json"
    with pytest.raises(FileNotFoundError) as caught, atomic_write(path, durable=True) as temporary:
        temporary.write_text("new")
    assert caught.value.filename == str(path)


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    names = [f"{WRITING}1234abcd.result.json", f"{WRITING}a", "result.json", "my writing.txt"]
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["my writing.txt", "result.json"]


def test_flushing_a_folder_leaves_no_descriptor_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    sync_folder(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_folders_of_dead_processes_are_removed_and_those_of_living_ones_stay(tmp_path):
    dead, empty, new = (tmp_path / f".1.{letter * 32}.tmp" for letter in "abc")
    others = [tmp_path / ".user.tmp", tmp_path / "1"]
    for folder in (dead, empty, new, *others):
        folder.mkdir()
    for folder in (dead, *others):
        (folder / "model").touch()
    os.utime(empty, (0, 0))
    with atomic_folder(tmp_path / "2") as living:
        (living / "model").touch()
        os.utime(living, (0, 0))
        remove_abandoned(tmp_path)
        assert living.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted([*others, new, tmp_path / "2"])
