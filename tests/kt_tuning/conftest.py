"""Tuners that share a run directory, restored signals, and time that a test makes pass."""

import signal
import time

import pytest
from optuna.storages._rdb.storage import _VersionManager
from tiny_models import tiny


@pytest.fixture(scope="session", autouse=True)
def _revisions_read_once():
    """Spare each database the thirty modules that Optuna runs, twice, for a constant."""
    read, scripts = _VersionManager._create_alembic_script, []

    def once(self):
        if not scripts:
            scripts.append(read(self))
        return scripts[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_VersionManager, "_create_alembic_script", once)
        yield


@pytest.fixture
def make_tuner(tmp_path):
    """Make tuners that share a run directory."""
    from kt_tuning import Tuner

    def make(hypermodel=tiny, **options):
        arguments = {"max_trials": 2, "epochs": 2, "directory": tmp_path, "project_name": "run"}
        return Tuner(hypermodel, **{**arguments, **options})

    return make


class Clock:
    """Time goes on by itself; what is slept here passes at once."""

    def __init__(self):
        self.slept = 0.0

    def sleep(self, seconds):
        self.slept += seconds

    def __deepcopy__(self, memo):
        # There is one time, for callbacks that are copied, too.
        return self


@pytest.fixture
def clock(monkeypatch):
    """Sleep without waiting: `time.monotonic` and `time.time` believe it."""
    made = Clock()
    for name in ("monotonic", "time"):
        real = getattr(time, name)
        monkeypatch.setattr(time, name, lambda real=real: real() + made.slept)
    return made


@pytest.fixture
def restored_signals():
    """Restore the handlers of SIGINT and SIGTERM, which an interrupted command ignores."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
