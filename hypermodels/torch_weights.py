"""Read tensors from a PyTorch checkpoint without PyTorch."""

from __future__ import annotations

import collections
import dataclasses
import pickle
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8"}


@dataclasses.dataclass
class _Storage:
    """A flat block of numbers, which follows the pickles in the file."""

    dtype: np.dtype[Any]
    size: int
    values: NDArray[Any] | None = None


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count numbers, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((length - 1) * stride for length, stride in steps)
        if self.offset < 0 or min(self.strides, default=0) < 0 or last >= self.storage.size:
            raise ValueError(f"A tensor of shape {self.shape} lies outside its storage.")
        values = self.storage.values
        assert values is not None
        width = self.storage.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, [stride * width for stride in self.strides]
        )
        return view.copy()


class _StateDictUnpickler(pickle.Unpickler):
    """Unpickles dictionaries of tensors and nothing else: no other class can be called."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, tuple(shape), tuple(strides)
            )
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a dictionary of tensors")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, size, *_ = pid
        return self.storages.setdefault(key, _Storage(dtype, size))


def read_torch_weights(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read a state dict that `torch.save` wrote before PyTorch 1.6 (its format without zip).

    Nothing in the file is executed: the unpickler knows dictionaries and tensors only.

    Args:
        path: A `.pth` file.

    Returns:
        Arrays by name, in PyTorch's layout: convolutions are (output, input, height, width).

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it holds something else, or is damaged.
    """
    with open(path, "rb") as file:
        try:
            magic, protocol, _ = (_StateDictUnpickler(file).load() for _ in range(3))
            if (magic, protocol) != (MAGIC, PROTOCOL):
                raise ValueError("no PyTorch checkpoint of the format without zip")
            unpickler = _StateDictUnpickler(file)
            tensors = unpickler.load()
            for key in _StateDictUnpickler(file).load():
                storage = unpickler.storages[key]
                (size,) = struct.unpack("<q", file.read(8))
                content = file.read(storage.size * storage.dtype.itemsize)
                if size != storage.size:
                    raise ValueError(f"storage {key} has {size} numbers, expected {storage.size}")
                storage.values = np.frombuffer(content, storage.dtype, storage.size)
            return {name: tensor.array() for name, tensor in tensors.items()}
        except (pickle.UnpicklingError, EOFError, struct.error, *_DAMAGED) as error:
            raise ValueError(
                f"{path} is no PyTorch checkpoint that can be read: {error}"
            ) from error


_DAMAGED = (AttributeError, IndexError, KeyError, TypeError, ValueError, AssertionError)
"""What unpickling and indexing raise on damaged files."""
