"""Searches that several processes run: KerasTuner's chief and workers, and finalizing once."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from kt_tuning.core.errors import KtTuningError, OptionError
from kt_tuning.run import trial_folder
from kt_tuning.run.layout import ENSEMBLE, REPORT, RESULT
from kt_tuning.search.stock_oracle import SearchOracle, adapt

TUNER_ID, IP, PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
POLL = 1.0
"""Seconds between two checks whether the search has ended."""
LINGER = 5.0
"""Seconds after the end during which late workers are still answered."""


def is_chief() -> bool:
    """Whether this process is the chief.

    Raises:
        OptionError: if only some of KerasTuner's variables are set.
    """
    if IP not in os.environ:
        return False
    missing = [name for name in (TUNER_ID, PORT) if name not in os.environ]
    if missing:
        raise OptionError(
            f"{IP} is set in the environment, but {' and '.join(missing)} is not. Set all of "
            f"{TUNER_ID}, {IP} and {PORT}, or none."
        )
    return "chief" in os.environ[TUNER_ID]


def is_worker() -> bool:
    """Whether this process is a worker of a chief.

    Raises:
        OptionError: if only some of KerasTuner's variables are set.
    """
    return IP in os.environ and not is_chief()


def serve(oracle: keras_tuner.Oracle, watch: Callable[[], str | None]) -> str | None:
    """Answer workers until the search has ended.

    Args:
        oracle: Oracle of the search.
        watch: Called every second; returns why no further trial starts, or None.

    Returns:
        The last result of `watch`.

    Raises:
        OptionError: if the chief cannot listen on its address.
        KtTuningError: any error of the oracle.
    """
    import grpc
    from keras_tuner.src import protos

    address = f"{os.environ[IP]}:{os.environ[PORT]}"
    servicer = _servicer(oracle)
    # One thread, as an oracle is not thread-safe.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise OptionError(f"The chief cannot listen on {address}: {error}") from error
    server.start()
    try:
        while servicer.error is None and not (servicer.over and not oracle.ongoing_trials):
            time.sleep(POLL)
            servicer.reason = servicer.reason or watch()
        time.sleep(LINGER)
        watch()
    finally:
        server.stop(grace=None)
    if servicer.error is not None:
        raise servicer.error
    return servicer.reason


def _servicer(oracle: keras_tuner.Oracle) -> Any:
    """Return KerasTuner's servicer with an end of the search.

    The class is defined here, as KerasTuner requires a late import of gRPC.
    """
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    class Servicer(OracleServicer):
        """Stops workers when the search has ended or the oracle has failed."""

        reason: str | None = None
        error: KtTuningError | None = None

        @property
        def over(self) -> bool:
            return self.stop_triggered or self.reason is not None

        def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
            if self.reason is None and self.error is None:
                try:
                    return super().CreateTrial(request, context)
                except KtTuningError as error:
                    self.error = error
            stopped = Trial(oracle.get_space(), trial_id="", status=TrialStatus.STOPPED)
            return protos.get_service().CreateTrialResponse(trial=stopped.to_proto())

    return Servicer(oracle)


logger = logging.getLogger("kt_tuning")


class SharedFinalize:
    """Lets one of several processes finalize a search. Made before the search begins.

    Args:
        oracle: Oracle of the search.
        run: The run directory. When a search is finalized, the ensemble is written first and the
            report last.
    """

    def __init__(self, oracle: keras_tuner.Oracle, run: Path) -> None:
        self._oracle = adapt(oracle)
        self._run = run
        self._first = run / ENSEMBLE
        self._last = run / REPORT
        self._earlier = _written(self._last)

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Wait until no other process that shares the search is in this block.

        Yields:
            Whether the search must be finalized; False if another process has done so meanwhile
            with all trials.
        """
        oracle = self._oracle
        if not oracle.shared:
            yield True
            return
        with oracle.lock("finalize"):
            yield not self._done()

    def _done(self) -> bool:
        # All files are on one file system and have the times of its clock.
        began, ended = _written(self._first), _written(self._last)
        trials = (_written(path) for path in self._run.glob(f"trial_*/{RESULT}"))
        return ended > self._earlier and ended >= began > max(trials, default=0)


def warn_of_absent(oracle: SearchOracle, run: Path) -> None:
    """Warn if results of other processes of a shared search are not in the run directory."""
    if not oracle.shared:
        return
    trials = oracle.end_order
    absent = [trial for trial in trials if not (trial_folder(run, trial) / RESULT).exists()]
    if absent:
        logger.warning(
            "%d of %d trials of this search are not in %s and are left out of ensemble and report: "
            "the run directory is not on a file system that all processes share.",
            len(absent),
            len(trials),
            run,
        )


def _written(path: Path) -> int:
    """Return the modification time of a file in nanoseconds; 0 if it does not exist."""
    return path.stat().st_mtime_ns if path.exists() else 0
