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
    ("content", "message"),
    [
        ({"one": {"name": 3}}, r"Whole\.one\.name should be a text\. Received: an integer"),
        ({"one": {"name": None}}, r"Whole\.one\.name should be a text\. Received: null"),
        ({"one": {"sizes": [1]}}, r"Whole\.one lacks name"),
        ({"by_size": []}, r"Whole\.by_size should be an object\. Received: a list"),
        ({"pair": [True, "x"]}, r"Whole\.pair\[\] should be a number or an integer\."),
        ({"pair": [0.5]}, r"Whole\.pair should have 2 items\. Received: 1"),
    ],
)
def test_a_field_of_another_type_is_named_with_what_to_do(content, message):
    with pytest.raises(StorageError, match=message) as caught:
        Whole.from_json(content)
    assert str(caught.value).endswith(Whole.way_on)


def test_a_number_may_be_null_as_not_a_number_is_written(tmp_path):
    Whole(pair=(float("nan"), "x")).save(tmp_path / "whole.json")
    assert Whole.load(tmp_path / "whole.json").pair == (None, "x")


@pytest.mark.parametrize(
    "content", [{"one": {}}, {"one": [1]}, {"parts": 3}, {"by_size": {"a": {}}}]
)
def test_content_of_another_shape_is_refused(content):
    with pytest.raises(StorageError, match=r"whole\.json is not a Whole"):
        Whole.from_json(content, source="whole.json")
