"""KerasTuner's own way of using several machines: a chief has the oracle, workers ask it.

As KerasTuner's guide to distributed tuning says, the same script runs everywhere, with
KERASTUNER_TUNER_ID ("chief", or another name for each worker), KERASTUNER_ORACLE_IP and
KERASTUNER_ORACLE_PORT (the chief's) in the environment, and the run directory on a file system that
all of them have. The chief trains nothing. What a worker trains is neither paused nor pruned, since
KerasTuner's protocol has no word for it, and nobody takes over from a worker that dies.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from kt_tuning.core.errors import KtTuningError, OptionError

TUNER_ID, IP, PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
POLL = 1.0
"""Seconds between two looks at whether the search is over."""
LINGER = 5.0
"""Seconds for which workers that come late are told that the search is over."""


def is_chief() -> bool:
    """Whether this process is to answer workers.

    Raises:
        OptionError: if KerasTuner's variables are there in part only.
    """
    return _distributed() and "chief" in os.environ[TUNER_ID]


def is_worker() -> bool:
    """Whether this process is to ask a chief.

    Raises:
        OptionError: if KerasTuner's variables are there in part only.
    """
    return _distributed() and not is_chief()


def _distributed() -> bool:
    if IP not in os.environ:
        return False
    missing = [name for name in (TUNER_ID, PORT) if name not in os.environ]
    if missing:
        raise OptionError(
            f"With {IP} in the environment, {' and '.join(missing)} should be there, too."
        )
    return True


def serve(oracle: keras_tuner.Oracle, watch: Callable[[], str | None]) -> str | None:
    """Answer workers until the search is over.

    Args:
        oracle: What they ask.
        watch: Called every second: why no further trial is begun, or None as long as one is.

    Returns:
        Why no further trial was begun, if that was not for the oracle to say.

    Raises:
        OptionError: if the address cannot be listened on.
        KtTuningError: what the oracle raises.
    """
    import grpc
    from keras_tuner.src import protos

    address = f"{os.environ[IP]}:{os.environ[PORT]}"
    servicer = _servicer(oracle)
    # One thread: an oracle hears of one thing at a time.
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
    """KerasTuner's servicer, which knows when the search is over.

    It is made here, since KerasTuner wants gRPC to be imported after the rest.
    """
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    class Servicer(OracleServicer):
        """Tells workers that the search is over when it is, or when the oracle fails."""

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
