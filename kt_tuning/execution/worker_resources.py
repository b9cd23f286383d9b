"""Division of processors and GPUs among workers. GPUs: not tested on hardware."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence

from kt_tuning.core.process import count_processors

WORKER_BYTES = 3 * 2**29
"""Memory of a worker that trains a small model: 1.5 GiB."""
GPU_SHARE = 0.9
"""Share of a GPU's memory that its workers may allocate; CUDA needs the rest."""
GPU_LIMIT = "KT_TUNING_GPU_MEMORY"
"""Environment variable: memory in MiB that a worker may allocate on its GPU."""
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
    """Return one worker a GPU, or a processor as far as memory allows (1.5 GiB each).

    On Windows, where `Processes` does not work, it is one.
    """
    if sys.platform == "win32":
        return 1
    gpus = visible_gpus()
    if gpus:
        return len(gpus)
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return count_processors()
    return max(1, min(count_processors(), free // WORKER_BYTES))


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker that computes with `threads` threads."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return dict.fromkeys(names, str(threads))


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that CUDA would find, without loading CUDA, which allocates memory."""
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            query, capture_output=True, check=True, encoding="utf-8", timeout=QUERY_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return select_gpus(answer, os.environ.get("CUDA_VISIBLE_DEVICES"))


def select_gpus(listing: str, visible: str | None) -> list[Gpu]:
    """Return the GPUs of `listing` that are visible, in the order of `visible`.

    Args:
        listing: A line a GPU: index, UUID, memory in MiB.
        visible: Value of CUDA_VISIBLE_DEVICES, or None if it is not set.

    Returns:
        The GPUs; as in CUDA, an unknown name hides all names after it.
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
        # CUDA accepts a unique prefix of a UUID.
        matches = [uuids[u] for u in uuids if name.startswith("GPU-") and u.startswith(name)]
        index = matches[0] if len(matches) == 1 else name
        if index not in memory:
            break
        chosen.append(Gpu(name, memory[index]))
    return chosen


def gpu_environment(slot: int, slots: int, gpus: Sequence[Gpu]) -> dict[str, str]:
    """Return the environment that gives a worker a GPU and a share of its memory.

    Args:
        slot: Index of the worker, from 0; workers take GPUs in turn.
        slots: Number of workers.
        gpus: GPUs to share; empty for no variables.
    """
    if not gpus:
        return {}
    turn = slot % len(gpus)
    gpu, sharers = gpus[turn], len(range(turn, slots, len(gpus)))
    variables = {"CUDA_VISIBLE_DEVICES": gpu.name, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    if sharers > 1:
        share = GPU_SHARE / sharers
        variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{share:.3f}"
        if gpu.mebibytes:
            variables[GPU_LIMIT] = str(int(gpu.mebibytes * share))
    return variables


def limit_gpu_memory() -> None:
    """Limit TensorFlow's GPU memory to `GPU_LIMIT`; call it before TensorFlow is used."""
    limit = os.environ.get(GPU_LIMIT)
    if limit is None:
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.set_logical_device_configuration(
            gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=int(limit))]
        )
