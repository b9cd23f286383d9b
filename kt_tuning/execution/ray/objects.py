"""Pickling for Ray's object store, which holds the data once a node for all of its workers."""

from __future__ import annotations

import io
import pickle
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import OptionError
from kt_tuning.execution.shared_arrays import LARGE

Packed = list[NDArray[np.uint8]]
"""The pickled object, then each large array in it."""


def pack(content: Any) -> Packed:
    """Pickle `content` by cloudpickle with its large arrays as separate buffers.

    Raises:
        OptionError: if it cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()

    def stays_in(array: pickle.PickleBuffer) -> bool:
        small = array.raw().nbytes < LARGE
        if not small:
            buffers.append(array)
        return small

    try:
        _Pickler(stream, protocol=5, buffer_callback=stays_in).dump(content)
    except Exception as error:
        raise OptionError(
            f"The hypermodel or the data cannot be sent to a cluster ({error}). A tf.data.Dataset, "
            "an open file or a lock cannot: use arrays, or workers=1."
        ) from error
    parts = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    return [np.frombuffer(part, np.uint8) for part in parts]


def get(reference: Any) -> Any:
    """Return a packed object from the store; its large arrays are read-only views."""
    import ray

    pickled, *arrays = ray.get(reference)
    return pickle.loads(pickled, buffers=arrays)


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Reduce a view of a file like an array, whose bytes stay out of the pickle."""
        if type(obj) is np.memmap:
            return np.asarray(obj).__reduce_ex__(5)
        return super().reducer_override(obj)
