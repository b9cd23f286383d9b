"""Dataclasses that are stored as JSON files."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import StorageError


def write_json(path: str | Path, content: dict[str, Any], *, durable: bool = True) -> None:
    """Write `content` to `path` atomically as JSON, indented.

    NaN and infinities are written as null, so that every JSON reader accepts the file.

    Args:
        path: The file to write; its folder exists.
        content: JSON-able values, NumPy scalars and arrays, sets or paths.
        durable: See `atomic_write`.

    Raises:
        OSError: if the file cannot be written; it names the file.
    """
    with atomic_write(path, durable=durable) as temporary:
        temporary.write_text(to_json_text(content), encoding="utf-8")


def to_json_text(content: Mapping[str, Any]) -> str:
    """Return what `write_json` writes."""
    return json.dumps(_finite(dict(content)), indent=2, default=_plain) + "\n"


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StorageError: if the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"No such file: {path}") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read {path}, which is damaged: {error}") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path} should hold a JSON object. Received: {type(content).__name__}")
    return content


def _plain(value: Any) -> Any:
    """Convert NumPy scalars and arrays, sets and paths to JSON types."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclasses.dataclass(frozen=True)
class Record:
    """Base of dataclasses that are one JSON file each."""

    def save(self, path: str | Path, *, durable: bool = True) -> None:
        """Write this record to `path`; see `write_json`."""
        write_json(path, self.to_json(), durable=durable)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a record; unknown fields are ignored.

        Raises:
            StorageError: if the file is missing, is not JSON or lacks a field.
        """
        return cls.from_json(read_json(path), source=str(path))

    @classmethod
    def from_json(cls, content: dict[str, Any], source: str = "the record") -> Self:
        """Make the record from `to_json`'s output."""
        try:
            record: Self = _typed(content, cls)
        except (AttributeError, TypeError, ValueError) as error:
            raise StorageError(f"{source} is not a {cls.__name__}: {error}") from error
        return record


def _typed(value: Any, kind: Any) -> Any:
    """Convert JSON content to the type of a field: nested dataclasses, tuples, numbers as keys."""
    arguments, origin = typing.get_args(kind), typing.get_origin(kind)
    if value is None:
        return None
    if hasattr(kind, "__dataclass_fields__"):
        kinds = _hints(kind)
        known = {key: _typed(item, kinds[key]) for key, item in value.items() if key in kinds}
        return kind(**known)
    if origin in (types.UnionType, typing.Union):
        return _typed(value, arguments[0])
    if origin is dict:
        key_kind = arguments[0] if arguments[0] in (int, float) else str
        return {key_kind(key): _typed(item, arguments[1]) for key, item in value.items()}
    if origin is tuple and arguments[1:] == (...,):
        return tuple(_typed(item, arguments[0]) for item in value)
    return tuple(map(_typed, value, arguments)) if origin is tuple else value


_hints = functools.cache(typing.get_type_hints)
