"""The connection to a TPU. Tested with fakes up to the strategy; not run on a TPU yet."""

from __future__ import annotations

from typing import Any

from kt_tuning.core.errors import OptionError


def connect_tpu(tpu: Any = None) -> Any:
    """Connect TensorFlow to a TPU and initialise it, which deletes variables on it.

    Args:
        tpu: Its address, "local" on the machine of the TPU, or a resolver; None for the TPU in the
            environment.

    Returns:
        The `tf.distribute.cluster_resolver.TPUClusterResolver`; None if the environment has none.

    Raises:
        OptionError: if no TPU answers.
    """
    import tensorflow as tf

    resolver = tpu
    if tpu is None or isinstance(tpu, str):
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
        except ValueError as error:
            if tpu is None:
                return None
            raise OptionError(_refusal(tpu, error)) from error
    try:
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except tf.errors.OpError as error:
        raise OptionError(_refusal(tpu, error)) from error
    return resolver


def _refusal(tpu: Any, error: Exception) -> str:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    named = "that of the environment" if tpu is None else repr(tpu)
    return (
        f"Expected the address of a TPU, or 'local' on its machine. Received: {named}, where "
        f"none answers ({reason})"
    )
