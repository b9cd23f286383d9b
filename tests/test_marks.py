"""The patterns of `marks.py` follow the names of the test files."""

from fnmatch import fnmatch
from pathlib import Path

import pytest
from marks import INTEGRATION, QUICK, SLOW

ROOT = Path(__file__).parent
FILES = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("test_*.py")]


@pytest.mark.parametrize("pattern", [*INTEGRATION, *SLOW, *QUICK])
def test_every_pattern_matches_a_file(pattern):
    assert any(fnmatch(file, pattern) for file in FILES)


@pytest.mark.parametrize("pattern", QUICK)
def test_every_quick_file_would_be_slow(pattern):
    files = [file for file in FILES if fnmatch(file, pattern)]
    assert all(any(fnmatch(file, slow) for slow in SLOW) for file in files)
