"""What a model computes with while it is trained. GPUs: not tested on hardware."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

FLOAT32 = "float32"
AUTO = "auto"
BFLOAT16_SINCE = 8
"""CUDA's compute capability, its major version, from which bfloat16 is fast: Ampere."""
FLOAT16_SINCE = 7
"""That from which float16 is: Volta's tensor cores."""


@contextlib.contextmanager
def computing(precision: str) -> Iterator[None]:
    """Build models of a precision in this block; Keras' policy is restored after it.

    Args:
        precision: One of `kt_tuning.recipe.PRECISIONS`. "auto" and "float32" leave a policy that
            was set in Keras before as it is.
    """
    before = keras.config.dtype_policy()
    if precision == AUTO and before.name == FLOAT32:
        keras.config.set_dtype_policy(fastest_policy())
    elif precision not in (AUTO, FLOAT32):
        keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def fastest_policy() -> str:
    """Keras' dtype policy for the device: a mixed one where that is faster than float32."""
    backend = keras.backend.backend()
    found = {"tensorflow": _tensorflow_policy, "jax": _jax_policy}.get(backend)
    return FLOAT32 if found is None else found()


def policy_of_gpu(capability: str | None) -> str:
    """The policy for a GPU.

    Args:
        capability: CUDA's compute capability, such as "8.0", or None if it is not known.
    """
    major = 0 if capability is None else int(str(capability).partition(".")[0])
    if major >= BFLOAT16_SINCE:
        return "mixed_bfloat16"
    return "mixed_float16" if major >= FLOAT16_SINCE else FLOAT32


def _tensorflow_policy() -> str:
    import tensorflow as tf

    if tf.config.list_physical_devices("TPU"):
        return "mixed_bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return FLOAT32
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability")
    return policy_of_gpu(None if capability is None else ".".join(map(str, capability)))


def _jax_policy() -> str:
    import jax

    device = jax.devices()[0]
    if device.platform == "tpu":
        return "mixed_bfloat16"
    return policy_of_gpu(getattr(device, "compute_capability", None))
