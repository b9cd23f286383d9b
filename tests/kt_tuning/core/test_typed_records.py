"""JSON content becomes what the fields of a record say."""

from __future__ import annotations

import dataclasses

import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    sizes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Whole(Record):
    parts: tuple[Part, ...] = ()
    by_size: dict[int, Part] = dataclasses.field(default_factory=dict)
    pair: tuple[float, str] | None = None
    one: Part | None = None


def test_nested_records_tuples_and_numbers_as_keys_come_back(tmp_path):
    part = Part("a", (1, 2))
    whole = Whole((part, Part("b")), {3: part}, (0.5, "x"), part)
    whole.save(tmp_path / "whole.json")
    assert Whole.load(tmp_path / "whole.json") == whole


def test_unknown_fields_are_ignored_at_any_depth():
    found = Whole.from_json({"later": 1, "one": {"name": "a", "later": 2}})
    assert found == Whole(one=Part("a"))


@pytest.mark.parametrize(
    "content", [{"one": {}}, {"one": [1]}, {"parts": 3}, {"by_size": {"a": {}}}]
)
def test_content_of_another_shape_is_refused(content):
    with pytest.raises(StorageError, match=r"whole\.json is not a Whole"):
        Whole.from_json(content, source="whole.json")
