"""Changes of a folder, made to happen in another one."""

import os

from kt_tuning.trials.folder import Changes, Watch, read_folder


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
