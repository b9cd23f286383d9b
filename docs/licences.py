"""Print the table of licences of `docs/versions.md`, from setup.cfg and the installed packages.

Packages that are not installed keep the line that the page has. With `--all`, print the licences of
everything that the packages of the core bring with them, and which packages have each.

    python docs/licences.py
    python docs/licences.py --all
"""

from __future__ import annotations

import argparse
import collections
import configparser
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/versions.md"
UNSTATED = "not stated"
TOOLS = ("docs", "dev")
"""Extras that only the package's own development needs."""
CORE = "core"


def requirements() -> dict[str, list[str]]:
    """Return the names of the packages of the core and of each extra, in the order of setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    parts = {CORE: config["options"]["install_requires"], **config["options.extras_require"]}
    found = {}
    for part, text in parts.items():
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        found[part] = [Requirement(line).name for line in lines if line]
    return found


def licence(package: str) -> str:
    """Return the licence that an installed package states, as an SPDX expression if it has one.

    Raises:
        PackageNotFoundError: if it is not installed.
    """
    about = metadata(package)
    if expression := about.get("License-Expression"):
        return expression
    classifiers = about.get_all("Classifier", [])
    named = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    named = [name for name in named if name != "OSI Approved"]
    stated = (about.get("License") or "").strip().partition("\n")[0]
    if named:
        return ", ".join(named)
    return stated if stated not in ("", "UNKNOWN") else UNSTATED


def written(page: str) -> dict[str, str]:
    """Return the licences in the table of the page, by package."""
    _, _, after = page.partition("| package | for | licence |")
    return dict(re.findall(r"^\| (\w[\w-]*) \| [^|]+ \| ([^|]+) \|$", after, re.MULTILINE))


def table(known: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of the table: package, what needs it, licence."""
    needing: dict[str, list[str]] = {}
    for part, names in requirements().items():
        for name in names:
            needing.setdefault(name, []).append(part)
    yield "| package | for | licence |"
    yield "| --- | --- | --- |"
    for name, parts in needing.items():
        try:
            text = licence(name)
        except PackageNotFoundError:
            text = known.get(name, "not installed")
        shown = [part for part in parts if part not in TOOLS] or parts
        yield f"| {name} | {', '.join(shown)} | {text} |"


def brought() -> dict[str, list[str]]:
    """Return licence -> names of the packages that the core brings with it, itself included."""
    left, seen = list(requirements()[CORE]), set()
    found = collections.defaultdict(list)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found[licence(name)].append(name)
            needed = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:
            continue  # for another system or another version of Python
        left += [each.name for each in needed if not each.marker or each.marker.evaluate()]
    return {text: sorted(names) for text, names in sorted(found.items())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    if parser.parse_args().all:
        for text, names in brought().items():
            print(f"{text}: {', '.join(names)}")
    else:
        print(*table(written(PAGE.read_text(encoding="utf-8"))), sep="\n")
