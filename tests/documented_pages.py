"""The code of the pages: their blocks, and a folder that they run in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SMALLER = (
    (r"max_trials=\d+", "max_trials=2"),
    (r"\bepochs=\d+", "epochs=1"),
    (r"image_size=\d+", "image_size=8"),
    (r"workers=(2|kt\.Ray\([^)]*\))", "workers=1"),
    (r"folds=\d", "folds=2"),
    (r"(ConvNet\(data\.input_shape, data\.classes)", r"\1, stages=1, blocks=1"),
    (r"bootstrap=\d+", "bootstrap=10"),
    (r"postgresql://[^\"]+", "sqlite:///studies.db"),
    (r"\"/shared/", '"shared/'),
)
"""What the blocks of the pages are run with: patterns, and what replaces them."""


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes:
        line: Its first line in the page, from 1.
        language: What follows the fence, such as "python".
        code: Its content.
    """

    line: int
    language: str
    code: str


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page of Markdown, in its order."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```([^\n`]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(text.count("\n", 0, each.start()) + 2, each[1].strip(), each[2]) for each in found
    ]


def python_blocks(page: Path) -> list[Block]:
    """Return the blocks of Python, those included that are marked `no-run`."""
    return [block for block in blocks_of(page) if block.language.split(" ")[0] == "python"]


def runnable(block: Block, page: Path) -> object:
    """Compile a block, with smaller numbers, under the name and line of its page."""
    code = block.code
    for pattern, smaller in SMALLER:
        code = re.sub(pattern, smaller, code)
    return compile("\n" * (block.line - 1) + code, str(page), "exec")


def write_photos(folder: Path, count: int = 24) -> None:
    """Write small colour pictures of two classes, `count` of each: stripes across and along."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            stripes = np.zeros((8, 8, 3))
            stripes[rng.integers(2) :: 2] = 200
            pixels = stripes if name == "cat" else stripes.transpose(1, 0, 2)
            noisy = np.clip(pixels + rng.integers(0, 50, pixels.shape), 0, 255).astype("uint8")
            Image.fromarray(noisy).save(folder / name / f"{number:02d}.png")
