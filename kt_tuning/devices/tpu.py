"""The connection to a TPU. Tested with stand-ins up to the strategy; not run on a TPU yet."""

from __future__ import annotations

from typing import Any

from kt_tuning.core.errors import OptionError


def connect_tpu(tpu: Any = None) -> Any:
    """Connect TensorFlow to a TPU and start it; variables that are on it already are lost.

    Args:
        tpu: Its address, "local" on a TPU's own machine, or a resolver; None for the one that the
            environment names.

    Returns:
        The `tf.distribute.cluster_resolver.TPUClusterResolver`; None if the environment names none.

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
    named = "the one that the environment names" if tpu is None else repr(tpu)
    return (
        f"Expected a TPU: its address, or 'local' on its own machine. Received: {named}, where "
        f"none answers ({reason})"
    )
