"""An interrupt that is raised where exceptions are ignored is raised again."""

import signal
import threading
import time

import pytest

from kt_tuning.core.process import interrupts_kept


class Finalized:
    """Its finalizer is where Ctrl-C happens to be handled, or where something else goes wrong."""

    def __init__(self, error):
        self.error = error

    def __del__(self):
        raise self.error


@pytest.fixture
def ctrl_c():
    """Python's own handler, also where the tests were started in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("busy_seconds", [0.0, 0.3])
@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_in_a_finalizer_is_raised_after_it(monkeypatch, busy_seconds):
    class Slow(threading.Thread):
        """Its start takes long, as on a machine that is busy."""

        def start(self):
            super().start()
            time.sleep(busy_seconds)

    monkeypatch.setattr(threading, "Thread", Slow)
    began = time.monotonic()

    def go_on():
        with interrupts_kept():
            Finalized(KeyboardInterrupt)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        go_on()
    # It does not wait for the end of the sleep.
    assert time.monotonic() - began < 30


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_errors_in_finalizers_are_left_alone(monkeypatch):
    heard = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: heard.append(unraisable.exc_type))
    with interrupts_kept():
        Finalized(ValueError)
    assert heard == [ValueError]
