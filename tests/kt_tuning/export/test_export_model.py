"""The folder of an export: its version, its provenance, and that it appears as a whole."""

from __future__ import annotations

import json

import pytest
from export_models import make_card

from kt_tuning.export.export_model import new_export, next_version, write_provenance


def test_versions_count_on_from_the_largest_number(tmp_path):
    assert next_version(tmp_path / "nowhere").name == "1"
    for name in ("2", "10", "onnx", ".11.tmp"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == tmp_path / "11"


def test_a_folder_appears_at_the_end_or_not_at_all(tmp_path):
    with new_export(tmp_path / "1") as folder:
        (folder / "model").write_text("half")
        assert not (tmp_path / "1").exists()
    assert (tmp_path / "1" / "model").read_text() == "half"
    with pytest.raises(ZeroDivisionError), new_export(tmp_path / "2") as folder:
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_provenance_has_the_versions_of_what_took_part(tmp_path):
    write_provenance(tmp_path, make_card(), ["ruff", "no-such-package"], format="onnx")
    content = json.loads((tmp_path / "provenance.json").read_text())
    assert content["format"] == "onnx"
    assert content["data"]["fingerprint"] == "abc123"
    assert {"python", "keras", "ruff"} <= set(content["versions"])
    assert "no-such-package" not in content["versions"]
