"""The options of a Ray cluster, and the resources of a trial on it."""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Callable
from typing import Any

from kt_tuning.core.errors import OptionError

NAME = "ray"
CLIENT = "ray://"
KINDS: dict[str, Callable[[str], Any]] = {"cpus": float, "gpus": float, "storage": str}
"""Options in a name, and their types."""


@dataclasses.dataclass(frozen=True)
class Ray:
    """A Ray cluster that runs trials: `tuner.search(data, workers=Ray(cpus=2))`.

    As many trials run at the same time as the cluster has room for; new nodes are used. A trial
    whose node is lost is repeated once on another node from its last finished epoch. Results and
    checkpoints are sent to this machine after each epoch, as nodes share no files with it unless
    `storage` is set. Nodes need the same versions of kt-tuning and Python. Code of a notebook or
    script is sent along; your own modules must be installed on the nodes or be part of a
    `runtime_env`: call `ray.init` before the search, which then uses that connection. Clusters of
    several machines and GPUs are not tested on hardware.

    Attributes:
        address: "auto" is the cluster of this machine or of RAY_ADDRESS; "local" starts one for the
            search; or host:port, or `ray://host:port` for a client connection.
        cpus: Processors (and threads) of a trial, more than 0.
        gpus: GPUs of a trial, from 0 to 1: with 0.25 four trials share a GPU and its memory. None
            is one, or none if the cluster has none.
        storage: Where running trials keep checkpoints if these should not pass through this
            machine: a directory with the same path on all nodes and this machine, or a URL that
            fsspec understands, such as s3://bucket/folder.

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
