"""Each promise of docs/promises.md names tests, and these exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
PROMISES = re.findall(r"^- (\*\*.*?)(?=\n\n|\n- |\n#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda text: re.split(r"\*\*", text)[1][:40])
def test_a_promise_names_its_tests(promise):
    assert re.search(r"\n  Tests: `tests/[\w/]+\.py::test_\w+`", promise)


@pytest.mark.parametrize(("file", "name"), NAMED, ids="::".join)
def test_a_test_that_a_promise_names_exists(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_all_promises_were_found():
    assert len(PROMISES) == PAGE.count("\n- **") > 15
    assert len(NAMED) == PAGE.count(".py::")
