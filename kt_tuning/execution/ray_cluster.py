"""A Ray cluster: its options, the connection to it, and the resources of its nodes."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from kt_tuning.core.errors import OptionError, require_extra

NAME = "ray"
CLIENT = "ray://"
KINDS: dict[str, Callable[[str], Any]] = {"cpus": float, "gpus": float, "storage": str}
"""Options in a name, and their types."""


@dataclasses.dataclass(frozen=True)
class Ray:
    """A Ray cluster that runs trials: `tuner.search(data, workers=Ray(cpus=2))`.

    The number of trials at the same time is limited by the resources of the cluster; new nodes are
    used. A trial whose node or worker is lost continues on another node after its last finished
    epoch; it has failed if that happens three times without another finished epoch in between.
    Results and checkpoints are sent to this machine after each epoch, since nodes share no files
    with it unless `storage` is set. Nodes need the same versions of kt-tuning, Ray and Python. Code
    in a notebook or script is sent, too; your own modules must be installed on the nodes or be part
    of a `runtime_env`: call `ray.init` before the search, which then uses that connection. Clusters
    of several machines, and GPUs, have not been tested.

    Attributes:
        address: "auto" is the cluster of this machine or of RAY_ADDRESS; "local" starts one for the
            search; or host:port, or `ray://host:port` for a client connection.
        cpus: Processors (and threads) of a trial, more than 0.
        gpus: GPUs of a trial, from 0 to 1: with 0.25, four trials share a GPU and its memory. None
            is 1 if the cluster has GPUs, else 0.
        storage: Place of the checkpoints of running trials, if they should not be sent to this
            machine: a directory with the same path on all nodes and this machine, or a URL that
            fsspec supports, such as s3://bucket/folder.

    Raises:
        OptionError: if a number is out of range.
    """

    address: str = "auto"
    cpus: float = 1
    gpus: float | None = None
    storage: str | None = None

    def __post_init__(self) -> None:
        if not self.cpus > 0:
            raise OptionError(f"`cpus` is a number above 0. Received: cpus={self.cpus}")
        if self.gpus is not None and not 0 <= self.gpus <= 1:
            raise OptionError(
                f"`gpus` is a number from 0 to 1, or None. Received: gpus={self.gpus}"
            )

    @classmethod
    def named(cls, text: str) -> Ray | None:
        """Parse "ray" or "ray://host:port"; return None for other texts.

        Options may follow: "ray://host:port?cpus=2&gpus=0.25&storage=/shared".

        Raises:
            OptionError: if an option is unknown, or a number is out of range.
        """
        address, _, more = text.partition("?")
        if address != NAME and not address.startswith(CLIENT):
            return None
        try:
            said = dict(urllib.parse.parse_qsl(more, strict_parsing=bool(more)))
            options = {name: KINDS[name](value) for name, value in said.items()}
        except (KeyError, ValueError) as error:
            raise OptionError(
                f"A cluster is {NAME} or {CLIENT}host:port, perhaps with options such as "
                f"?cpus=2&gpus=0.25&storage=/shared. Received: {text!r}"
            ) from error
        return cls(**options) if address == NAME else cls(address, **options)


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
        min(
            int(node.get(name, 0) / share)
            for name, share in (("CPU", cpus), ("GPU", gpus))
            if share
        )
        for node in nodes
    )


def gpus_of(nodes: list[dict[str, Any]], asked: float | None) -> float:
    """Return the GPUs of a worker: as requested, or one if there are any."""
    if asked is not None:
        return asked
    return 1.0 if any(node.get("GPU", 0) for node in nodes) else 0.0
