"""How a verb ends that is stopped: one line, the right status, no traceback."""

import errno
import os
import signal
import subprocess
import sys

import keras_tuner
import pytest
import typer

from kt_tuning import cli
from kt_tuning.cli import stopping
from kt_tuning.core.errors import DataError
from kt_tuning.core.process import Stopped

pytestmark = pytest.mark.usefixtures("restored_signals")


def outcome(capfd, verb):
    """Exit status and standard error of a verb."""
    with pytest.raises(typer.Exit) as stop:
        stopping.stoppable(verb)()
    return stop.value.exit_code, capfd.readouterr().err


def test_ctrl_c_is_status_130_and_says_how_to_go_on(capfd):
    def verb():
        with stopping.on_interrupt(lambda: "; or finish it"):
            raise KeyboardInterrupt

    told = "Interrupted. To continue, run the same command again; or finish it\n"
    assert outcome(capfd, verb) == (130, told)
    # A second one does not break into the end.
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_ctrl_c_while_modules_are_imported_is_no_traceback(capfd, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("kt_tuning.cli.app.main", interrupted)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert capfd.readouterr().err == "Interrupted.\n"


def test_sigterm_is_status_143(capfd):
    def verb():
        with stopping.on_interrupt(lambda: "; or finish it"):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    told = "Interrupted. To continue, run the same command again; or finish it\n"
    assert outcome(capfd, verb) == (143, told)
    assert issubclass(Stopped, KeyboardInterrupt)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("no images"), "error: no images\n"),
        (keras_tuner.errors.FatalError("no model"), "error: no model\n"),
        (keras_tuner.errors.FatalValueError("no value"), "error: no value\n"),
        (keras_tuner.errors.FatalRuntimeError("no weights"), "error: no weights\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.h5"), "'a.h5'\n"),
        (OSError(errno.ENOSPC, "No space left", "b.npz"), "The disk is full: cannot write b.npz"),
        (RuntimeError("errno = 28, error message = 'No space left on device'"), "disk is full"),
    ],
)
def test_what_the_user_can_mend_is_status_2_and_one_line(error, message, capfd):
    def verb():
        raise error

    status, told = outcome(capfd, verb)
    assert status == 2
    assert told.startswith("error: ")
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, BrokenPipeError])
def test_other_errors_are_raised(error):
    def verb():
        raise error

    with pytest.raises(error):
        stopping.stoppable(verb)()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_is_killed_does_not_die_without_a_word(number):
    script = (
        "import os\n"
        "from kt_tuning.cli.stopping import stoppable\n"
        f"stoppable(lambda: os.kill(os.getpid(), {int(number)}))()\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -number
    assert "kt-tuning was killed by a signal: Memory may have run out" in killed.stderr
    assert "TF_ENABLE_ONEDNN_OPTS=0" in killed.stderr
    assert ("Segmentation fault" in killed.stderr) is (number == signal.SIGSEGV)


def test_a_verb_that_ends_says_nothing(capfd):
    stopping.stoppable(lambda: None)()
    assert capfd.readouterr().err == ""
