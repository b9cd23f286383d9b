"""Which cluster, and what of it a trial gets."""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Callable
from typing import Any

from kt_tuning.core.errors import OptionError

NAME = "ray"
CLIENT = "ray://"
KINDS: dict[str, Callable[[str], Any]] = {"cpus": float, "gpus": float, "storage": str}
"""What a name may say beside the address, and how it is read."""


@dataclasses.dataclass(frozen=True)
class Ray:
    """A Ray cluster as the place where trials run: `tuner.search(data, workers=Ray(cpus=2))`.

    As many trials run at the same time as the cluster has room for; nodes that join are used. A
    trial whose node is lost is tried once more, elsewhere, from its last finished epoch. Results
    and checkpoints come back to this machine after each epoch: nodes share no files with it, unless
    `storage` says so. Nodes need this version of kt-tuning and Python. What comes from a notebook
    or a script is sent along; modules of your own must be installed there, or go in a
    `runtime_env`: call `ray.init` yourself before the search, which then uses that connection.
    Clusters of several machines, and GPUs: not tested on hardware.

    Attributes:
        address: "auto" is the cluster of this machine or of RAY_ADDRESS; "local" starts one for the
            search; or host:port, or `ray://host:port` for a cluster that is reached as a client.
        cpus: Processors of a trial, more than 0; it computes with so many threads.
        gpus: GPUs of a trial, from 0 to 1: 0.25 has four trials share one, and each may allocate
            its part of the memory. None is one, or none if the cluster has none.
        storage: Where trials that are running keep what they go on from, if it should not pass
            through this machine: a directory that the nodes and this machine see by this path, or a
            URL that fsspec understands, such as s3://bucket/folder.

    Raises:
        OptionError: if a number is out of range.
    """

    address: str = "auto"
    cpus: float = 1
    gpus: float | None = None
    storage: str | None = None

    def __post_init__(self) -> None:
        if not self.cpus > 0:
            raise OptionError(f"A trial needs processors. Received: cpus={self.cpus}")
        if self.gpus is not None and not 0 <= self.gpus <= 1:
            raise OptionError(
                f"A trial has one GPU, a part of one, or none. Received: gpus={self.gpus}"
            )

    @classmethod
    def named(cls, text: str) -> Ray | None:
        """What "ray" or "ray://host:port" stand for; None for anything else.

        Both may say more: "ray://host:port?cpus=2&gpus=0.25&storage=/shared".

        Raises:
            OptionError: if what more they say is not understood, or a number is out of range.
        """
        address, _, more = text.partition("?")
        if address != NAME and not address.startswith(CLIENT):
            return None
        try:
            said = dict(urllib.parse.parse_qsl(more, strict_parsing=bool(more)))
            options = {name: KINDS[name](value) for name, value in said.items()}
        except (KeyError, ValueError) as error:
            raise OptionError(
                f"A cluster is {NAME} or {CLIENT}host:port, with ?cpus=2&gpus=0.25&storage=/shared "
                f"or some of these. Received: {text!r}"
            ) from error
        return cls(**options) if address == NAME else cls(address, **options)
