"""The devices that Keras' backend computes on.

Several devices are tested as virtual ones on a processor, and a TPU with a stand-in for it: neither
GPUs nor TPUs have been run on yet.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from kt_tuning.core.errors import OptionError
from kt_tuning.devices.instruction_sets import multiplies_bfloat16
from kt_tuning.devices.tpu import connect_tpu

CPU, GPU, TPU = "cpu", "gpu", "tpu"
UNITS = {CPU: "processor", GPU: "GPU", TPU: "TPU core"}


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices of one kind, all of which a training uses together.

    Attributes:
        kind: "cpu", "gpu" or "tpu".
        names: As the backend calls those that are used, e.g. "/device:GPU:0".
        found: How many of this kind there are.
        capability: CUDA's compute capability of the least of the GPUs, such as (8, 0); None if it
            is not known.
        bfloat16: Whether a processor has units for matrices of bfloat16, and the backend uses them.
        resolver: TensorFlow's connection to the TPU, or None.
    """

    kind: str
    names: tuple[str, ...]
    found: int
    capability: tuple[int, int] | None = None
    bfloat16: bool = False
    resolver: Any = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def count(self) -> int:
        """How many are used."""
        return len(self.names)

    @property
    def alone(self) -> bool:
        """Whether the backend would choose the same of its own accord: there is but one."""
        return self.found == 1 and self.kind != TPU

    def __str__(self) -> str:
        """How many of what, e.g. "2 GPUs"."""
        return f"{self.count} {UNITS[self.kind]}{'' if self.count == 1 else 's'}"

    def take(self, count: int | None) -> Devices:
        """The first few of them.

        Args:
            count: How many, at least 1; None for all.

        Raises:
            OptionError: if there are fewer, or they cannot be used apart, as a TPU's.
        """
        if count is None or count == self.count:
            return self
        if not 1 <= count <= self.count:
            raise OptionError(
                f"`devices` is a number of devices, from 1 to the {self.count} that there are. "
                f"Received: devices={count}"
            )
        if self.kind == TPU:
            raise OptionError(
                f"A TPU is used as a whole, all {self.count} cores. Received: devices={count}"
            )
        return dataclasses.replace(self, names=self.names[:count])


def find_devices(tpu: Any = None) -> Devices:
    """Find what Keras' backend can compute on: a TPU, else all GPUs, else the processor.

    Args:
        tpu: On TensorFlow, the TPU to connect to: its address, "local" on a TPU's own machine, or
            a `tf.distribute.cluster_resolver.TPUClusterResolver`. None for the one that the
            environment names (`TPU_NAME`), if it does. JAX finds its TPU without help.

    Raises:
        OptionError: if there is no such TPU, or Keras runs on another backend.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _of_tensorflow(connect_tpu(tpu))
    if backend != "jax":
        raise OptionError(
            "Devices are known of the backends tensorflow and jax. "
            f"Received: KERAS_BACKEND={backend}"
        )
    if tpu is not None:
        raise OptionError("JAX finds a TPU without its address: leave `tpu` out.")
    return _of_jax()


def unasked_devices() -> Devices:
    """What the backend computes on of its own accord, as trials do, on one of these.

    On TensorFlow that is no TPU, which would have to be connected first. Of backends other than
    tensorflow and jax only the processor is known.
    """
    import keras

    found = {"tensorflow": lambda: _of_tensorflow(None), "jax": _of_jax}
    return found.get(keras.backend.backend(), lambda: Devices(CPU, (CPU,), 1))()


def _of_tensorflow(resolver: Any) -> Devices:
    import tensorflow as tf

    for kind in (TPU, GPU, CPU):
        names = tuple(device.name for device in tf.config.list_logical_devices(kind.upper()))
        if names and (kind != TPU or resolver is not None):
            break
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in (tf.config.list_physical_devices("GPU") if kind == GPU else [])
    ]
    bfloat16 = kind == CPU and multiplies_bfloat16()
    return Devices(kind, names, len(names), _least(capabilities), bfloat16, resolver)


def _of_jax() -> Devices:
    import jax
    import keras

    kind = jax.devices()[0].platform
    names = tuple(keras.distribution.list_devices())
    capabilities = [
        _numbers(getattr(device, "compute_capability", None))
        for device in (jax.devices() if kind == GPU else [])
    ]
    return Devices(kind, names, len(names), _least(capabilities))


def _numbers(text: Any) -> tuple[int, int] | None:
    """A capability such as "8.0"."""
    if text is None:
        return None
    major, _, minor = str(text).partition(".")
    return int(major), int(minor or 0)


def _least(capabilities: list[tuple[int, int] | None]) -> tuple[int, int] | None:
    """What all GPUs can do; None if one does not say."""
    known = [capability for capability in capabilities if capability is not None]
    return min(known) if known and len(known) == len(capabilities) else None
