"""The site is built without a warning, has every public name and command, and is spelled right."""

from __future__ import annotations

import ast
import html
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import unquote

import pytest

import hypermodels
import kt_tuning
from kt_tuning.cli.app import VERBS

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_nb", "furo")),
    reason="the extra docs is not installed",
)
ROOT = Path(__file__).parents[1]
HOSTS = {
    *(
        "arxiv.org",
        "docs.ray.io",
        "github.com",
        "pypi.org",
        "huggingface.co",
        "jmlr.org",
        "keras.io",
    ),
    *("storage.googleapis.com", "pypi.org", "www.kaggle.com"),
}
"""Where links lead: each was looked up once, as the tests have no network."""
GENERATED = shutil.ignore_patterns("_build", "generated", "*.ipynb")


def exported_names() -> set[str]:
    """Return the names in `__all__` of each package; a top-level name is not repeated below."""
    top = {*kt_tuning.__all__, *hypermodels.__all__}
    names = {
        f"{package.__name__}.{name}"
        for package in (kt_tuning, hypermodels)
        for name in package.__all__
    }
    for package in ("kt_tuning", "hypermodels"):
        for path in (ROOT / package).glob("*/**/__init__.py"):
            module = ".".join(path.parent.relative_to(ROOT).parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                    names |= {
                        f"{module}.{name}"
                        for name in ast.literal_eval(node.value)
                        if name not in top
                    }
    return names


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does, from a copy of its sources."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=GENERATED)
    for name in ("CONTRIBUTING.md", "notebooks", "kt_tuning", "hypermodels"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html"]
    # Whatever looks for the network finds none.
    environment = {
        **os.environ,
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    built = subprocess.run(
        [*command, folder / "docs", folder / "html"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder / "html"


def test_the_site_has_every_name_and_command_and_fetches_nothing(site):
    # Four lines, then compressed lines: name, kind, priority, address and title.
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    documented = {line.split(" ")[0] for line in inventory.splitlines() if " py:" in line}
    assert exported_names() - documented == set()
    page = (site / "reference/command_line.html").read_text(encoding="utf-8")
    missing = [verb.__name__ for verb in VERBS if f'id="kt-tuning-{verb.__name__}"' not in page]
    assert missing == []
    assert "--time-limit" in page
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for start in ('src="http', '<link rel="stylesheet" type="text/css" href="http', "@import"):
            assert start not in text, page


def test_links_of_the_site_lead_somewhere(site):
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    places = {str(path): set(re.findall(r'\bid="([^"]+)"', text)) for path, text in texts.items()}
    dead = set()
    for page, text in texts.items():
        for link in set(re.findall(r'\bhref="(?!\w+:)([^"?]+)', text)):
            name, _, anchor = unquote(html.unescape(link)).partition("#")
            target = os.path.normpath(page.parent / name) if name else str(page)
            alive = anchor in places.get(target, ()) if anchor else os.path.exists(target)
            if not alive:
                dead.add(f"{page.relative_to(site)}: {link}")
    assert dead == set()


def test_names_that_the_guides_use_are_in_the_reference():
    pages = [ROOT / "README.md", *(ROOT / "docs/guides").glob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    used = set(re.findall(r"`(kt_tuning\.\w+\.\w+)", text))
    for module, names in re.findall(r"from (kt_tuning\.\w+) import ([\w, ]+)", text):
        used |= {f"{module}.{name}" for name in names.split(", ")}
    reference = (ROOT / "docs/reference/packages.md").read_text(encoding="utf-8")
    heading = re.compile(r"^## `(kt_tuning\.[\w.]+)`$", re.MULTILINE)
    _, *parts = heading.split(reference)
    listed = {
        f"{package}.{name}"
        for package, part in zip(parts[::2], parts[1::2], strict=True)
        for name in re.findall(r"^(?:   |\.\. py:data:: )(\w+)$", part, re.MULTILINE)
    }
    assert {"kt_tuning.evaluation.METRICS", "kt_tuning.finalize.Configuration"} <= used
    top = {name for name in used if name.rpartition(".")[2] in kt_tuning.__all__}
    assert used - listed - top == set()


def test_nothing_is_misspelled():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (places,) = re.findall(r"^\t\$\(BIN\)/codespell (.+)$", makefile, re.MULTILINE)
    command = [sys.executable, "-m", "codespell_lib", *places.split()]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stderr


def test_links_lead_to_known_hosts():
    patterns = ("*.md", "docs/**/*.md", "kt_tuning/**/*.py", "hypermodels/**/*.py")
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    texts = [path.read_text(encoding="utf-8") for path in files]
    hosts = {host for text in texts for host in re.findall(r"https://([^/\s)\"'`<>{},]+)", text)}
    assert hosts - HOSTS == set()


def test_every_environment_variable_is_in_the_reference():
    page = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "kt_tuning").rglob("*.py")]
    names = {name for text in texts for name in re.findall(r"KT_TUNING_[A-Z_]+[A-Z]", text)}
    assert {name for name in names if f"| `{name}` |" not in page} == set()
