"""Processors and GPUs, and how workers share them. GPUs: not tested on hardware."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Sequence

from kt_tuning.core.processors import count_processors

WORKER_BYTES = 3 * 2**29
"""Memory of a worker that trains a small model: 1.5 GiB."""
GPU_SHARE = 0.9
"""Part of a GPU's memory that its workers may allocate; the rest is for CUDA itself."""
GPU_LIMIT = "KT_TUNING_GPU_MEMORY"
"""Variable that tells a worker how much of its GPU's memory it may allocate, in MiB."""
QUERY_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use.

    Attributes:
        name: As in CUDA_VISIBLE_DEVICES: an index or a UUID.
        mebibytes: Its memory.
    """

    name: str
    mebibytes: int


def automatic_workers() -> int:
    """A worker a GPU; without GPUs one a processor, as far as memory goes: about 1.5 GiB each."""
    gpus = visible_gpus()
    if gpus:
        return len(gpus)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return count_processors()
    return max(1, min(count_processors(), free // WORKER_BYTES))


def thread_environment(threads: int) -> dict[str, str]:
    """Variables that have a worker compute with so many threads."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, str(threads))


def visible_gpus() -> list[Gpu]:
    """The GPUs that CUDA would find, without waking CUDA, which would take memory of each."""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            query, capture_output=True, check=True, text=True, timeout=QUERY_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return select_gpus(answer, os.environ.get("CUDA_VISIBLE_DEVICES"))


def select_gpus(listing: str, visible: str | None) -> list[Gpu]:
    """The GPUs of `listing` that `visible` leaves to see, in its order.

    Args:
        listing: A line a GPU: index, UUID, memory in MiB.
        visible: The value of CUDA_VISIBLE_DEVICES, or None if it is not set.

    Returns:
        The GPUs; as in CUDA, a name that does not exist hides those after it.
    """
    memory: dict[str, int] = {}
    uuids = {}
    for line in filter(None, listing.splitlines()):
        index, uuid, mebibytes = (field.strip() for field in line.split(","))
        memory[index] = int(mebibytes) if mebibytes.isdigit() else 0
        uuids[uuid] = index
    if visible is None:
        return [Gpu(index, mebibytes) for index, mebibytes in memory.items()]
    chosen = []
    for name in (name.strip() for name in visible.split(",")):
        # CUDA takes the beginning of a UUID for the whole.
        matches = [uuids[u] for u in uuids if name.startswith("GPU-") and u.startswith(name)]
        index = matches[0] if len(matches) == 1 else name
        if index not in memory:
            break
        chosen.append(Gpu(name, memory[index]))
    return chosen


def gpu_environment(seat: int, seats: int, gpus: Sequence[Gpu]) -> dict[str, str]:
    """Variables that give a worker its GPU, and its share of that GPU's memory.

    Args:
        seat: Which worker, from 0; workers take GPUs in turn.
        seats: Workers in all.
        gpus: Those to share; if there are none, nothing is set.
    """
    if not gpus:
        return {}
    turn = seat % len(gpus)
    gpu, sharers = gpus[turn], len(range(turn, seats, len(gpus)))
    variables = {"CUDA_VISIBLE_DEVICES": gpu.name, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    if sharers > 1:
        share = GPU_SHARE / sharers
        variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{share:.3f}"
        if gpu.mebibytes:
            variables[GPU_LIMIT] = str(int(gpu.mebibytes * share))
    return variables


def limit_gpu_memory() -> None:
    """Hold TensorFlow to what `gpu_environment` allows this process; before it is used."""
    limit = os.environ.get(GPU_LIMIT)
    if limit is None:
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.set_logical_device_configuration(
            gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=int(limit))]
        )
