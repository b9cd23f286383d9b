"""The documentation lists the licence of every package that setup.cfg names."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_table_has_each_package_and_what_needs_it():
    spec = importlib.util.spec_from_file_location("licences", DOCS / "licences.py")
    licences = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(licences)
    page = (DOCS / "versions.md").read_text(encoding="utf-8")
    known = licences.written(page)
    assert not set(known.values()) & {"", "not installed"}
    rows = {row.rpartition(" | ")[0] for row in licences.table(known)}
    listed = {line.rpartition(" | ")[0] for line in page.splitlines()}
    assert rows <= listed
    assert len(known) == len(rows) - 2
