"""The devices of Keras' backend, and training on several of them.

Several devices are tested as virtual ones on a processor, and a TPU by a fake: nothing has been run
on GPUs or TPUs yet.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from kt_tuning.core.errors import OptionError
from kt_tuning.core.onednn import multiplies_bfloat16

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
                f"`devices` is at least 1 and at most the number of devices, here {self.count}. "
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
        return _of_tensorflow(_connect_tpu(tpu))
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


def strategy(devices: Devices) -> Any:
    """Return TensorFlow's strategy for devices.

    A `tf.distribute.TPUStrategy` for a TPU, a `OneDeviceStrategy` for one device, else a
    `MirroredStrategy`.

    Args:
        devices: Result of `find_devices`.
    """
    import tensorflow as tf

    if devices.kind == TPU:
        return tf.distribute.TPUStrategy(devices.resolver)
    if devices.count == 1:
        return tf.distribute.OneDeviceStrategy(devices.names[0])
    return tf.distribute.MirroredStrategy(devices.names)


@contextlib.contextmanager
def scope(devices: Devices) -> Iterator[None]:
    """Build and train models on all of the devices in the block.

    Batches are divided among the devices, whose number must divide the batch size; on JAX by
    `keras.distribution.DataParallel`. A single device needs no strategy.

    Args:
        devices: Result of `find_devices`.
    """
    import keras

    if devices.alone:
        yield
    elif keras.backend.backend() == "jax":
        with keras.distribution.DataParallel(devices=list(devices.names)).scope():
            yield
    else:
        with strategy(devices).scope():
            yield


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
    texts = [
        getattr(device, "compute_capability", None)
        for device in (jax.devices() if kind == GPU else [])
    ]
    capabilities = [text and tuple(map(int, str(text).split("."))) for text in texts]
    return Devices(kind, names, len(names), _least(capabilities))


def _least(capabilities: list[Any]) -> tuple[int, int] | None:
    """Return the lowest capability; None if one is unknown."""
    return min(capabilities, default=None) if None not in capabilities else None


def _connect_tpu(tpu: Any) -> Any:
    """Connect TensorFlow to a TPU and initialise it, which deletes variables on it.

    Returns None if `tpu` is None and the environment names no TPU.
    """
    import tensorflow as tf

    resolver = tpu
    if tpu is None or isinstance(tpu, str):
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        except ValueError as error:
            if tpu is None:
                return None
            raise _tpu_error(tpu, error) from error
    try:
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except tf.errors.OpError as error:
        raise _tpu_error(tpu, error) from error
    return resolver


def _tpu_error(tpu: Any, error: Exception) -> OptionError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    named = "that of the environment" if tpu is None else repr(tpu)
    return OptionError(
        f"Expected the address of a TPU, or 'local' on its machine. Received: {named}, where "
        f"none answers ({reason})"
    )
