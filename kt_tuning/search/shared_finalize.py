"""Finalizing a search once if several processes share it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import keras_tuner

from kt_tuning.run import trial_folder
from kt_tuning.run.layout import RESULT
from kt_tuning.search.stock_oracle import SearchOracle, adapt

logger = logging.getLogger("kt_tuning")


class SharedFinalize:
    """Lets one of several processes finalize a search. Made before the search begins.

    Args:
        oracle: Oracle of the search.
        run: The run directory.
        first: File there that is written first when the search is finalized.
        last: File that is written last.
    """

    def __init__(self, oracle: keras_tuner.Oracle, run: Path, *, first: str, last: str) -> None:
        self._oracle = adapt(oracle)
        self._run = run
        self._first = run / first
        self._last = run / last
        self._earlier = _written(self._last)

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Wait until no other process that shares the search is in this block.

        Yields:
            Whether the search must be finalized; False if another process has done so meanwhile
            with all trials.
        """
        if not self._oracle.shared:
            yield True
            return
        with self._oracle.lock("finalize"):
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
