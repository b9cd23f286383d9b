"""Dataclasses that are stored as JSON files."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import tokenize
import types
import typing
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import KtTuningError, StorageError

RESTORE = "Restore it from a copy, or choose another run directory."
"""What the user can do about a damaged file, if nothing writes it again."""
_ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, tokenize.TokenError)
"""Errors of damaged `.npz` files; NumPy reads the headers of arrays as tokens of Python."""
READ_ERRORS = (OSError, EOFError, ValueError, KeyError, *_ARCHIVE_ERRORS)
"""Errors of the readers of JSON, NumPy, HDF5 and Keras for damaged files."""


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
    return json.dumps(_jsonable(dict(content)), indent=2) + "\n"


def read_json(path: str | Path, *, way_on: str = RESTORE) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        way_on: What the user can do if it is damaged.

    Raises:
        StorageError: if the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"No such file: {path}") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read {path}, which is damaged: {error}. {way_on}") from error
    except RecursionError:
        raise StorageError(f"Cannot read {path}: it is nested too deeply. {way_on}") from None
    if not isinstance(content, dict):
        received = type(content).__name__
        raise StorageError(f"{path} should hold a JSON object. Received: {received}. {way_on}")
    return content


def _jsonable(value: Any) -> Any:
    """Convert NumPy's scalars and arrays, sets and paths to JSON types; not-a-number is null."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(item) for item in value]
    if hasattr(value, "tolist"):
        return _jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


@dataclasses.dataclass(frozen=True)
class Record:
    """Base of dataclasses that are one JSON file each.

    Attributes:
        way_on: What a user can do about a damaged file.
    """

    way_on: ClassVar[str] = RESTORE

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
            StorageError: if the file is missing, is not JSON, or a field is missing or has another
                type.
        """
        return cls.from_json(read_json(path, way_on=cls.way_on), source=str(path))

    @classmethod
    def from_json(cls, content: dict[str, Any], source: str = "the record") -> Self:
        """Make the record from `to_json`'s output.

        Raises:
            StorageError: if a field is missing or has another type.
        """
        record: Self = typed(content, cls, source=source, way_on=cls.way_on)
        return record


def typed(content: Any, kind: Any, *, source: str, way_on: str = RESTORE) -> Any:
    """Convert JSON content to a type, by the annotations of its fields.

    Nested dataclasses, tuples and numbers as keys come back. Unknown fields are ignored. A float
    may be null, as not-a-number is written.

    Args:
        content: What was read from JSON.
        kind: A dataclass.
        source: What messages call the content, such as the path of the file.
        way_on: What the user can do about damaged content.

    Raises:
        StorageError: if a field is missing or has another type.
    """
    try:
        return _typed(content, kind, kind.__name__)
    except (AttributeError, TypeError, ValueError) as error:
        raise StorageError(f"{source} is not a {kind.__name__}: {error}. {way_on}") from error


@contextlib.contextmanager
def content_checked(path: str | Path, *, way_on: str = RESTORE) -> Iterator[None]:
    """Convert errors that wrong content of a file causes in the block to a StorageError.

    Args:
        path: The file, which the message names.
        way_on: What the user can do about it.

    Raises:
        StorageError: if the block raises an error that wrong content may have caused.
    """
    try:
        yield
    except KtTuningError:
        raise
    except (*READ_ERRORS, AttributeError, LookupError, TypeError, ArithmeticError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StorageError(
            f"{path} is damaged ({type(error).__name__}: {reason}). {way_on}"
        ) from error


def _typed(value: Any, kind: Any, name: str) -> Any:
    arguments, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        return _typed_union(value, arguments, name)
    if value is None and kind in (float, types.NoneType):
        return None
    if dataclasses.is_dataclass(kind):
        return _typed_fields(_checked(value, dict, name), kind, name)
    if kind in _SCALARS:
        return _checked(value, _SCALARS[kind], name)
    if kind in (dict, list) or origin in (dict, list, Mapping):
        value = _checked(value, list if list in (kind, origin) else dict, name)
    if origin in (dict, Mapping):
        key_kind = arguments[0] if arguments[0] in (int, float) else str
        return {
            key_kind(key): _typed(item, arguments[1], f"{name}[{key!r}]")
            for key, item in value.items()
        }
    if origin is list:
        return [_typed(item, arguments[0], f"{name}[]") for item in value]
    if origin is tuple:
        items = _checked(list(value) if isinstance(value, tuple) else value, list, name)
        kinds = arguments[:1] * len(items) if arguments[1:] == (...,) else arguments
        if len(items) != len(kinds):
            raise TypeError(f"{name} should have {len(kinds)} items. Received: {len(items)}")
        return tuple(_typed(*pair, f"{name}[]") for pair in zip(items, kinds, strict=True))
    return value


def _typed_fields(content: dict[str, Any], kind: Any, name: str) -> Any:
    hints, fields = _hints(kind), dataclasses.fields(kind)
    missing = [
        field.name
        for field in fields
        if field.name not in content
        and field.default is field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise TypeError(f"{name} lacks {', '.join(missing)}")
    known = [field.name for field in fields if field.name in content]
    return kind(**{key: _typed(content[key], hints[key], f"{name}.{key}") for key in known})


def _typed_union(value: Any, kinds: tuple[Any, ...], name: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    refused: list[Exception] = []
    for kind in kinds:
        if kind is not types.NoneType:
            try:
                return _typed(value, kind, name)
            except (AttributeError, TypeError, ValueError) as error:
                refused.append(error)
    raise refused[0]


def _checked(value: Any, kinds: Any, name: str) -> Any:
    """Return a value that has one of some types; a boolean is no number."""
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        expected = " or ".join(_JSON_NAMES[kind] for kind in wanted)
        received = _JSON_NAMES.get(type(value), "null")
        raise TypeError(f"{name} should be {expected}. Received: {received}")
    return value


_SCALARS: dict[Any, Any] = {str: str, bool: bool, int: int, float: (float, int)}
_JSON_NAMES: dict[Any, str] = {
    str: "a text",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_hints = functools.cache(typing.get_type_hints)
