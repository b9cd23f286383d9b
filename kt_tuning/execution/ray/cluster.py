"""The connection to a cluster, and the room on its nodes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from kt_tuning.core.errors import OptionError
from kt_tuning.core.extras import require_extra
from kt_tuning.execution.ray.options import CLIENT, Ray

CPU, GPU = "CPU", "GPU"


@contextlib.contextmanager
def connected(options: Ray) -> Iterator[None]:
    """Connect in the block; an existing connection is used and kept.

    Raises:
        MissingExtraError: if Ray is not installed.
        OptionError: if there is no such cluster.
    """
    require_extra("A search on a Ray cluster", "ray")
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(options.address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(
            f"There is no Ray cluster at {options.address!r} ({error}). Start one with "
            f"`ray start --head`, give its address, such as {CLIENT}host:10001, or pass "
            "Ray('local')."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def resources() -> list[dict[str, Any]]:
    """Return the resources of each node by name, in use or not."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room(nodes: list[dict[str, Any]], cpus: float, gpus: float) -> int:
    """Return how many workers with these resources the nodes can hold."""
    return sum(
        min(int(node.get(name, 0) / share) for name, share in ((CPU, cpus), (GPU, gpus)) if share)
        for node in nodes
    )


def gpus_of(nodes: list[dict[str, Any]], asked: float | None) -> float:
    """Return the GPUs of a worker: as requested, or one if there are any."""
    if asked is not None:
        return asked
    return 1.0 if any(node.get(GPU, 0) for node in nodes) else 0.0
