"""A run directory is held by one process, for as long as it lives."""

import contextlib
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.run import lock

# Loaded by its path: the package would bring Keras.
PREAMBLE = f"""
import importlib.util, os, pathlib, subprocess, sys, time
spec = importlib.util.spec_from_file_location("lock", {lock.__file__!r})
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)
held = lock.run_lock(pathlib.Path(sys.argv[1]))
"""
HOLDER = """
with held:
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    sys.stdin.read()
"""
FORKER = """
with held:
    child = os.fork()
    if child == 0:
        time.sleep(600)
print(child, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def running(script, folder):
    """Another process, and the id of a child that outlives it."""
    process = subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        child = int(process.stdout.readline())
        try:
            yield process, child
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)


def test_a_second_process_is_told_who_holds_it(tmp_path):
    with running(HOLDER, tmp_path) as (process, _):
        who = f"{tmp_path} is in use by process {process.pid} on host {socket.gethostname()}: wait"
        with pytest.raises(StorageError, match=who), lock.run_lock(tmp_path):
            pass


def test_a_killed_process_holds_nothing_though_its_child_lives_on(tmp_path):
    with running(HOLDER, tmp_path) as (process, child):
        process.kill()
        process.wait()
        with lock.run_lock(tmp_path):
            os.kill(child, 0)
            text = (tmp_path / "lock").read_text()
    assert text == f"process {os.getpid()} on host {socket.gethostname()}"


def test_a_fork_does_not_go_on_holding_it(tmp_path):
    with running(FORKER, tmp_path), lock.run_lock(tmp_path):
        pass


def test_within_a_process_it_is_held_once_and_can_be_taken_again(tmp_path):
    with lock.run_lock(tmp_path):
        with pytest.raises(StorageError, match=f"process {os.getpid()} "), lock.run_lock(tmp_path):
            pass
        # The refusal has not let go of it.
        with pytest.raises(StorageError, match="in use"), lock.run_lock(tmp_path):
            pass
    with lock.run_lock(tmp_path):
        pass


def test_what_writes_within_a_locked_run_passes_in_the_same_thread_only(tmp_path):
    refused = []

    def elsewhere():
        try:
            with lock.write_lock(tmp_path):
                pass
        except StorageError as error:
            refused.append(str(error))

    with lock.write_lock(tmp_path), lock.write_lock(tmp_path):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "is in use by process" in refused[0]
    elsewhere()
    assert len(refused) == 1


def test_an_exception_lets_go_of_it(tmp_path):
    with pytest.raises(KeyError), lock.run_lock(tmp_path):
        raise KeyError
    with lock.run_lock(tmp_path):
        pass


def test_a_directory_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="No such file"), lock.run_lock(tmp_path / "none"):
        pass


def test_without_locks_in_the_file_system_everybody_passes_with_a_warning(
    tmp_path, monkeypatch, caplog
):
    def refuse(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "_lock", refuse)
    with caplog.at_level(logging.WARNING), lock.run_lock(tmp_path), lock.run_lock(tmp_path):
        pass
    assert caplog.text.count("cannot be locked (No locks available)") == 2
