"""Number of processors that this process may use."""

from __future__ import annotations

import os


def count_processors() -> int:
    """Return the number of processors that this process may run on (its CPU affinity)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def own_processors() -> int:
    """Return this process' share of the processors.

    A worker process gets its share as OMP_NUM_THREADS; other processes may use all.
    """
    share = os.environ.get("OMP_NUM_THREADS", "")
    count = count_processors()
    return min(count, int(share)) if share.isdecimal() and int(share) else count
