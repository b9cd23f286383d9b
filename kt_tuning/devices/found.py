"""The devices of Keras' backend.

Several devices are tested as virtual ones on a processor, and a TPU by a fake: nothing has been run
on GPUs or TPUs yet.
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
    """Devices of one kind that a training uses together.

    Attributes:
        kind: "cpu", "gpu" or "tpu".
        names: Names of the used devices in the backend, such as "/device:GPU:0".
        found: Number of devices of this kind.
        capability: Lowest compute capability of the GPUs, such as (8, 0); None if unknown.
        bfloat16: Whether a processor has units for matrices of bfloat16 that the backend uses.
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
        """Number of used devices."""
        return len(self.names)

    @property
    def alone(self) -> bool:
        """Whether there is only one device, which the backend uses by default."""
        return self.found == 1 and self.kind != TPU

    def __str__(self) -> str:
        """Return a text such as "2 GPUs"."""
        return f"{self.count} {UNITS[self.kind]}{'' if self.count == 1 else 's'}"

    def take(self, count: int | None) -> Devices:
        """Return the first `count` devices.

        Args:
            count: Number of devices, at least 1; None for all.

        Raises:
            OptionError: if there are fewer, or they are cores of a TPU.
        """
        if count is None or count == self.count:
            return self
        if not 1 <= count <= self.count:
            raise OptionError(
                f"`devices` is a number from 1 to {self.count}, the number of devices. "
                f"Received: devices={count}"
            )
        if self.kind == TPU:
            raise OptionError(
                f"All {self.count} cores of a TPU are used together. Received: devices={count}"
            )
        return dataclasses.replace(self, names=self.names[:count])


def find_devices(tpu: Any = None) -> Devices:
    """Find the devices of Keras' backend: a TPU, else all GPUs, else the processor.

    Args:
        tpu: TPU for TensorFlow: its address, "local" on the machine of the TPU, or a
            `tf.distribute.cluster_resolver.TPUClusterResolver`. None for the TPU in the environment
            (`TPU_NAME`), if it is set. JAX finds its TPU by itself.

    Raises:
        OptionError: if there is no such TPU, or Keras runs on another backend.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _of_tensorflow(connect_tpu(tpu))
    if backend != "jax":
        raise OptionError(
            "Devices are supported on the backends tensorflow and jax. "
            f"Received: KERAS_BACKEND={backend}"
        )
    if tpu is not None:
        raise OptionError("JAX finds a TPU without its address: leave `tpu` out.")
    return _of_jax()


def unasked_devices() -> Devices:
    """Return the devices that the backend uses by default, as trials do (one of them each).

    On TensorFlow this is never a TPU, which must be connected first. On backends other than
    tensorflow and jax it is the processor.
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
    """Parse a capability such as "8.0"."""
    if text is None:
        return None
    major, _, minor = str(text).partition(".")
    return int(major), int(minor or 0)


def _least(capabilities: list[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return the lowest capability; None if one is unknown."""
    known = [capability for capability in capabilities if capability is not None]
    return min(known) if known and len(known) == len(capabilities) else None
