"""An interrupt that is raised where exceptions are ignored is raised again."""

import time

import pytest

from kt_tuning.interrupts import interrupts_kept


class Finalized:
    """Its finalizer is where Ctrl-C happens to be handled, or where something else goes wrong."""

    def __init__(self, error):
        self.error = error

    def __del__(self):
        raise self.error


def test_an_interrupt_in_a_finalizer_is_raised_after_it():
    def go_on():
        with interrupts_kept():
            Finalized(KeyboardInterrupt)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        go_on()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_errors_in_finalizers_are_left_alone(monkeypatch):
    heard = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: heard.append(unraisable.exc_type))
    with interrupts_kept():
        Finalized(ValueError)
    assert heard == [ValueError]
