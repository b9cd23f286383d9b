"""What is made of a search when it has ended; of one that is shared, by one of its processes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import keras_tuner

from kt_tuning.records import RESULT
from kt_tuning.search.oracle import OptunaOracle

logger = logging.getLogger("kt_tuning")


class Finish:
    """Whose turn it is to combine and judge the trials of a search. Made before the search begins.

    Args:
        oracle: Of the search.
        run: The run directory.
        first: File there that is written first when the search has ended.
        last: File that is written last.
    """

    def __init__(self, oracle: keras_tuner.Oracle, run: Path, *, first: str, last: str) -> None:
        self._oracle = oracle
        self._run = run
        self._first = run / first
        self._last = run / last
        self._earlier = _written(self._last)

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Wait until no other process that shares the search is in this block.

        Yields:
            Whether there is something to do: False if another process has done it meanwhile, with
            all trials that there are.
        """
        if not (isinstance(self._oracle, OptunaOracle) and self._oracle.shared):
            yield True
            return
        with self._oracle.turn("finish"):
            yield not self._done()

    def _done(self) -> bool:
        # All files are on one file system, whose clock the times are of.
        began, ended = _written(self._first), _written(self._last)
        trials = (_written(path) for path in self._run.glob(f"trial_*/{RESULT}"))
        return ended > self._earlier and ended >= began > max(trials, default=0)


def warn_of_absent(oracle: keras_tuner.Oracle, run: Path) -> None:
    """Say so if what other processes of a shared search have found is not in the run directory."""
    if not (isinstance(oracle, OptunaOracle) and oracle.shared):
        return
    trials = oracle.end_order
    absent = [trial for trial in trials if not (run / f"trial_{trial}" / RESULT).exists()]
    if absent:
        logger.warning(
            "%d of %d trials of this search are not in %s, and take no part in what comes next: "
            "it is not on a file system that all processes have.",
            len(absent),
            len(trials),
            run,
        )


def _written(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 if it is not there."""
    return path.stat().st_mtime_ns if path.exists() else 0
